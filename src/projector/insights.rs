//! Looks at the books of whoever has booked for what is worth knowing, and says what was not said before.
//!
//! Beside the batches, not in them: a look reads a bounded piece of somebody's history, at most once in a
//! while, so what it costs does not grow with how much is booked or how long a history is. What is found by the very
//! first look was there before anybody looked: it is listed, and nobody is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeDelta, Utc};
use metrics::counter;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::wording::{Worded, Writer};
use crate::clock::{Clock, Ids};
use crate::domain::insight::month::{self, CategoryMonths, Pace, PastMonth};
use crate::domain::insight::wording::WordedBy;
use crate::domain::insight::{Insight, charge, regular};
use crate::domain::period::{self, Month};
use crate::events::catalogue::{InsightGenerated, InsightType, RelatedEntity};
use crate::events::{Cause, Event, Source};
use crate::store::insights::{self, StoredInsight};
use crate::store::users::{self, User};
use crate::store::{
    PageRequest, Readable, Store, StoreError, Tx, budgets, categories, event_log, read_models,
};
use crate::telemetry::metrics::handles::JobMetrics;
use crate::telemetry::metrics::names;
use crate::telemetry::spans;

/// Users that a search for those who were overlooked finds at the most.
const OVERLOOKED_MAX: i64 = 500;
/// How often it searches.
const SEARCH_EVERY: TimeDelta = TimeDelta::minutes(10);
/// How long the same tip is not given again.
const YEAR: Months = Months::new(12);
/// Budgets of one user that are looked at.
const BUDGETS: u32 = 200;

/// Who has booked, and when their books may be looked at next.
#[derive(Debug, Default)]
pub struct Looks {
    waiting: Mutex<HashMap<Uuid, DateTime<Utc>>>,
    woken: Notify,
}

impl Looks {
    /// Somebody has booked.
    pub fn ask(&self, users: impl IntoIterator<Item = Uuid>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for user_id in users {
            waiting.entry(user_id).or_default();
        }
        drop(waiting);
        self.woken.notify_one();
    }

    fn due(&self, now: DateTime<Utc>) -> Vec<Uuid> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let due = waiting
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(id, _)| *id);
        let due: Vec<Uuid> = due.collect();
        for id in &due {
            waiting.remove(id);
        }
        due
    }

    fn later(&self, user_id: Uuid, at: DateTime<Utc>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(user_id, at);
    }
}

/// Looks at books.
#[derive(Debug, Clone)]
pub struct Looker {
    store: Store,
    clock: Clock,
    ids: Ids,
    /// The same books are not looked at again before.
    every: Duration,
    /// Puts what is new into words, where somebody does.
    writer: Option<Arc<Writer>>,
}

/// What became of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// Nothing was booked since, or there is no such user.
    Nothing,
    /// It is too early; not before this moment.
    NotBefore(DateTime<Utc>),
    /// So many insights are new.
    Found(usize),
}

impl Looker {
    /// Looks at the books of a user at most once in this time.
    #[must_use]
    pub fn new(store: Store, clock: Clock, ids: Ids, every: Duration) -> Self {
        Self {
            store,
            clock,
            ids,
            every,
            writer: None,
        }
    }

    /// One that has what is new put into words, of those who have asked for it.
    #[must_use]
    pub fn with(mut self, writer: Option<Writer>) -> Self {
        self.writer = writer.map(Arc::new);
        self
    }

    /// Looks whenever somebody has booked, until it is told to stop.
    ///
    /// # Errors
    /// None: what cannot be done now is done later.
    pub async fn run(self, looks: Arc<Looks>, stop: CancellationToken) -> anyhow::Result<()> {
        let job = JobMetrics::new("insights");
        let mut search_at = self.clock.now();
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let done = self.step(&looks, now >= search_at).await;
            match done {
                Ok(()) => {
                    if now >= search_at {
                        search_at = now + SEARCH_EVERY;
                    }
                    job.succeeded(now);
                }
                Err(error) => {
                    job.failed();
                    tracing::warn!(%error, "insights: will try again");
                }
            }
            let pause = async {
                // A look for each commit would be many; those that come together are one.
                let _ = timeout(self.every, looks.woken.notified()).await;
                tokio::time::sleep(self.every.min(Duration::from_secs(1))).await;
            };
            tokio::select! {
                () = pause => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn step(&self, looks: &Looks, search: bool) -> Result<(), StoreError> {
        if search {
            looks.ask(insights::overlooked(self.store.reads(), OVERLOOKED_MAX).await?);
        }
        let mut due = looks.due(self.clock.now()).into_iter();
        while let Some(user_id) = due.next() {
            match self.look(user_id).await {
                Ok(Looked::NotBefore(at)) => looks.later(user_id, at),
                Ok(Looked::Nothing | Looked::Found(_)) => {}
                Err(error) => {
                    looks.ask(due.chain([user_id]));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Looks at somebody's books, and says what is new.
    ///
    /// # Errors
    /// The database cannot do it now.
    pub async fn look(&self, user_id: Uuid) -> Result<Looked, StoreError> {
        let now = self.clock.now();
        let every = TimeDelta::from_std(self.every).map_err(StoreError::defect)?;
        let reached = read_models::reached(self.store.reads(), user_id).await?;
        if let Some((seen, at)) = insights::last_look(self.store.reads(), user_id).await? {
            if seen >= reached {
                return Ok(Looked::Nothing);
            }
            if at + every > now {
                return Ok(Looked::NotBefore(at + every));
            }
        }
        let unit = Unit {
            user_id,
            now,
            ids: self.ids.clone(),
            worded: self.worded(user_id, now).await?,
        };
        let found = self
            .store
            .write(move |tx| async move { unit.look(&tx).await })
            .await?;
        let Some(found) = found else {
            return Ok(Looked::Nothing);
        };
        for kept in &found {
            counter!(names::INSIGHTS_TOTAL, "kind" => kept.insight.kind.as_str()).increment(1);
        }
        Ok(Looked::Found(found.len()))
    }

    /// What is new, in other words, as far as anybody finds some in time: before the unit of work, which holds the
    /// user and waits for nobody outside.
    async fn worded(&self, user_id: Uuid, now: DateTime<Utc>) -> Result<Worded, StoreError> {
        let Some(writer) = &self.writer else {
            return Ok(Worded::default());
        };
        let db = self.store.reads();
        let user = match users::get(db, user_id).await {
            Ok(user) if user.ai_enabled => user,
            Ok(_) | Err(StoreError::NotFound(_)) => return Ok(Worded::default()),
            Err(error) => return Err(error),
        };
        let mut new = found(db, &user, period::today(now, user.time_zone)).await?;
        let known = insights::known(db, user_id, new.iter().map(|it| it.key.as_str())).await?;
        new.retain(|it| !known.contains(&it.key));
        Ok(writer.word(user_id, &new, now).await)
    }
}

/// One look, at one moment.
struct Unit {
    user_id: Uuid,
    now: DateTime<Utc>,
    ids: Ids,
    worded: Worded,
}

impl Unit {
    async fn look(&self, tx: &Tx) -> Result<Option<Vec<StoredInsight>>, StoreError> {
        if !users::hold(tx, self.user_id).await? {
            return Ok(None);
        }
        let user = users::get(&**tx, self.user_id).await?;
        let is_first = insights::last_look(&**tx, self.user_id).await?.is_none();
        let reached = read_models::reached(&**tx, self.user_id).await?;
        let found = found(&**tx, &user, period::today(self.now, user.time_zone)).await?;
        // Whoever has changed their mind meanwhile gets the rules' words.
        let worded = user.ai_enabled.then_some(&self.worded);
        let found = found
            .into_iter()
            .map(|insight| match worded {
                Some(worded) => worded.apply(insight),
                None => (insight, WordedBy::Rules),
            })
            .collect();
        let id = || self.ids.v7(self.now);
        let new = insights::keep(tx, self.user_id, found, id, self.now).await?;
        if !is_first {
            let said: Vec<Event> = new.iter().map(|kept| self.event(kept)).collect();
            event_log::append(tx, &said).await?;
        }
        insights::note_look(tx, self.user_id, reached, self.now).await?;
        Ok(Some(new))
    }

    fn event(&self, kept: &StoredInsight) -> Event {
        let insight = &kept.insight;
        let related = insight.related.iter().map(|(thing, id)| RelatedEntity {
            entity_type: thing.as_str().to_owned(),
            id: *id,
        });
        let end_of = |day: NaiveDate| day.and_hms_opt(23, 59, 59).map(|at| at.and_utc());
        let data = InsightGenerated {
            insight_id: kept.id,
            user_id: self.user_id,
            insight_type: InsightType::from(insight.kind),
            title: insight.title.clone(),
            message: insight.message.clone(),
            confidence: insight.confidence(),
            related_entities: related.collect(),
            expires_at: insight.expires_on.and_then(end_of),
            budget: None,
            historic: false,
        };
        let cause = Cause::first(self.ids.v4(), spans::begun(&self.ids));
        Event::new(
            self.ids.v4(),
            Source::Projector,
            kept.id,
            self.now,
            cause,
            data,
        )
    }
}

/// All that can be said of somebody's books today.
async fn found(
    db: &impl Readable,
    user: &User,
    today: NaiveDate,
) -> Result<Vec<Insight>, StoreError> {
    let names = categories::names(db, user.id).await?;
    let mut found = Vec::new();
    for (currency, expenses) in insights::expenses(db, user.id, today).await? {
        let comes_back = regular::regular(&expenses, today);
        let usual: BTreeSet<String> = comes_back.iter().map(|it| it.key.clone()).collect();
        let name_of = |id: Uuid| names.get(&id).cloned();
        found.extend(regular::insights(&comes_back, currency));
        let a_year_ago = today.checked_sub_months(YEAR).unwrap_or(today);
        let told = [a_year_ago, today].map(|day| regular::tip_key(currency, day));
        if !insights::is_known_between(db, user.id, told).await? {
            found.extend(regular::tip(&comes_back, currency, today));
        }
        found.extend(charge::twice(&expenses, currency, today));
        found.extend(charge::unusual(&expenses, &usual, name_of, currency, today));
    }
    found.extend(of_months(db, user, &names, today).await?);
    found.extend(of_budgets(db, user, today).await?);
    Ok(found)
}

/// In the user's own currency.
async fn of_months(
    db: &impl Readable,
    user: &User,
    names: &HashMap<Uuid, String>,
    today: NaiveDate,
) -> Result<Vec<Insight>, StoreError> {
    let (month, currency) = (Month::of(today), user.currency);
    let first = month.plus(-month::MONTHS_MAX);
    let sums = insights::category_months(db, user.id, currency, (first, month)).await?;
    let before: Vec<Month> = (1..=month::MONTHS_MAX)
        .map(|ago| month.plus(-ago))
        .collect();
    let categories = sums.iter().map(|(category_id, sums)| {
        let of = |month: &Month| sums.get(&month.first_day()).copied().unwrap_or_default();
        // What comes before the first spending is not a month without any.
        let known = before
            .iter()
            .rposition(|month| of(month) != 0)
            .map_or(0, |at| at + 1);
        CategoryMonths {
            category_id: *category_id,
            name: names.get(category_id).cloned().unwrap_or_default(),
            before: before[..known].iter().map(of).collect(),
            now: of(&month),
        }
    });
    let categories: Vec<CategoryMonths> = categories.collect();
    let mut found = month::patterns(&categories, currency, today);
    let days = insights::days(db, user.id, currency, (first.first_day(), today)).await?;
    let spent = days
        .range(month.first_day()..=today)
        .map(|(_, minor)| minor)
        .sum();
    let past: Vec<PastMonth> = before
        .iter()
        .map(|month| past(&days, *month, today))
        .collect();
    found.extend(month::forecast(spent, &past, currency, today));
    Ok(found)
}

fn past(days: &BTreeMap<NaiveDate, i64>, month: Month, today: NaiveDate) -> PastMonth {
    let (mut until_today, mut rest) = (0_i64, 0_i64);
    for (day, minor) in days.range(month.first_day()..=month.last_day()) {
        if day.day() <= today.day() {
            until_today += minor;
        } else {
            rest += minor;
        }
    }
    PastMonth { until_today, rest }
}

async fn of_budgets(
    db: &impl Readable,
    user: &User,
    today: NaiveDate,
) -> Result<Vec<Insight>, StoreError> {
    let page = PageRequest::first(BUDGETS);
    let budgets = budgets::list(db, user.id, page, today).await?;
    let paces = budgets.items.iter().filter_map(|(budget, at)| {
        let pace = Pace {
            budget_id: budget.id,
            name: budget.name.clone(),
            period: at.period,
            available: at.available_minor(),
            spent: at.spent.minor(),
            currency: budget.currency(),
        };
        month::will_not_hold(&pace, today)
    });
    Ok(paces.collect())
}
