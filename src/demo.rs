//! `wealth-companion demo`: a household's year, played through the public HTTP API.
//!
//! It is a client like any other. Eleven months are booked many at a time; then come today's
//! bookings, which break two budgets while the stream of alerts is open; and in the evening what one
//! does with books besides.

mod answers;
mod books;
mod chance;
mod client;
mod evening;
mod farewell;
mod habits;
mod household;
mod sse;
mod story;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::NaiveDate;
use futures_util::{StreamExt, TryStreamExt, stream as streams};
use serde_json::json;
use tokio::time::sleep;

use answers::{Alert, Dashboard, Page, Session};
use books::Books;
use chance::Chance;
use client::Client;
use household::{BUDGETS, CURRENCY, LiveBooking, MonthPlan, Plan, WALLETS};
use story::{Teller, decimal};
use stream::AlertStream;

/// Bookings under way at the same time.
const PARALLEL: usize = 8;
/// How long an alert may take.
const ALERT_MAX: Duration = Duration::from_secs(5);
/// How often to look whether the dashboard shows all bookings; each look waits up to two seconds.
const LOOKS_MAX: u32 = 5;

/// How the demo is to be played.
#[derive(Clone)]
pub struct DemoOptions {
    /// Where the server's public API is, for example `http://127.0.0.1:8080`.
    pub url: String,
    /// A pause before each chapter and each of today's bookings, for those who watch.
    pub pace: Duration,
    /// The last day of the year; must be today in UTC, or the server finds nothing to alert to.
    pub today: NaiveDate,
    /// Makes the e-mail address unique, and is the seed of the year.
    pub tag: String,
    /// Deletes the demo user at the end, however it ends.
    pub forget: bool,
    /// The demo user's password, 12 to 128 characters; it is printed.
    pub password: String,
}

/// Plays the demo, and prints it to standard output.
///
/// # Errors
/// The server cannot be reached or refuses a request, an alert does not come, the dashboard does not
/// show what was booked, or standard output is closed.
pub async fn run(options: DemoOptions) -> anyhow::Result<()> {
    let teller = Arc::new(Teller::on_stdout());
    let mut client = Client::new(&options.url, Arc::clone(&teller))?;
    let mut chance = Chance::of(&options.tag);
    let plan = Plan::of(&mut chance, options.today).context("no year ends on this day")?;
    let demo = Demo {
        email: format!("demo-{}@example.com", options.tag),
        options,
        plan,
        teller,
    };
    let played = demo.play(&mut client, chance).await;
    if demo.options.forget {
        let forgotten = demo.forget(&client).await;
        return played.and(forgotten);
    }
    played
}

struct Demo {
    options: DemoOptions,
    email: String,
    plan: Plan,
    teller: Arc<Teller>,
}

impl Demo {
    async fn play(&self, client: &mut Client, mut chance: Chance) -> anyhow::Result<()> {
        self.sign_up(client).await?;
        let books = self.open_books(client, &mut chance).await?;
        let mut alerts = AlertStream::open(client).await?;
        self.book_the_year(client, &books).await?;
        self.live_through_today(client, &books, &mut alerts).await?;
        let position = self.evening(client, &books, &mut chance).await?;
        self.look_back(client, &position).await?;
        if self.options.forget {
            return Ok(());
        }
        self.how_to_go_on(client, &books)
    }

    async fn forget(&self, client: &Client) -> anyhow::Result<()> {
        if client.is_signed_in() {
            client.delete("/v1/me").await?;
            self.teller.say("the household and its books are deleted")?;
        }
        Ok(())
    }

    async fn sign_up(&self, client: &mut Client) -> anyhow::Result<()> {
        self.teller
            .chapter(&format!("A household's year, through {}", client.base()))?;
        let body = json!({
            "email": self.email,
            "password": self.options.password,
            "currency": CURRENCY,
            "time_zone": "UTC",
        });
        let session: Session = client.post("/v1/auth/register", &body, None).await?.body;
        client.signed_in(session.access_token);
        self.teller
            .say(&format!("Ada and Ben sign up: {}, {CURRENCY}", self.email))?;
        Ok(())
    }

    async fn open_books(&self, client: &Client, chance: &mut Chance) -> anyhow::Result<Books> {
        let books = Books::open(client, chance, &self.plan).await?;
        let wallets = WALLETS.map(|it| format!("{} {}", it.name, decimal(it.opening_cents)));
        self.teller
            .say(&format!("wallets: {}", wallets.join(", ")))?;
        let budgets = BUDGETS.map(|it| format!("{} {}", it.name, decimal(it.limit_cents)));
        self.teller
            .say(&format!("budgets a month: {}", budgets.join(", ")))?;
        Ok(books)
    }

    async fn book_the_year(&self, client: &Client, books: &Books) -> anyhow::Result<()> {
        sleep(self.options.pace).await;
        let (all, begun) = (self.plan.len(), Instant::now());
        self.teller.chapter("The year, up to today")?;
        let (mut done, mut position) = (0, String::new());
        for month in &self.plan.months {
            position = self.book_month(client, books, month, &mut done).await?;
        }
        let booked_in = begun.elapsed();
        self.teller.say(&format!(
            "{all} bookings in {booked_in:.1?}, {PARALLEL} at a time"
        ))?;
        self.settled(client, &position, self.plan.spent_before_live())
            .await?;
        Ok(())
    }

    /// Books a month; gives the place in the log of its last booking.
    async fn book_month(
        &self,
        client: &Client,
        books: &Books,
        month: &MonthPlan,
        done: &mut usize,
    ) -> anyhow::Result<String> {
        let name = month.first_day.format("%Y-%m").to_string();
        let requests: Vec<_> = month
            .bookings
            .iter()
            .map(|it| books.book(client, it))
            .collect();
        let mut answers = streams::iter(requests).buffer_unordered(PARALLEL);
        let mut position = None;
        while let Some(answer) = answers.try_next().await? {
            position = answer.position.or(position);
            *done += 1;
            self.teller.progress(&name, *done, self.plan.len())?;
        }
        self.teller.month_done(&name, month.bookings.len())?;
        position.context("the server did not say where it wrote (X-Log-Position)")
    }

    /// Today's bookings.
    async fn live_through_today(
        &self,
        client: &Client,
        books: &Books,
        alerts: &mut AlertStream,
    ) -> anyhow::Result<()> {
        let today = self.options.today;
        self.teller
            .chapter(&format!("Today, {today}, with the stream of alerts open"))?;
        for live in &self.plan.live {
            sleep(self.options.pace).await;
            self.live(client, books, alerts, live).await?;
        }
        if let Some(last) = self.plan.live.last() {
            let again = books.book(client, &last.booking).await?;
            if again.replayed {
                self.teller
                    .note("sent once more with its Idempotency-Key: booked only once")?;
            }
        }
        Ok(())
    }

    async fn live(
        &self,
        client: &Client,
        books: &Books,
        alerts: &mut AlertStream,
        live: &LiveBooking,
    ) -> anyhow::Result<()> {
        let budget_id = books.budget(live.budget)?;
        self.teller.booking(&live.booking)?;
        let booked = books.book(client, &live.booking).await?;
        loop {
            let left = ALERT_MAX.saturating_sub(booked.sent.elapsed());
            let Some(arrival) = alerts.next(left).await? else {
                return Err(self.no_alert(live));
            };
            let latency = arrival.at.saturating_duration_since(booked.sent);
            self.teller.alert(&arrival.alert, latency)?;
            if arrival.alert.tells_of(budget_id, live.threshold) {
                return Ok(());
            }
        }
    }

    fn no_alert(&self, live: &LiveBooking) -> anyhow::Error {
        let (budget, threshold, today) = (live.budget, live.threshold, self.options.today);
        let secs = ALERT_MAX.as_secs();
        anyhow::anyhow!(
            "{budget} is over {threshold} %, but no alert came in {secs} s: do the projector and the \
             notifier run, and is it {today} (UTC) where they do?"
        )
    }

    /// The dashboard, once it shows this spending of the current month (cents).
    async fn settled(
        &self,
        client: &Client,
        position: &str,
        spending: u64,
    ) -> anyhow::Result<Dashboard> {
        let month = self.options.today.format("%Y-%m").to_string();
        let query = [
            ("month", month.as_str()),
            ("currency", CURRENCY),
            ("wait_for", position),
        ];
        let wanted = decimal(spending);
        let mut shown = String::new();
        for _ in 0..LOOKS_MAX {
            let dashboard: Dashboard = client.get("/v1/dashboard", &query).await?.body;
            if dashboard.spending == wanted {
                return Ok(dashboard);
            }
            shown = dashboard.spending;
        }
        bail!("{month}: {wanted} {CURRENCY} was spent, the dashboard shows {shown}")
    }

    async fn look_back(&self, client: &Client, position: &str) -> anyhow::Result<()> {
        sleep(self.options.pace).await;
        let spending =
            self.plan.spent_before_live() + self.plan.spent_live() + evening::SPENT_CENTS;
        let dashboard = self.settled(client, position, spending).await?;
        self.teller.chapter("The year on the dashboard")?;
        self.teller.trend(&dashboard.trend)?;
        self.teller.chapter("What this month went into")?;
        self.teller.top_categories(&dashboard.by_category)?;
        self.teller.chapter("This month's budgets")?;
        self.teller.budgets(&dashboard.budgets)?;
        let page: Page<Alert> = client.get("/v1/alerts", &[("limit", "200")]).await?.body;
        let historic = page.items.iter().filter(|alert| alert.historic).count();
        if historic > 0 {
            self.teller.note(&format!(
                "past months made {historic} alerts more: in the list as historic, never streamed"
            ))?;
        }
        self.insights(client).await
    }
}
