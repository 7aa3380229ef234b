//! The evening, over the books: what one does with them besides booking.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::sleep;

use super::Demo;
use super::answers::{Created, Goal, Insight, Page, Preview, Recurring, Run, Wallet};
use super::books::Books;
use super::chance::Chance;
use super::client::{Answer, Client};
use super::household::CURRENCY;
use super::story::decimal;

/// One receipt: what of it was for what, cents.
const RECEIPT: [(&str, u64); 2] = [("Health", 2_490), ("Shopping", 3_990)];
const CARD_BILL_CENTS: u64 = 35_000;
const POCKET_MONEY_CENTS: u64 = 4_000;
const TRIP_CENTS: u64 = 180_000;
const PUT_ASIDE_CENTS: u64 = 45_000;
/// Who drives.
const RIDES: &str = "^(city cab|night ride)$";
/// What is done behind an answer is done by then.
const DONE_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Insights that are told.
const TOLD_MAX: usize = 3;

/// What the evening spends, cents.
pub(super) const SPENT_CENTS: u64 = RECEIPT[0].1 + RECEIPT[1].1;

impl Demo {
    /// A transfer, a receipt in parts, what comes again, a goal and a rule. Gives the place in the log of the last
    /// expense.
    pub(super) async fn evening(
        &self,
        client: &Client,
        books: &Books,
        chance: &mut Chance,
    ) -> anyhow::Result<String> {
        sleep(self.options.pace).await;
        self.teller.chapter("In the evening, over the books")?;
        self.pay_the_card(client, books, chance).await?;
        let position = self.enter_the_receipt(client, books, chance).await?;
        self.give_pocket_money(client, books, chance).await?;
        self.save_for_a_trip(client, chance).await?;
        self.tag_the_rides(client, chance).await?;
        let wallets: Page<Wallet> = client.get("/v1/wallets", &[]).await?.body;
        let wallets = wallets.items.iter();
        let wallets: Vec<String> = wallets
            .map(|it| format!("{} {}", it.name, it.balance))
            .collect();
        self.teller
            .say(&format!("so there is now: {}", wallets.join(", ")))?;
        Ok(position)
    }

    async fn pay_the_card(
        &self,
        client: &Client,
        books: &Books,
        chance: &mut Chance,
    ) -> anyhow::Result<()> {
        let amount = decimal(CARD_BILL_CENTS);
        let body = json!({
            "wallet_id": books.wallet("Checking")?, "to_wallet_id": books.wallet("Credit card")?,
            "type": "transfer", "amount": amount, "date": self.options.today, "description": "Card bill",
        });
        create(client, chance, "/v1/transactions", &body).await?;
        self.teller.say(&format!(
            "the card's bill: {amount} go from Checking to Credit card, and are not spent"
        ))?;
        Ok(())
    }

    async fn enter_the_receipt(
        &self,
        client: &Client,
        books: &Books,
        chance: &mut Chance,
    ) -> anyhow::Result<String> {
        let mut splits = Vec::new();
        for (category, cents) in RECEIPT {
            splits
                .push(json!({"category_id": books.category(category)?, "amount": decimal(cents)}));
        }
        let amount = decimal(SPENT_CENTS);
        let body = json!({
            "wallet_id": books.wallet("Credit card")?, "type": "expense", "amount": amount,
            "date": self.options.today, "payee": "Elm Street Pharmacy", "splits": splits,
        });
        let booked = create(client, chance, "/v1/transactions", &body).await?;
        let parts = RECEIPT.map(|(category, cents)| format!("{category} {}", decimal(cents)));
        self.teller.say(&format!(
            "one receipt in parts: {amount} at Elm Street Pharmacy, {}",
            parts.join(" and ")
        ))?;
        booked
            .position
            .context("the server did not say where it wrote")
    }

    async fn give_pocket_money(
        &self,
        client: &Client,
        books: &Books,
        chance: &mut Chance,
    ) -> anyhow::Result<()> {
        let (amount, today) = (decimal(POCKET_MONEY_CENTS), self.options.today);
        let body = json!({
            "wallet_id": books.wallet("Checking")?, "to_wallet_id": books.wallet("Cash")?,
            "type": "transfer", "amount": amount, "description": "Pocket money",
            "rrule": "FREQ=WEEKLY", "starts_on": today,
        });
        let made = create(client, chance, "/v1/recurring", &body).await?;
        let path = format!("/v1/recurring/{}", made.body.id);
        let is_booked = |it: &Recurring| it.next_on.is_some_and(|day| day > today);
        let recurring = until(client, &path, is_booked).await?;
        let next = recurring
            .next_on
            .context("what comes again has an end")?
            .to_string();
        self.teller.say(&format!(
            "every week {amount} of pocket money, from Checking to Cash: today's is booked, the next comes on {next}"
        ))?;
        Ok(())
    }

    async fn save_for_a_trip(&self, client: &Client, chance: &mut Chance) -> anyhow::Result<()> {
        let (target, aside) = (decimal(TRIP_CENTS), decimal(PUT_ASIDE_CENTS));
        let body =
            json!({"name": "Summer by the sea", "target_amount": target, "currency": CURRENCY});
        let made = create(client, chance, "/v1/goals", &body).await?;
        let path = format!("/v1/goals/{}", made.body.id);
        let body = json!({"amount": aside, "date": self.options.today});
        create(client, chance, &format!("{path}/contributions"), &body).await?;
        let goal: Goal = client.get(&path, &[]).await?.body;
        self.teller.say(&format!(
            "a goal, Summer by the sea: {} of {target} put aside, {} %",
            goal.saved, goal.percent
        ))?;
        Ok(())
    }

    /// Tries a rule, and then lets it do what it said.
    async fn tag_the_rides(&self, client: &Client, chance: &mut Chance) -> anyhow::Result<()> {
        let body = json!({
            "name": "Rides", "tags": ["taxi"],
            "conditions": [{"field": "payee", "operator": "matches", "value": RIDES}],
        });
        let rule = create(client, chance, "/v1/rules", &body).await?.body.id;
        let id = rule.to_string();
        let query = [("rule_id", id.as_str())];
        let preview: Preview = client.get("/v1/rule-preview", &query).await?.body;
        let begun = create(client, chance, "/v1/rule-runs", &json!({"rule_id": rule})).await?;
        let path = format!("/v1/rule-runs/{}", begun.body.id);
        let run = until(client, &path, |run: &Run| run.state == "done").await?;
        if run.changed != preview.would_change {
            bail!(
                "a rule changed {} bookings, and its preview named {}",
                run.changed,
                preview.would_change
            );
        }
        self.teller.say(&format!(
            "a rule gives rides the tag taxi: tried first, {} of {} bookings would change; now they have",
            preview.would_change, preview.examined
        ))?;
        Ok(())
    }

    /// What was found that is worth knowing, if the projector has looked by now.
    pub(super) async fn insights(&self, client: &Client) -> anyhow::Result<()> {
        let found: Page<Insight> = client.get("/v1/insights", &[("limit", "200")]).await?.body;
        if found.items.is_empty() {
            return Ok(());
        }
        self.teller.chapter("What is worth knowing")?;
        for insight in found.items.iter().take(TOLD_MAX) {
            self.teller.say(&insight.title)?;
        }
        Ok(())
    }
}

async fn create(
    client: &Client,
    chance: &mut Chance,
    path: &str,
    body: &serde_json::Value,
) -> anyhow::Result<Answer<Created>> {
    client.post(path, body, Some(chance.uuid())).await
}

/// The resource, once it is so.
async fn until<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    is_so: impl Fn(&T) -> bool,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        let found: T = client.get(path, &[]).await?.body;
        if is_so(&found) {
            return Ok(found);
        }
        if begun.elapsed() > DONE_MAX {
            bail!("{path}: it was not done in {} s", DONE_MAX.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}
