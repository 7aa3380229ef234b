//! What the small pieces cost that every booking goes through: amounts, events, answers, sums; and what is reckoned
//! beside them.
//!
//! `make bench-micro`. Without arguments it measures time, with divan. With `--count NAME TIMES` it does
//! one piece so many times and nothing else, for `tools/instructions.py`, which counts instructions;
//! `--names` lists the pieces.

mod finance;

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use divan::Bencher;
use uuid::Uuid;
use wealth_companion::api::transactions::{NewTransaction, TransactionView};
use wealth_companion::bus::{Handler, Heard};
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::config::{Config, LoadArgs};
use wealth_companion::domain::budget::Thresholds;
use wealth_companion::domain::money::{self, Currency, Money};
use wealth_companion::domain::period::PeriodKind;
use wealth_companion::domain::transaction::TransactionType;
use wealth_companion::events::catalogue::TransactionCreated;
use wealth_companion::events::{Cause, Event, Source};
use wealth_companion::http::cursor;
use wealth_companion::http::problem::{FieldError, Problem};
use wealth_companion::projector::Projector;
use wealth_companion::projector::fold::{Fold, Movement, watched};
use wealth_companion::store::budgets::{self, Budget};
use wealth_companion::store::read_models::Standings;
use wealth_companion::store::transactions::{Parts, Transaction};
use wealth_companion::store::users::{self, User};
use wealth_companion::store::{PageRequest, Store};
use wealth_companion::telemetry::trace::TraceContext;

type Failure = Box<dyn std::error::Error>;
type Done = Result<(), Failure>;
/// Does a piece once.
type Once = Box<dyn FnMut() -> Done>;

/// A piece: its name, and what makes it ready.
#[derive(Clone, Copy)]
struct Piece {
    name: &'static str,
    ready: fn() -> Result<Once, Failure>,
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! pieces {
    ($($name:literal: $ready:expr;)+) => {
        &[$(Piece { name: $name, ready: || $ready },)+]
    };
}

const PIECES: &[Piece] = pieces! {
    "money-parse": money_parse();
    "money-print": money_print();
    "booking-read": booking_read();
    "booking-answer": booking_answer();
    "problem": problem();
    "cursor-encode": cursor_encode();
    "cursor-decode": cursor_decode();
    "event-encode": event_encode();
    "event-decode": event_decode();
    "fold-1": fold(1);
    "fold-20": fold(20);
    "fold-200": fold(200);
    "rules-100": finance::rules();
    "recurrence-next": finance::next_day();
    "rate-convert": finance::convert();
    "insights-2000": finance::insights();
    "projector-sqlite-1": projector(1);
    "projector-sqlite-20": projector(20);
    "projector-sqlite-200": projector(200);
};

fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--names"] => {
            for piece in PIECES {
                println!("{piece}");
            }
        }
        ["--count", name, times] => {
            let piece = PIECES.iter().find(|piece| piece.name == name);
            let mut once = (piece.ok_or("no such piece")?.ready)()?;
            for _ in 0..times.parse::<u32>()? {
                once()?;
            }
        }
        _ => divan::main(),
    }
    Ok(())
}

#[divan::bench(name = "once", args = PIECES)]
fn micro(bencher: Bencher, piece: &Piece) {
    let mut once = must((piece.ready)());
    bencher.bench_local(|| must(once()));
}

fn must<T>(done: Result<T, Failure>) -> T {
    done.unwrap_or_else(|error| panic!("{error}"))
}

fn said(problem: &Problem) -> Failure {
    problem.to_string().into()
}

fn money_parse() -> Result<Once, Failure> {
    let usd = usd()?;
    Ok(Box::new(move || {
        black_box(money::parse_amount(black_box("1234.56"), usd)?);
        Ok(())
    }))
}

fn money_print() -> Result<Once, Failure> {
    let amount = Money::new(123_456, usd()?);
    Ok(Box::new(move || {
        black_box(black_box(amount).to_string());
        Ok(())
    }))
}

fn booking_read() -> Result<Once, Failure> {
    let body =
        br#"{"wallet_id":"01920000-0000-7000-8000-00000000000a","type":"expense","amount":"12.34",
        "date":"2026-02-10","category_id":"01920000-0000-7000-8000-00000000000b",
        "description":"Weekly shopping","payee":"Corner shop"}"#;
    Ok(Box::new(move || {
        black_box(serde_json::from_slice::<NewTransaction>(black_box(body))?);
        Ok(())
    }))
}

fn booking_answer() -> Result<Once, Failure> {
    let books = Books::new(1)?;
    let booking = Transaction {
        id: books.ids.v7(books.now),
        wallet_id: books.ids.v7(books.now),
        transaction_type: TransactionType::Expense,
        amount: Money::new(1_234, books.currency),
        date: day(),
        category_id: Some(books.categories[0]),
        description: Some("Weekly shopping".to_owned()),
        payee: Some("Corner shop".to_owned()),
        notes: None,
        parts: Parts::default(),
        occurrence: None,
        version: 1,
        created_at: books.now,
        updated_at: books.now,
    };
    Ok(Box::new(move || {
        let view = TransactionView::from(black_box(&booking));
        black_box(serde_json::to_string(&view)?);
        Ok(())
    }))
}

/// The whole answer, headers and all.
fn problem() -> Result<Once, Failure> {
    let wrong = |pointer: &str, detail: &str| FieldError {
        pointer: pointer.to_owned(),
        detail: detail.to_owned(),
    };
    let problem = Problem::fields(vec![
        wrong("/amount", "an amount must be more than zero"),
        wrong("/description", "from 1 to 200 characters"),
    ]);
    Ok(Box::new(move || {
        black_box(black_box(&problem).answer("019c7a4e-3b1f-7d52-9f1e-2b6a50c3d7e8"));
        Ok(())
    }))
}

fn cursor_encode() -> Result<Once, Failure> {
    let key = (day(), Ids::seeded(1).v4());
    Ok(Box::new(move || {
        black_box(
            cursor::next("transactions", Some(black_box(&key)))
                .map_err(|problem| said(&problem))?,
        );
        Ok(())
    }))
}

fn cursor_decode() -> Result<Once, Failure> {
    let key = (day(), Ids::seeded(1).v4());
    let text = cursor::next("transactions", Some(&key)).map_err(|problem| said(&problem))?;
    Ok(Box::new(move || {
        let page: PageRequest<(NaiveDate, Uuid)> =
            cursor::page("transactions", None, black_box(text.as_deref()))
                .map_err(|problem| said(&problem))?;
        black_box(page);
        Ok(())
    }))
}

fn event_encode() -> Result<Once, Failure> {
    let event = Books::new(1)?.event(0);
    Ok(Box::new(move || {
        black_box(black_box(&event).to_json()?);
        Ok(())
    }))
}

fn event_decode() -> Result<Once, Failure> {
    let envelope = Books::new(1)?.event(0).to_json()?;
    Ok(Box::new(move || {
        black_box(Event::parse(black_box(envelope.as_bytes()))?);
        Ok(())
    }))
}

/// What the projector works out of a batch, without the database.
fn fold(size: usize) -> Result<Once, Failure> {
    let books = Books::new(size)?;
    let events: Vec<Event> = (0..size).map(|number| books.event(number)).collect();
    Ok(Box::new(move || {
        let movements: Vec<Movement> = black_box(&events)
            .iter()
            .map(|event| Movement::of(&event.data))
            .collect::<Result<_, _>>()?;
        let movements: Vec<&Movement> = movements.iter().collect();
        let watched = watched(&books.budgets, &movements, |_| books.now.date_naive());
        let mut fold = Fold::new(&books.budgets, Standings::untouched(&watched));
        for movement in movements {
            fold.apply(movement)?;
        }
        black_box((fold.period_sums(), fold.deltas(), fold.crossings()));
        Ok(())
    }))
}

/// A batch of new events through the projector, into a database in a temporary folder.
fn projector(size: usize) -> Result<Once, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir()?;
    let args = LoadArgs::new()
        .flag("data_dir", folder.path().display().to_string(), "--set")
        .flag("auth.jwt_secret_key", "k".repeat(32), "--set");
    let config = Config::load(&args)?.config;
    let books = Books::new(size)?;
    let (store, _) = runtime.block_on(Store::open(&config))?;
    runtime.block_on(books.keep(&store))?;
    let heard = (0..size).map(|number| {
        let event = books.event(number);
        let payload = event.to_json()?.into_bytes();
        Ok(Heard {
            event,
            payload,
            position: None,
            span_id: books.ids.span_id(),
        })
    });
    let mut batch: Vec<Heard> = heard.collect::<Result<_, Failure>>()?;
    let projector = Projector::new(store, Clock::fixed(books.now), books.ids.clone());
    Ok(Box::new(move || {
        // Known events would be passed over. The folder goes when the piece does.
        let _ = &folder;
        for heard in &mut batch {
            heard.event.id = books.ids.v4();
        }
        let outcomes = runtime.block_on(projector.handle(Arc::from(batch.as_slice())))?;
        black_box(outcomes);
        Ok(())
    }))
}

/// Some people's books: a budget for each of them, and bookings in turn.
struct Books {
    ids: Ids,
    now: DateTime<Utc>,
    currency: Currency,
    categories: Vec<Uuid>,
    budgets: Vec<Budget>,
}

impl Books {
    const PEOPLE: usize = 20;
    const CATEGORIES: usize = 10;
    const DAYS: u64 = 28;

    /// Books for batches of this size.
    fn new(size: usize) -> Result<Self, Failure> {
        let (ids, currency) = (Ids::seeded(1), usd()?);
        let now = "2026-02-10T08:15:30.123456Z".parse()?;
        let mut budgets = Vec::new();
        for number in 0..size.min(Self::PEOPLE) {
            budgets.push(Budget {
                id: ids.v7(now),
                user_id: ids.v7(now),
                name: format!("Budget {number}"),
                limit: Money::new(100_000_000_000, currency),
                period: PeriodKind::Monthly,
                starts_on: None,
                alert_at: Thresholds::new(vec![80, 100])?,
                category_ids: Vec::new(),
                rollover_from: None,
                former_limits: Vec::new(),
                version: 1,
                created_at: now,
                updated_at: now,
            });
        }
        let categories = (0..Self::CATEGORIES).map(|_| ids.v4()).collect();
        Ok(Self {
            ids,
            now,
            currency,
            categories,
            budgets,
        })
    }

    async fn keep(&self, store: &Store) -> Done {
        for budget in self.budgets.clone() {
            let user = User {
                id: budget.user_id,
                email: format!("{}@example.com", budget.user_id),
                name: None,
                currency: self.currency,
                time_zone: chrono_tz::UTC,
                ai_enabled: false,
                version: 1,
                created_at: self.now,
                updated_at: self.now,
            };
            let made = store.write(move |tx| async move {
                users::create(&tx, &user, String::new()).await?;
                budgets::create(&tx, &budget, budget.created_at.date_naive()).await
            });
            made.await?;
        }
        Ok(())
    }

    fn event(&self, number: usize) -> Event {
        let transaction_id = self.ids.v7(self.now);
        let data = TransactionCreated {
            transaction_id,
            user_id: self.budgets[number % self.budgets.len()].user_id,
            amount: Money::new(1_234, self.currency).into(),
            currency: self.currency,
            transaction_type: TransactionType::Expense,
            category: Some("Groceries".to_owned()),
            category_id: Some(self.categories[number % Self::CATEGORIES]),
            splits: Vec::new(),
            description: Some("Weekly shopping".to_owned()),
            payee: None,
            notes: None,
            tags: Vec::new(),
            to_wallet_id: None,
            to_amount: None,
            to_currency: None,
            wallet_id: self.categories[0],
            date: day() + Days::new(number as u64 % Self::DAYS),
            timestamp: self.now,
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
        Event::new(
            self.ids.v4(),
            Source::Api,
            transaction_id,
            self.now,
            cause,
            data,
        )
    }
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 2, 1).unwrap_or_default()
}

fn usd() -> Result<Currency, Failure> {
    Ok(Currency::parse("USD")?)
}
