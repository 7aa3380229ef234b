//! The household's books on the server: what was created in them, and how something is booked.

use std::collections::HashMap;

use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answers::{Category, Created, Page};
use super::chance::Chance;
use super::client::{Answer, Client};
use super::household::{BUDGETS, Booking, BudgetPlan, CURRENCY, Kind, Plan, WALLETS, WalletPlan};
use super::story::decimal;

type Names = HashMap<&'static str, Uuid>;

/// Ids by name.
#[derive(Debug)]
pub(super) struct Books {
    wallets: Names,
    categories: Names,
    budgets: Names,
}

impl Books {
    /// Opens the wallets, sees to the plan's categories, sets the budgets.
    pub(super) async fn open(
        client: &Client,
        chance: &mut Chance,
        plan: &Plan,
    ) -> anyhow::Result<Self> {
        let mut wallets = Names::new();
        for wallet in &WALLETS {
            let body = wallet_body(wallet);
            wallets.insert(
                wallet.name,
                create(client, chance, "/v1/wallets", &body).await?,
            );
        }
        let categories = categories(client, chance, plan).await?;
        let mut books = Self {
            wallets,
            categories,
            budgets: Names::new(),
        };
        for budget in &BUDGETS {
            let body = books.budget_body(budget)?;
            let id = create(client, chance, "/v1/budgets", &body).await?;
            books.budgets.insert(budget.name, id);
        }
        Ok(books)
    }

    /// Makes a booking; a second time with the same key, the server gives the first answer again.
    pub(super) async fn book(
        &self,
        client: &Client,
        booking: &Booking,
    ) -> anyhow::Result<Answer<Created>> {
        let body = self.booking_body(booking)?;
        client
            .post("/v1/transactions", &body, Some(booking.key))
            .await
    }

    /// The id of a wallet.
    pub(super) fn wallet(&self, name: &str) -> anyhow::Result<Uuid> {
        id_of(&self.wallets, name)
    }

    /// The id of a category.
    pub(super) fn category(&self, name: &str) -> anyhow::Result<Uuid> {
        id_of(&self.categories, name)
    }

    /// The id of a budget.
    pub(super) fn budget(&self, name: &str) -> anyhow::Result<Uuid> {
        id_of(&self.budgets, name)
    }

    /// The body of a booking, as the API takes it.
    pub(super) fn booking_body(&self, booking: &Booking) -> anyhow::Result<Value> {
        Ok(json!({
            "wallet_id": id_of(&self.wallets, booking.wallet)?,
            "type": booking.kind.word(),
            "amount": decimal(booking.cents),
            "date": booking.date,
            "category_id": id_of(&self.categories, booking.category)?,
            "description": booking.description,
            "payee": booking.payee,
        }))
    }

    fn budget_body(&self, budget: &BudgetPlan) -> anyhow::Result<Value> {
        let counted = budget
            .categories
            .iter()
            .map(|name| id_of(&self.categories, name));
        Ok(json!({
            "name": budget.name,
            "category_ids": counted.collect::<anyhow::Result<Vec<_>>>()?,
            "amount": decimal(budget.limit_cents),
            "currency": CURRENCY,
            "period": "monthly",
            "alert_at": [80, 100],
        }))
    }
}

fn wallet_body(wallet: &WalletPlan) -> Value {
    json!({
        "name": wallet.name,
        "type": wallet.wallet_type,
        "currency": CURRENCY,
        "opening_balance": decimal(wallet.opening_cents),
    })
}

async fn categories(client: &Client, chance: &mut Chance, plan: &Plan) -> anyhow::Result<Names> {
    let page: Page<Category> = client
        .get("/v1/categories", &[("limit", "200")])
        .await?
        .body;
    let mut ids = Names::new();
    for (name, kind) in plan.categories() {
        let id = match existing(&page.items, name, kind) {
            Some(id) => id,
            None => {
                let body = json!({"name": name, "kind": kind.word()});
                create(client, chance, "/v1/categories", &body).await?
            }
        };
        ids.insert(name, id);
    }
    Ok(ids)
}

fn existing(categories: &[Category], name: &str, kind: Kind) -> Option<Uuid> {
    let found = categories
        .iter()
        .find(|it| it.name == name && it.kind == kind.word())?;
    Some(found.id)
}

async fn create(
    client: &Client,
    chance: &mut Chance,
    path: &str,
    body: &Value,
) -> anyhow::Result<Uuid> {
    let created: Answer<Created> = client.post(path, body, Some(chance.uuid())).await?;
    Ok(created.body.id)
}

fn id_of(names: &Names, name: &str) -> anyhow::Result<Uuid> {
    names
        .get(name)
        .copied()
        .with_context(|| format!("the plan does not provide for {name}"))
}
