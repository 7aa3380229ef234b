//! Bookings that come again in a life. The model reckons the days by itself: what is due is booked once, in order, and
//! what cannot be booked pauses its rule.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Days, Months, NaiveDate};
use rand::Rng as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wealth_companion::api::due::DueBookings;
use wealth_companion::domain::recurrence::Recurrence;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::store::recurring::{self, RecurringChange};
use wealth_companion::store::transactions::{Draft, Transaction};

use super::{Life, wallets_of};

/// How often a rule comes.
#[derive(Debug, Clone, Copy)]
enum Every {
    Days(u64),
    Weeks(u64),
    /// On this day of the months that have it.
    MonthDay(u32),
    MonthEnd,
}

/// When it ends.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Never,
    After(usize),
    With(NaiveDate),
}

/// The days of a rule.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    first: NaiveDate,
    every: Every,
    ends: Ends,
}

impl Schedule {
    fn rrule(&self) -> String {
        let every = match self.every {
            Every::Days(days) => format!("FREQ=DAILY;INTERVAL={days}"),
            Every::Weeks(weeks) => format!("FREQ=WEEKLY;INTERVAL={weeks}"),
            Every::MonthDay(day) => format!("FREQ=MONTHLY;BYMONTHDAY={day}"),
            Every::MonthEnd => "FREQ=MONTHLY;BYMONTHDAY=-1".to_owned(),
        };
        match self.ends {
            Ends::Never => every,
            Ends::After(times) => format!("{every};COUNT={times}"),
            Ends::With(day) => format!("{every};UNTIL={}", day.format("%Y%m%d")),
        }
    }

    /// All of them, of a hundred years.
    fn days(&self) -> impl Iterator<Item = NaiveDate> + use<> {
        let Self { first, every, ends } = *self;
        let month = first.with_day(1).expect("a day");
        let nth = move |number: u32| match every {
            Every::Days(days) => first.checked_add_days(Days::new(days * u64::from(number))),
            Every::Weeks(weeks) => first.checked_add_days(Days::new(7 * weeks * u64::from(number))),
            Every::MonthDay(day) => (month + Months::new(number)).with_day(day),
            Every::MonthEnd => (month + Months::new(number + 1)).pred_opt(),
        };
        let days = (0..1_200).filter_map(nth).filter(move |day| *day >= first);
        let (times, last) = match ends {
            Ends::Never => (usize::MAX, NaiveDate::MAX),
            Ends::After(times) => (times, NaiveDate::MAX),
            Ends::With(day) => (usize::MAX, day),
        };
        days.take(times).take_while(move |day| *day <= last)
    }
}

/// A rule, as far as the model knows it.
#[derive(Debug, Clone)]
pub(super) struct Coming {
    template: Transaction,
    schedule: Schedule,
    /// No day before this one is booked any more.
    from: NaiveDate,
    /// Days that were booked or left out.
    done: BTreeSet<NaiveDate>,
    paused: bool,
    failed: bool,
}

impl Coming {
    fn next(&self) -> Option<NaiveDate> {
        let mut open = self.schedule.days().filter(|day| *day >= self.from);
        open.find(|day| !self.done.contains(day))
    }
}

impl Life {
    fn schedule(&mut self) -> Schedule {
        let every = match self.number(4) {
            0 => Every::Days(self.rng.random_range(5..20)),
            1 => Every::Weeks(self.rng.random_range(1..5)),
            2 => Every::MonthDay(self.rng.random_range(1..=31)),
            _ => Every::MonthEnd,
        };
        let first = self.day();
        let ends = match self.number(4) {
            0 => Ends::After(self.rng.random_range(1..12)),
            1 => Ends::With(first + Days::new(self.rng.random_range(0..200))),
            _ => Ends::Never,
        };
        Schedule { first, every, ends }
    }

    pub(super) async fn make_coming(&mut self) {
        let kind = [
            TransactionType::Expense,
            TransactionType::Income,
            TransactionType::Transfer,
        ][self.number(3)];
        let schedule = self.schedule();
        let mut draft = Draft::new(self.wallet(), kind, self.amount(), schedule.first);
        if kind == TransactionType::Transfer {
            draft.to_wallet_id = Some(self.wallet());
            draft.to_amount = self.rng.random_bool(0.4).then(|| self.amount());
        } else {
            draft.category_id = self.category();
        }
        let recurrence = Recurrence::parse(&schedule.rrule(), schedule.first).expect("a rule");
        let (act, today) = (self.chain.act(self.who), self.today());
        let id = self.chain.ids.v7(act.now);
        let what = format!("again {id} {schedule:?} {draft:?}");
        let unit =
            move |tx| async move { recurring::create(&tx, act, id, draft, recurrence).await };
        let Some(made) = self.attempt(&what, unit).await else {
            return;
        };
        let coming = Coming {
            template: made.template,
            schedule,
            from: today,
            done: BTreeSet::new(),
            paused: false,
            failed: false,
        };
        if coming.next().is_none() {
            self.wrong.push(format!("{id} never comes, and was made"));
        }
        self.coming.insert(id, coming);
    }

    pub(super) async fn change_coming(&mut self) {
        let all: Vec<Uuid> = self.coming.keys().copied().collect();
        let Some(id) = self.some(&all) else {
            return;
        };
        match self.number(8) {
            0 => self.end_coming(id).await,
            1 | 2 => self.leave_out(id).await,
            _ => self.amend_coming(id).await,
        }
    }

    async fn end_coming(&mut self, id: Uuid) {
        let user_id = self.who.user_id;
        let unit = move |tx| async move { recurring::delete(&tx, user_id, id, None).await };
        let done = self.attempt(&format!("{id} ends"), unit).await;
        done.expect("it is there");
        self.coming.remove(&id);
    }

    async fn leave_out(&mut self, id: Uuid) {
        let next = self.coming[&id].next();
        let day = next.filter(|_| self.number(3) > 0).unwrap_or(self.day());
        let act = self.chain.act(self.who);
        let unit = move |tx| async move { recurring::skip(&tx, act, id, day).await };
        let done = self.attempt(&format!("{id} without {day}"), unit).await;
        if done.is_none() && next == Some(day) {
            self.wrong.push(format!("{id} could not leave {day} out"));
        }
        if done.is_some() {
            let coming = self.coming.get_mut(&id).expect("it was made");
            coming.done.insert(day);
        }
    }

    async fn amend_coming(&mut self, id: Uuid) {
        let (before, today) = (self.coming[&id].clone(), self.today());
        let (mut change, mut schedule) = (RecurringChange::default(), before.schedule);
        match self.number(6) {
            0 => change.paused = Some(true),
            1 | 2 => change.paused = Some(false),
            3 => {
                schedule = self.schedule();
                change.rrule = Some(schedule.rrule());
                change.starts_on = Some(schedule.first);
            }
            4 => change.booking.amount = Some(self.amount()),
            _ => change.booking.wallet_id = Some(self.wallet()),
        }
        let (paused, is_other) = (change.paused, change.rrule.is_some());
        let act = self.chain.act(self.who);
        let what = format!("change {id} {change:?}");
        let unit = move |tx| async move { recurring::change(&tx, act, id, None, change).await };
        let Some(changed) = self.attempt(&what, unit).await else {
            return;
        };
        let mut after = Coming {
            template: changed.template,
            schedule,
            paused: paused.unwrap_or(before.paused),
            ..before.clone()
        };
        let passed_by = before.paused && !before.failed;
        if passed_by && (is_other || !after.paused) {
            after.from = today;
        } else if is_other {
            // What is due and was not booked yet is still to come.
            after.from = before.next().map_or(today, |day| day.min(today));
        }
        after.failed &= after.paused;
        self.coming.insert(id, after);
    }

    /// What is due is booked, and nothing else.
    pub(super) async fn book_due(&mut self) {
        let (today, archived) = (self.today(), self.archived.clone());
        let mut wanted: BTreeMap<(Uuid, NaiveDate), Transaction> = BTreeMap::new();
        for (id, coming) in &mut self.coming {
            while let Some(day) = coming.next().filter(|day| *day <= today && !coming.paused) {
                if wallets_of(&coming.template).any(|id| archived.contains(&id)) {
                    (coming.paused, coming.failed) = (true, true);
                    break;
                }
                coming.done.insert(day);
                wanted.insert((*id, day), coming.template.clone());
            }
        }
        let parts = (self.chain.store.clone(), self.chain.clock.clone());
        let due = DueBookings::new(parts.0, parts.1, self.chain.ids.clone());
        let never = CancellationToken::new();
        while due.round(&never).await.expect("a round").left {}
        self.story.push(format!("{} are due", wanted.len()));
        for booked in self.booked().await {
            if self.bookings.contains_key(&booked.id) {
                continue;
            }
            let key = booked.occurrence.map(|it| (it.recurring_id, it.on));
            let template = key.and_then(|key| wanted.remove(&key));
            let is_right = template.is_some_and(|template| {
                let of = |it: &Transaction| {
                    let parts = (it.parts.transfer, it.parts.tags.clone());
                    (
                        it.wallet_id,
                        it.transaction_type,
                        it.amount,
                        it.category_id,
                        parts,
                    )
                };
                of(&template) == of(&booked) && key.map(|(_, day)| day) == Some(booked.date)
            });
            if !is_right {
                self.wrong.push(format!("this was not due: {booked:?}"));
            }
            self.bookings.insert(booked.id, booked);
        }
        for ((id, day), _) in wanted {
            self.wrong.push(format!("{id} was not booked on {day}"));
        }
    }

    /// Which day comes next, and what is paused.
    pub(super) async fn days_to_come(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, coming) in &self.coming {
            let rule = recurring::get(self.chain.store.reads(), self.who.user_id, *id).await;
            let rule = rule.expect("a rule");
            let found = (rule.next_on, rule.paused, rule.failure.is_some());
            let wanted = (coming.next(), coming.paused, coming.failed);
            if found != wanted {
                wrong.push(format!("{id} is at {found:?}, and should be at {wanted:?}"));
            }
        }
        wrong
    }
}
