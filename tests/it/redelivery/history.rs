//! Random histories of two people with wallets in two currencies, and what is left in the books.

use super::*;

use wealth_companion::domain::money::AmountText;
use wealth_companion::store::transactions::{Amendment, Draft};

use crate::support::chain::{Household, day};

const DAYS: [&str; 5] = [
    "2026-01-31",
    "2026-02-01",
    "2026-02-10",
    "2026-02-28",
    "2026-03-01",
];

/// One thing that somebody does. Indexes are taken modulo what there is.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Book {
        person: usize,
        wallet: usize,
        category: usize,
        income: bool,
        cents: i64,
        day: usize,
    },
    Amend {
        which: usize,
        wallet: usize,
        category: usize,
        cents: i64,
        day: usize,
    },
    Delete {
        which: usize,
    },
}

impl Step {
    /// Whether spending can only grow by it.
    pub(super) fn grows(&self) -> bool {
        matches!(self, Self::Book { .. })
    }
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let book = (
        0..2_usize,
        0..3_usize,
        0..2_usize,
        any::<bool>(),
        1..9_000_i64,
        0..DAYS.len(),
    )
        .prop_map(
            |(person, wallet, category, income, cents, day)| Step::Book {
                person,
                wallet,
                category,
                // Mostly expenses: they move more.
                income: income && cents % 3 == 0,
                cents,
                day,
            },
        );
    let amend = (
        any::<usize>(),
        0..3_usize,
        0..2_usize,
        1..9_000_i64,
        0..DAYS.len(),
    )
        .prop_map(|(which, wallet, category, cents, day)| Step::Amend {
            which,
            wallet,
            category,
            cents,
            day,
        });
    let delete = any::<usize>().prop_map(|which| Step::Delete { which });
    prop::collection::vec(prop_oneof![4 => book, 3 => amend, 1 => delete], 1..25)
}

struct Owner {
    household: Household,
    wallets: Vec<Uuid>,
    categories: Vec<Option<Uuid>>,
}

/// What was done, and what is left of it.
pub(super) struct Books {
    pub(super) budgets: Vec<Budget>,
    /// Whose, and what.
    pub(super) booked: BTreeMap<Uuid, (Uuid, Transaction)>,
}

impl Books {
    pub(super) async fn of(chain: &Chain, steps: &[Step]) -> Self {
        let mut owners = Vec::new();
        let mut budgets = Vec::new();
        for name in ["ada", "bob"] {
            let owner = Owner::new(chain, name).await;
            budgets.extend(owner.budgets(chain).await);
            owners.push(owner);
        }
        let mut books = Self {
            budgets,
            booked: BTreeMap::new(),
        };
        for step in steps {
            books.take(chain, &owners, step).await;
        }
        books
    }

    async fn take(&mut self, chain: &Chain, owners: &[Owner], step: &Step) {
        match *step {
            Step::Book {
                person,
                wallet,
                category,
                income,
                cents,
                day,
            } => {
                let owner = &owners[person];
                let kind = if income {
                    TransactionType::Income
                } else {
                    TransactionType::Expense
                };
                let booked = owner.book(chain, wallet, category, kind, cents, day).await;
                self.booked
                    .insert(booked.id, (owner.household.user_id, booked));
            }
            Step::Amend {
                which,
                wallet,
                category,
                cents,
                day,
            } => {
                let Some((owner, id)) = self.pick(owners, which) else {
                    return;
                };
                let amended = owner.amend(chain, id, wallet, category, cents, day).await;
                self.booked.insert(id, (owner.household.user_id, amended));
            }
            Step::Delete { which } => {
                let Some((owner, id)) = self.pick(owners, which) else {
                    return;
                };
                let act = chain.act(owner.household);
                let unit = move |tx| async move { transactions::delete(&tx, act, id, None).await };
                chain.store.write(unit).await.expect("deleted");
                self.booked.remove(&id);
            }
        }
    }

    fn pick<'a>(&self, owners: &'a [Owner], which: usize) -> Option<(&'a Owner, Uuid)> {
        let nth = which.checked_rem(self.booked.len())?;
        let (id, (user, _)) = self.booked.iter().nth(nth)?;
        let owner = owners
            .iter()
            .find(|owner| owner.household.user_id == *user)?;
        Some((owner, *id))
    }
}

impl Owner {
    /// Two wallets in US dollars and one in yen, which have no cents; a category and none.
    async fn new(chain: &Chain, name: &str) -> Self {
        let household = chain.household(name).await;
        let mut wallets = vec![household.wallet_id];
        for (name, code) in [("Cash", "USD"), ("Tokyo", "JPY")] {
            wallets.push(chain.wallet(household, name, code).await);
        }
        Self {
            household,
            wallets,
            categories: vec![Some(household.category_id), None],
        }
    }

    /// All spending in dollars by week, the category by month, yen by year.
    async fn budgets(&self, chain: &Chain) -> Vec<Budget> {
        let one = vec![self.household.category_id];
        let kinds = [
            ("USD", PeriodKind::Weekly, Vec::new(), None),
            ("USD", PeriodKind::Monthly, one, Some(day("2026-02-01"))),
            ("JPY", PeriodKind::Yearly, Vec::new(), None),
        ];
        let mut budgets = Vec::new();
        for (code, period, category_ids, starts_on) in kinds {
            let now = chain.clock.now();
            let budget = Budget {
                id: chain.ids.v7(now),
                user_id: self.household.user_id,
                name: period.as_str().to_owned(),
                limit: Money::new(10_000, Currency::parse(code).expect("a currency")),
                period,
                starts_on,
                alert_at: Thresholds::new(vec![50, 100, 200]).expect("thresholds"),
                category_ids,
                rollover_from: None,
                former_limits: Vec::new(),
                version: 1,
                created_at: now,
                updated_at: now,
            };
            let made = budget.clone();
            let today = now.date_naive();
            let unit = move |tx| async move { budgets::create(&tx, &made, today).await };
            chain.store.write(unit).await.expect("a budget");
            budgets.push(budget);
        }
        budgets
    }

    /// An amount as it is written in the wallet's currency: the last wallet is in yen.
    fn amount(&self, wallet: usize, minor: i64) -> AmountText {
        if wallet + 1 == self.wallets.len() {
            return AmountText::Text(minor.to_string());
        }
        AmountText::Text(format!("{}.{:02}", minor / 100, minor % 100))
    }

    async fn book(
        &self,
        chain: &Chain,
        wallet: usize,
        category: usize,
        transaction_type: TransactionType,
        minor: i64,
        on: usize,
    ) -> Transaction {
        let draft = Draft {
            category_id: self.categories[category],
            ..Draft::new(
                self.wallets[wallet],
                transaction_type,
                self.amount(wallet, minor),
                day(DAYS[on]),
            )
        };
        let (act, id) = (chain.act(self.household), chain.ids.v7(chain.clock.now()));
        let unit = move |tx| async move { transactions::book(&tx, act, id, draft).await };
        chain.store.write(unit).await.expect("booked").0
    }

    async fn amend(
        &self,
        chain: &Chain,
        id: Uuid,
        wallet: usize,
        category: usize,
        minor: i64,
        on: usize,
    ) -> Transaction {
        let amendment = Amendment {
            wallet_id: Some(self.wallets[wallet]),
            amount: Some(self.amount(wallet, minor)),
            date: Some(day(DAYS[on])),
            category_id: Some(self.categories[category]),
            ..Amendment::default()
        };
        let act = chain.act(self.household);
        let unit =
            move |tx| async move { transactions::amend(&tx, act, id, None, amendment).await };
        chain.store.write(unit).await.expect("amended").0
    }
}
