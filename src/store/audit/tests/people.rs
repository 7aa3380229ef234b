//! People and their books.

use chrono::NaiveDate;
use uuid::Uuid;

use super::books::{Books, Person, day, eur};
use crate::domain::budget::Thresholds;
use crate::domain::category::CategoryKind;
use crate::domain::money::{AmountText, Money};
use crate::domain::period::PeriodKind;
use crate::domain::transaction::TransactionType::{self, Expense, Income};
use crate::domain::wallet::WalletType;
use crate::events::Cause;
use crate::store::budgets::{self, Budget};
use crate::store::categories::{self, Category};
use crate::store::transactions::{self, Act, Amendment, Draft, SplitDraft};
use crate::store::users::{self, User};
use crate::store::wallets::{self, Wallet};
use crate::telemetry::trace::TraceContext;

impl Books {
    pub(super) async fn user(&self, email: &str) -> Uuid {
        let now = self.now();
        let user = User {
            id: self.ids.v7(now),
            email: email.to_owned(),
            name: None,
            currency: eur(),
            time_zone: chrono_tz::UTC,
            ai_enabled: false,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let id = user.id;
        self.store
            .write(move |tx| async move { users::create(&tx, &user, "hash".to_owned()).await })
            .await
            .unwrap();
        id
    }

    /// Somebody with a history: booked, changed and removed, and all of it heard.
    pub(super) async fn person(&self, email: &str) -> Person {
        let user_id = self.user(email).await;
        let person = Person {
            id: user_id,
            cash: self.wallet(user_id, "Cash", 5_000).await,
            bank: self.wallet(user_id, "Bank", 0).await,
            food: self.category(user_id).await,
            monthly: self
                .budget(user_id, PeriodKind::Monthly, None, Vec::new())
                .await,
            weekly: Uuid::nil(),
        };
        let weekly = self
            .budget(
                user_id,
                PeriodKind::Weekly,
                Some(day(11, 4)),
                vec![person.food],
            )
            .await;
        let person = Person { weekly, ..person };
        self.book(person, person.bank, Income, "1000.00", day(11, 1), None)
            .await;
        self.book(
            person,
            person.cash,
            Expense,
            "7.25",
            day(10, 20),
            Some(person.food),
        )
        .await;
        self.book(
            person,
            person.cash,
            Expense,
            "12.50",
            day(11, 3),
            Some(person.food),
        )
        .await;
        self.book(
            person,
            person.cash,
            Expense,
            "30.00",
            day(11, 5),
            Some(person.food),
        )
        .await;
        self.book(person, person.bank, Expense, "90.00", day(11, 10), None)
            .await;
        let moved = self
            .book(person, person.cash, Expense, "4.00", day(11, 6), None)
            .await;
        let gone = self
            .book(person, person.bank, Expense, "3.00", day(9, 9), None)
            .await;
        self.settle().await;
        let act = self.act(person);
        self.store
            .write(move |tx| async move {
                let amendment = Amendment {
                    wallet_id: Some(person.bank),
                    amount: Some(AmountText::Text("4.50".to_owned())),
                    date: Some(day(11, 12)),
                    category_id: Some(Some(person.food)),
                    ..Amendment::default()
                };
                transactions::amend(&tx, act, moved, None, amendment).await
            })
            .await
            .unwrap();
        let act = self.act(person);
        self.store
            .write(move |tx| async move { transactions::delete(&tx, act, gone, None).await })
            .await
            .unwrap();
        self.settle().await;
        person
    }

    fn act(&self, person: Person) -> Act {
        let trace = TraceContext {
            trace_id: self.ids.trace_id(),
            span_id: self.ids.span_id(),
            sampled: false,
        };
        let cause = Cause {
            correlation_id: self.ids.v4(),
            causation_id: None,
            begun_at: None,
            trace,
        };
        Act {
            user_id: person.id,
            now: self.now(),
            event_id: self.ids.v4(),
            cause,
        }
    }

    pub(super) async fn book(
        &self,
        person: Person,
        wallet_id: Uuid,
        transaction_type: TransactionType,
        amount: &str,
        date: NaiveDate,
        category_id: Option<Uuid>,
    ) -> Uuid {
        let amount = AmountText::Text(amount.to_owned());
        let draft = Draft {
            category_id,
            ..Draft::new(wallet_id, transaction_type, amount, date)
        };
        self.make(person, draft).await
    }

    /// A transfer from cash to the bank, and an expense that is split and has a tag, on one day.
    pub(super) async fn transfer_and_split(&self, person: Person) -> (Uuid, Uuid) {
        let amount = |text: &str| AmountText::Text(text.to_owned());
        let draft = |kind| Draft::new(person.cash, kind, amount("10.00"), day(11, 9));
        let split = |category_id, text: &str| SplitDraft {
            category_id,
            amount: amount(text),
            description: None,
        };
        let transfer = Draft {
            to_wallet_id: Some(person.bank),
            ..draft(TransactionType::Transfer)
        };
        let spent = Draft {
            splits: vec![split(Some(person.food), "4.00"), split(None, "6.00")],
            tags: vec!["weekly".to_owned()],
            ..draft(TransactionType::Expense)
        };
        (
            self.make(person, transfer).await,
            self.make(person, spent).await,
        )
    }

    async fn make(&self, person: Person, draft: Draft) -> Uuid {
        let (act, id) = (self.act(person), self.ids.v7(self.now()));
        self.store
            .write(move |tx| async move { transactions::book(&tx, act, id, draft).await })
            .await
            .unwrap();
        id
    }

    async fn wallet(&self, user_id: Uuid, name: &str, opening_minor: i64) -> Uuid {
        let now = self.now();
        let wallet = Wallet::new(
            self.ids.v7(now),
            name.to_owned(),
            WalletType::Cash,
            Money::new(opening_minor, eur()),
            now,
        );
        let id = wallet.id;
        self.store
            .write(move |tx| async move { wallets::create(&tx, user_id, &wallet).await })
            .await
            .unwrap();
        id
    }

    async fn category(&self, user_id: Uuid) -> Uuid {
        let now = self.now();
        let category = Category {
            id: self.ids.v7(now),
            name: "Food".to_owned(),
            kind: CategoryKind::Expense,
            parent_id: None,
            color: None,
            icon: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let id = category.id;
        self.store
            .write(move |tx| async move { categories::create(&tx, user_id, &category).await })
            .await
            .unwrap();
        id
    }

    async fn budget(
        &self,
        user_id: Uuid,
        period: PeriodKind,
        starts_on: Option<NaiveDate>,
        category_ids: Vec<Uuid>,
    ) -> Uuid {
        let now = self.now();
        let budget = Budget {
            id: self.ids.v7(now),
            user_id,
            name: "Budget".to_owned(),
            limit: Money::new(10_000, eur()),
            period,
            starts_on,
            alert_at: Thresholds::new(vec![80, 100]).unwrap(),
            category_ids,
            rollover_from: None,
            former_limits: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let id = budget.id;
        self.store
            .write(move |tx| async move { budgets::create(&tx, &budget, now.date_naive()).await })
            .await
            .unwrap();
        id
    }
}
