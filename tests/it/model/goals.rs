//! Goals in a life: what was put aside for them, and taken out again.

use uuid::Uuid;
use wealth_companion::domain::money::Money;
use wealth_companion::store::goals::{self, Goal, GoalChange, NewContribution};

use rand::Rng as _;

use super::{Life, currency};

impl Life {
    pub(super) async fn make_goal(&mut self) {
        let now = self.chain.clock.now();
        let goal = Goal {
            id: self.chain.ids.v7(now),
            user_id: self.who.user_id,
            name: "Goal".to_owned(),
            target: Money::new(self.rng.random_range(1..200_000), currency("USD")),
            target_date: None,
            wallet_id: self.rng.random_bool(0.5).then(|| self.wallet()),
            saved: Money::zero(currency("USD")),
            achieved_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let (id, act) = (goal.id, self.chain.act(self.who));
        let what = format!("goal {goal:?}");
        let unit = move |tx| async move { goals::create(&tx, act, &goal).await };
        if self.attempt(&what, unit).await.is_some() {
            self.goals.insert(id, Vec::new());
        }
    }

    pub(super) async fn contribute(&mut self) {
        let all: Vec<Uuid> = self.goals.keys().copied().collect();
        let Some(goal) = self.some(&all) else {
            return;
        };
        let (act, now) = (self.chain.act(self.who), self.chain.clock.now());
        match self.number(5) {
            0 => {
                let change = GoalChange {
                    target: Some(self.amount()),
                    ..GoalChange::default()
                };
                let unit =
                    move |tx| async move { goals::change(&tx, act, goal, None, change).await };
                self.attempt(&format!("change goal {goal}"), unit).await;
            }
            1 => {
                let made: Vec<Uuid> = self.goals[&goal].iter().map(|(id, _)| *id).collect();
                let Some(id) = self.some(&made) else {
                    return;
                };
                let unit = move |tx| async move { goals::take_back(&tx, act, id, None).await };
                if self
                    .attempt(&format!("take back {id}"), unit)
                    .await
                    .is_some()
                {
                    let ledger = self.goals.get_mut(&goal).expect("it was made");
                    ledger.retain(|(kept, _)| *kept != id);
                }
            }
            _ => {
                let new = NewContribution {
                    id: self.chain.ids.v7(now),
                    amount: self.amount(),
                    is_withdrawal: self.rng.random_bool(0.3),
                    date: self.day(),
                    note: None,
                };
                let what = format!("contribute {new:?}");
                let unit = move |tx| async move { goals::contribute(&tx, act, goal, new).await };
                if let Some((made, _)) = self.attempt(&what, unit).await {
                    let ledger = self.goals.get_mut(&goal).expect("it was made");
                    ledger.push((made.id, made.amount.minor()));
                }
            }
        }
    }

    pub(super) async fn saved(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, ledger) in &self.goals {
            let goal = goals::get(self.chain.store.reads(), self.who.user_id, *id).await;
            let goal = goal.expect("a goal");
            let sum: i64 = ledger.iter().map(|(_, minor)| minor).sum();
            if goal.wallet_id.is_none() && goal.saved.minor() != sum {
                wrong.push(format!(
                    "goal {id} has {}, its contributions make {sum}",
                    goal.saved
                ));
            }
            if goal.achieved_at.is_none() && goal.saved.minor() >= goal.target.minor() {
                wrong.push(format!("goal {id} is reached, and nobody said so"));
            }
        }
        wrong
    }
}
