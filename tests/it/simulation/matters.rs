//! What happens by itself: a goal that a wallet reaches, days of a recurring booking that are due, a rule that fills in
//! what people book.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::test::TestRequest;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wealth_companion::api::due::DueBookings;
use wealth_companion::domain::money::{Currency, Money};
use wealth_companion::domain::recurrence::Recurrence;
use wealth_companion::events::{Event, EventData};
use wealth_companion::store::goals::{self, Goal};
use wealth_companion::store::recurring;

use super::{Simulation, text};
use crate::support::chain::{day, expense};

/// Today, and the days that the process is away then.
const DUE_DAYS: u32 = 10;
const DUE_SINCE: &str = "2026-02-10";
const DAY: Duration = Duration::from_secs(86_400);
/// Cents; most transfers reach it, and others come after it was reached.
const TARGET: i64 = 500;
const TAG: &str = "asked";

impl Simulation {
    /// For each person a goal on their purse, a booking for each day, and a rule.
    pub(super) async fn set_up_matters(&mut self) {
        for who in 0..self.people.len() {
            let (person, purse) = (self.people[who], self.purses[who]);
            let chain = self.chain();
            let (act, now) = (chain.act(person), chain.clock.now());
            let usd = Currency::parse("USD").expect("a currency");
            let goal = Goal {
                id: chain.ids.v7(now),
                user_id: person.user_id,
                name: "Goal".to_owned(),
                target: Money::new(TARGET, usd),
                target_date: None,
                wallet_id: Some(purse),
                saved: Money::zero(usd),
                achieved_at: None,
                version: 1,
                created_at: now,
                updated_at: now,
            };
            let unit = move |tx| async move { goals::create(&tx, act, &goal).await };
            chain.store.write(unit).await.expect("a goal");
            let (id, mut draft) = (chain.ids.v7(now), expense(person, "0.01", day(DUE_SINCE)));
            draft.description = Some("due".to_owned());
            let daily = Recurrence::parse("FREQ=DAILY", day(DUE_SINCE)).expect("a rule");
            let unit = move |tx| async move { recurring::create(&tx, act, id, draft, daily).await };
            chain.store.write(unit).await.expect("a recurring booking");
            let rule = json!({
                "name": "What is asked for", "tags": [TAG],
                "conditions": [{"field": "description", "operator": "contains", "value": "key"}],
            });
            let request = TestRequest::post().uri("/v1/rules").set_json(rule);
            let reply = self.ask_as(who, request).await;
            assert_eq!(reply.status, 201, "{}", reply.body);
        }
        self.elapsed = (DUE_DAYS - 1) * DAY;
        self.chain().clock.advance(self.elapsed);
    }

    /// Whoever books what is due has a round.
    pub(super) async fn book_due(&mut self) -> u64 {
        let chain = self.chain();
        let (store, clock, ids) = (chain.store.clone(), chain.clock.clone(), chain.ids.clone());
        let bookkeeper = DueBookings::new(store, clock, ids);
        let round = bookkeeper.round(&CancellationToken::new()).await;
        let booked = round.as_ref().map_or(0, |round| round.booked);
        self.note(&format!("due: {round:?}"));
        booked
    }

    /// What is wrong with them in the end.
    pub(super) async fn problems_of_matters(&self) -> Vec<String> {
        let chain = self.chain();
        let mut problems = Vec::new();
        for person in &self.people {
            let user = person.user_id.simple();
            let due = format!(
                "SELECT COUNT(*) || ' on ' || COUNT(DISTINCT date) || ' days' FROM transactions \
                 WHERE description = 'due' AND user_id = X'{user}'"
            );
            let due = text(chain.store.reads(), &due).await;
            if due != format!("{DUE_DAYS} on {DUE_DAYS} days") {
                problems.push(format!("due bookings of {user}: {due}"));
            }
        }
        let untagged = format!(
            "SELECT COALESCE(group_concat(description), '') FROM transactions \
             WHERE description LIKE 'key %' AND (tags IS NULL OR tags NOT LIKE '%{TAG}%')"
        );
        let untagged = text(chain.store.reads(), &untagged).await;
        if !untagged.is_empty() {
            problems.push(format!("the rule did not fill in: {untagged}"));
        }
        problems.extend(self.problems_of_goals().await);
        problems
    }

    /// A goal is achieved once, and not before somebody has so much; whoever has so much in the end has achieved it.
    async fn problems_of_goals(&self) -> Vec<String> {
        let chain = self.chain();
        let mut problems = Vec::new();
        let mut said: BTreeSet<Uuid> = BTreeSet::new();
        for entry in chain.log().await {
            let event = Event::parse(entry.envelope.as_bytes()).expect("an event");
            if let EventData::GoalAchieved(achieved) = event.data
                && !said.insert(achieved.goal_id)
            {
                problems.push(format!("{} was achieved twice", achieved.goal_id));
            }
        }
        let goals = "SELECT COALESCE(group_concat(hex(goals.id) || ' ' || \
             (wallets.balance_minor >= goals.target_minor) || ' ' || (achieved_at IS NOT NULL)), '') \
             FROM goals JOIN wallets ON wallets.id = goals.wallet_id";
        for row in text(chain.store.reads(), goals).await.split(',') {
            let mut cells = row.split(' ');
            let mut cell = || cells.next().unwrap_or_default();
            let (id, is_there, is_marked) = (Uuid::parse_str(cell()), cell() == "1", cell() == "1");
            let id = id.expect("an id");
            if said.contains(&id) != is_marked || (is_there && !is_marked) {
                problems.push(format!(
                    "goal {id}: there {is_there}, marked {is_marked}, said {}",
                    said.contains(&id)
                ));
            }
        }
        problems
    }
}
