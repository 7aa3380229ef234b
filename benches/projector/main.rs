//! How many bookings the projector handles in a second on PostgreSQL, beside the least that the
//! database could do for them: the same rows, written by one statement a batch. And what a look for
//! insights takes, by the length of the history.
//!
//! `make bench-projector`; it needs the parts of `make stack`. `ARGS=looks` measures looks alone. For
//! each size of batch, without TLS and with it, some rounds measure both in turn, each round's figure
//! being its median batch.
//! Printed is the median round of each, and their ratio. The one statement always goes without TLS:
//! it is to show what the database can do, not what the way to it costs.

mod looks;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;
use wealth_companion::bus::{Handler, Heard};
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::config::{Config, LoadArgs};
use wealth_companion::domain::money::{Currency, Money};
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::events::catalogue::TransactionCreated;
use wealth_companion::events::{Cause, Event, Source};
use wealth_companion::projector::Projector;
use wealth_companion::store::Store;
use wealth_companion::store::schema::Schema;
use wealth_companion::store::users::{self, User};
use wealth_companion::telemetry::trace::TraceContext;

/// Users whose events are mixed, and the days and categories that they book on.
const USERS: usize = 200;
const DAYS: u64 = 28;
const CATEGORIES: usize = 10;
/// Batches of a round that are measured, after some that are not.
const BATCHES: usize = 24;
const WARM_UP: usize = 6;
const ROUNDS: usize = 5;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some((server, ca_file)) = server()? else {
        println!("projector: skipped; `make bench-projector` starts what it needs");
        return Ok(());
    };
    if std::env::args().any(|arg| arg == "looks") {
        return looks::measure(&server).await;
    }
    let secured = format!("sslmode=verify-full&sslrootcert={ca_file}");
    for size in [1, 20, 200, 1_000] {
        for (way, options) in [("without TLS", "sslmode=disable"), ("with TLS", &secured)] {
            let bench = Bench::begin(&server, "bench_projector", options).await?;
            let (ours, raw) = bench.rates(size).await?;
            let percent = ours * 100 / raw.max(1);
            println!(
                "batches of {size:>4} {way:<11}: projector {ours:>7}/s, raw {raw:>7}/s, ratio {}.{:02}",
                percent / 100,
                percent % 100
            );
            bench.end(&server)?;
        }
    }
    looks::measure(&server).await
}

/// The URL of the server that `make stack` started, and who vouches for it; none without a stack.
fn server() -> Result<Option<(String, String)>, Failure> {
    let folder = std::env::var_os("WEALTH_STACK_DIR").unwrap_or_else(|| ".stack".into());
    let Ok(text) = std::fs::read_to_string(Path::new(&folder).join("stack.json")) else {
        return Ok(None);
    };
    let stack: serde_json::Value = serde_json::from_str(&text)?;
    let of = |key: &str| stack["postgres"][key].as_str().map(str::to_owned);
    Ok(of("url").zip(of("ca_file")))
}

struct Bench {
    name: String,
    store: Store,
    unsecured: Store,
    clock: Clock,
    ids: Ids,
    users: Vec<Uuid>,
    categories: Vec<Uuid>,
}

impl Bench {
    async fn begin(server: &str, name: &str, options: &str) -> Result<Self, Failure> {
        psql(
            server,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )?;
        psql(server, &format!("CREATE DATABASE {name}"))?;
        let unsecured = config(server, name, "sslmode=disable")?;
        Schema::open(&unsecured).await?.up().await?;
        let (unsecured, _) = Store::open(&unsecured).await?;
        let (store, _) = Store::open(&config(server, name, options)?).await?;
        let (clock, ids) = (Clock::system(), Ids::seeded(1));
        let now = clock.now();
        let users: Vec<Uuid> = (0..USERS).map(|_| ids.v7(now)).collect();
        let categories = (0..CATEGORIES).map(|_| ids.v4()).collect();
        for (number, id) in users.iter().enumerate() {
            let user = User {
                id: *id,
                email: format!("{number}@example.com"),
                name: None,
                currency: usd(),
                time_zone: chrono_tz::UTC,
                ai_enabled: false,
                version: 1,
                created_at: now,
                updated_at: now,
            };
            let made = store
                .write(move |tx| async move { users::create(&tx, &user, String::new()).await });
            made.await?;
        }
        Ok(Self {
            name: name.to_owned(),
            store,
            unsecured,
            clock,
            ids,
            users,
            categories,
        })
    }

    fn end(&self, server: &str) -> Result<(), Failure> {
        psql(
            server,
            &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        )
    }

    /// Bookings a second: the projector's, and those of the one statement.
    async fn rates(&self, size: usize) -> Result<(u128, u128), Failure> {
        let (mut ours, mut raw) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(self.ours(size).await?);
            raw.push(self.raw(size).await?);
        }
        let second = Duration::from_secs(1).as_nanos();
        let rate = |took: Vec<Duration>| size as u128 * second / median(took).as_nanos().max(1);
        Ok((rate(ours), rate(raw)))
    }

    /// A batch of new bookings of many users.
    fn batch(&self, size: usize, round: usize) -> Vec<Event> {
        let now = self.clock.now();
        (0..size)
            .map(|index| self.event(round * size + index, now))
            .collect()
    }

    fn event(&self, number: usize, now: DateTime<Utc>) -> Event {
        let first = NaiveDate::from_ymd_opt(2026, 2, 1).unwrap_or_default();
        let day = first + Days::new(number as u64 % DAYS);
        let user_id = self.users[number * 7 % USERS];
        let transaction_id = self.ids.v7(now);
        let data = TransactionCreated {
            transaction_id,
            user_id,
            amount: Money::new(1_000 + i64::try_from(number % 100).unwrap_or(0), usd()).into(),
            currency: usd(),
            transaction_type: TransactionType::Expense,
            category: Some("Groceries".to_owned()),
            category_id: Some(self.categories[number % CATEGORIES]),
            splits: Vec::new(),
            description: None,
            payee: None,
            notes: None,
            tags: Vec::new(),
            to_wallet_id: None,
            to_amount: None,
            to_currency: None,
            wallet_id: user_id,
            date: day,
            timestamp: now,
            version: 1,
        };
        let cause = Cause {
            correlation_id: self.ids.v4(),
            causation_id: None,
            begun_at: None,
            trace: TraceContext {
                trace_id: self.ids.trace_id(),
                span_id: self.ids.span_id(),
                sampled: false,
            },
        };
        Event::new(self.ids.v4(), Source::Api, transaction_id, now, cause, data)
    }

    /// The median time of a batch by the projector, reading the envelopes included.
    async fn ours(&self, size: usize) -> Result<Duration, Failure> {
        let projector = Projector::new(self.store.clone(), self.clock.clone(), self.ids.clone());
        let mut took = Vec::with_capacity(BATCHES);
        for round in 0..WARM_UP + BATCHES {
            let envelopes: Vec<String> = self
                .batch(size, round)
                .iter()
                .map(Event::to_json)
                .collect::<Result<_, _>>()?;
            let begun = Instant::now();
            let heard = envelopes.into_iter().map(|envelope| {
                Ok(Heard {
                    event: Event::parse(envelope.as_bytes())?,
                    payload: envelope.into_bytes(),
                    position: None,
                    span_id: self.ids.span_id(),
                })
            });
            let heard: Arc<[Heard]> = heard.collect::<Result<_, Failure>>()?;
            projector.handle(heard).await?;
            took.push(begun.elapsed());
        }
        Ok(median(took.split_off(WARM_UP)))
    }

    /// The median time of the same rows in one statement a batch.
    async fn raw(&self, size: usize) -> Result<Duration, Failure> {
        let text = "WITH batch AS (SELECT * FROM jsonb_to_recordset($1::jsonb) \
               AS e(id uuid, user_id uuid, wallet_id uuid, category_id uuid, day date, minor bigint)), \
             seen AS (INSERT INTO inbox (consumer, event_id, handled_at) \
               SELECT 'raw', id, now() FROM batch ON CONFLICT DO NOTHING), \
             months AS (INSERT INTO monthly_totals AS kept (user_id, currency, month, type, category_id, wallet_id, \
               amount_minor, bookings) SELECT user_id, 'EUR', date_trunc('month', day)::date, 'expense', category_id, \
               wallet_id, sum(minor)::bigint, count(*) FROM batch GROUP BY 1, 2, 3, 4, 5, 6 \
               ON CONFLICT (user_id, currency, month, type, category_id, wallet_id) DO UPDATE SET \
               amount_minor = kept.amount_minor + excluded.amount_minor, bookings = kept.bookings + excluded.bookings) \
             INSERT INTO daily_spending AS kept (user_id, currency, date, category_id, amount_minor) \
               SELECT user_id, 'EUR', day, category_id, sum(minor)::bigint FROM batch GROUP BY 1, 2, 3, 4 \
               ON CONFLICT (user_id, currency, date, category_id) DO UPDATE SET \
               amount_minor = kept.amount_minor + excluded.amount_minor";
        let mut took = Vec::with_capacity(BATCHES);
        for round in 0..WARM_UP + BATCHES {
            let rows: Vec<serde_json::Value> = (0..size)
                .map(|index| {
                    let number = round * size + index;
                    let user = self.users[number * 7 % USERS];
                    serde_json::json!({
                        "id": self.ids.v4(), "user_id": user, "wallet_id": user,
                        "category_id": self.categories[number % CATEGORIES],
                        "day": format!("2026-02-{:02}", 1 + number as u64 % DAYS), "minor": 1_000
                    })
                })
                .collect();
            let rows = serde_json::Value::from(rows).to_string();
            let db = self.unsecured.reads();
            let statement =
                Statement::from_sql_and_values(db.get_database_backend(), text, [rows.into()]);
            let begun = Instant::now();
            db.execute_raw(statement).await?;
            took.push(begun.elapsed());
        }
        Ok(median(took.split_off(WARM_UP)))
    }
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

fn usd() -> Currency {
    Currency::parse("USD").unwrap_or_else(|error| panic!("{error}"))
}

fn config(server: &str, name: &str, options: &str) -> Result<Config, Failure> {
    let (host, _) = server.rsplit_once('/').ok_or("the URL names no database")?;
    let args = LoadArgs::new()
        .flag("database.url", format!("{host}/{name}?{options}"), "--set")
        .flag("auth.jwt_secret_key", "k".repeat(32), "--set");
    Ok(Config::load(&args)?.config)
}

fn psql(server: &str, text: &str) -> Result<(), Failure> {
    let output = Command::new("psql")
        .args(["-qX", server, "-c", text])
        .output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into())
    }
}
