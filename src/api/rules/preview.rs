//! What rules would change of what was booked before: as a run would do it, and nothing is written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, get, web};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::api::Api;
use crate::api::input::DayInput;
use crate::api::session::Session;
use crate::domain::rule::{Labelled, Labels, Mode, Ruleset};
use crate::domain::transaction::TransactionType;
use crate::http::{Problem, Query, cursor};
use crate::store::transactions::{self, ByDate, Filter, Transaction};
use crate::store::{self, PageRequest, Store, StoreError, rules};

/// The list that cursors name.
const LIST: &str = "rule-preview";
/// Bookings that are looked at for one answer, at the most.
const EXAMINED_MAX: usize = 10_000;
/// How far a step of it goes; after so long no further booking is looked at.
const STEP: Bounds = Bounds {
    read: 500,
    found: usize::MAX,
    asked: Duration::from_secs(1),
};

/// Which rules, and of which bookings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// Bookings on the page, 1 to 200; 50 if left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Only this rule, enabled or not; all that are enabled if left out.
    rule_id: Option<Uuid>,
    /// Whether a category and a payee that are there are replaced; false if left out.
    overwrite: Option<bool>,
    /// Of bookings on or after this day.
    #[param(value_type = Option<NaiveDate>, example = "2026-02-01")]
    from: Option<DayInput>,
    /// Of bookings on or before this day.
    #[param(value_type = Option<NaiveDate>, example = "2036-02-28")]
    to: Option<DayInput>,
}

/// What rules set of a booking.
#[derive(Debug, Serialize, ToSchema)]
pub struct LabelsView {
    #[schema(required = true)]
    category_id: Option<Uuid>,
    #[schema(required = true)]
    payee: Option<String>,
    tags: Vec<String>,
}

impl From<Labels> for LabelsView {
    fn from(labels: Labels) -> Self {
        Self {
            category_id: labels.category_id,
            payee: labels.payee,
            tags: labels.tags,
        }
    }
}

/// A booking that would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewItem {
    transaction_id: Uuid,
    date: NaiveDate,
    #[serde(rename = "type")]
    transaction_type: TransactionType,
    #[schema(format = "decimal", example = "12.34")]
    amount: String,
    /// ISO 4217.
    #[schema(value_type = crate::domain::money::Currency)]
    currency: String,
    #[schema(required = true)]
    description: Option<String>,
    before: LabelsView,
    after: LabelsView,
    /// The rules that would change something, in their order.
    rule_ids: Vec<Uuid>,
}

/// What would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// Bookings that were looked at from the beginning of this page on, at most 10,000.
    examined: usize,
    /// How many of them would change.
    would_change: usize,
    /// Whether none is left after those that were looked at.
    is_complete: bool,
    /// The first that would change, the newest day first.
    items: Vec<PreviewItem>,
    /// Where the next page begins; null on the last. There may be none that change on it.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Try your rules on what was booked before. Nothing is written.
#[utoipa::path(
    tag = "rules",
    operation_id = "preview_rules",
    params(PreviewQuery),
    responses((status = 200, description = "What would change", body = Preview))
)]
#[get("/v1/rule-preview")]
pub(in crate::api) async fn show(
    api: web::Data<Api>,
    session: Session,
    query: Query<PreviewQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.0;
    let page: PageRequest<(DayInput, Uuid)> =
        cursor::page(LIST, query.limit, query.cursor.as_deref())?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let user_id = session.user_id();
    let wanted = rules::wanted(api.store.reads(), user_id, query.rule_id).await;
    let rules = match wanted {
        Err(StoreError::NotFound(_)) => {
            return Err(Problem::field("?rule_id", "there is no such rule"));
        }
        rules => Arc::new(Ruleset::new(rules?).map_err(StoreError::defect)?),
    };
    let filter = Filter {
        from: query.from.map(|day| day.0),
        to: query.to.map(|day| day.0),
        ..Filter::default()
    };
    let mut walk = Walk {
        rules,
        mode: if query.overwrite.unwrap_or(false) {
            Mode::Overwrite
        } else {
            Mode::Fill
        },
        examined: 0,
        asked: Duration::ZERO,
        cursor: page.after.map(|(day, id)| (day.0, id)),
        is_last: false,
    };
    let (mut items, mut would_change, mut cut) = (Vec::new(), 0, None);
    let mut last_shown = None;
    while !walk.is_last && walk.examined < EXAMINED_MAX && walk.asked < STEP.asked {
        let found = walk.step(&api.store, user_id, &filter, &STEP).await?;
        for (transaction, before, made) in found {
            would_change += 1;
            if items.len() < limit {
                last_shown = Some((transaction.date, transaction.id));
                items.push(item(&transaction, before, made));
            } else {
                cut = cut.or(last_shown);
            }
        }
    }
    let next = cut.or(walk.cursor.filter(|_| !walk.is_last));
    Ok(HttpResponse::Ok().json(Preview {
        examined: walk.examined,
        would_change,
        is_complete: walk.is_last,
        items,
        next_cursor: cursor::next(LIST, next.as_ref())?,
    }))
}

fn item(transaction: &Transaction, before: Labels, made: Labelled) -> PreviewItem {
    PreviewItem {
        transaction_id: transaction.id,
        date: transaction.date,
        transaction_type: transaction.transaction_type,
        amount: transaction.amount.to_string(),
        currency: transaction.amount.currency().code().to_owned(),
        description: transaction.description.clone(),
        before: before.into(),
        after: made.labels.into(),
        rule_ids: made.by,
    }
}

/// A booking that rules change, with what it has and what they make of it.
pub(super) type Found = (Transaction, Labels, Labelled);

/// How far a step of a walk goes: where the first of these is reached.
pub(super) struct Bounds {
    /// Bookings that are read.
    pub(super) read: u32,
    /// Bookings that rules change.
    pub(super) found: usize,
    /// How long rules are asked, in all steps of the walk.
    pub(super) asked: Duration,
}

/// A walk through bookings with rules, the newest day first.
pub(super) struct Walk {
    pub(super) rules: Arc<Ruleset>,
    pub(super) mode: Mode,
    /// Bookings that were looked at.
    pub(super) examined: usize,
    /// How long rules were asked.
    pub(super) asked: Duration,
    /// The last booking that was looked at.
    pub(super) cursor: Option<ByDate>,
    /// None is left.
    pub(super) is_last: bool,
}

impl Walk {
    /// Looks at some more bookings: at one at least, but where there are no rules at none.
    pub(super) async fn step(
        &mut self,
        store: &Store,
        user_id: Uuid,
        filter: &Filter,
        bounds: &Bounds,
    ) -> Result<Vec<Found>, StoreError> {
        if self.rules.is_empty() {
            self.is_last = true;
            return Ok(Vec::new());
        }
        let page = PageRequest {
            limit: bounds.read,
            after: self.cursor,
        };
        let page = transactions::list(store.reads(), user_id, filter, page).await?;
        let (rules, mode) = (Arc::clone(&self.rules), self.mode);
        let (left, most) = (bounds.asked.saturating_sub(self.asked), bounds.found);
        let read = page.items.len();
        // Texts that somebody wrote are asked with patterns that somebody wrote: not where requests are answered.
        let asking = move || ask(&rules, mode, page.items, left, most);
        let asked = tokio::task::spawn_blocking(asking).await;
        let asked = asked.map_err(StoreError::defect)?;
        self.examined += asked.examined;
        self.asked += asked.took;
        self.cursor = asked.last.or(self.cursor);
        self.is_last = page.next.is_none() && asked.examined == read;
        Ok(asked.found)
    }
}

struct Asked {
    examined: usize,
    took: Duration,
    last: Option<ByDate>,
    found: Vec<Found>,
}

fn ask(
    rules: &Ruleset,
    mode: Mode,
    bookings: Vec<Transaction>,
    left: Duration,
    most: usize,
) -> Asked {
    let begun = Instant::now();
    let mut asked = Asked {
        examined: 0,
        took: Duration::ZERO,
        last: None,
        found: Vec::new(),
    };
    for transaction in bookings {
        asked.examined += 1;
        asked.last = Some((transaction.date, transaction.id));
        let labels = store::rules::labels(&transaction);
        if let Some(made) = store::rules::apply(rules, &transaction, &labels, mode) {
            asked.found.push((transaction, labels, made));
        }
        asked.took = begun.elapsed();
        if asked.took >= left || asked.found.len() >= most {
            break;
        }
    }
    asked
}
