//! People who book and listen, whatever happens: who gets no answer asks again with the same key, at
//! another replica if there is one, and whose stream breaks off opens it again where it ended.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{Datelike, Days, NaiveDate};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use wealth_companion::clock::Clock;

use super::world::PASSWORD;
use super::{Answer, Person};

/// How many people there are.
const PEOPLE: usize = 4;
/// How often each books.
const PACE: Duration = Duration::from_millis(200);
/// One of so many bookings breaks a budget.
const BREAKS_EVERY: usize = 6;
/// What a budget tells of, percent: a booking that breaks it reaches both.
const THRESHOLDS: [u64; 2] = [80, 100];
/// How long a client waits for an answer, while much else is at work on the same machine.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How soon it asks again.
const AGAIN: Duration = Duration::from_millis(50);
/// How long it may take until things go on after a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// People who book and listen until they are told to stop.
pub(crate) struct Load {
    clients: Vec<Arc<Client>>,
    seen: Arc<Seen>,
    booking: Vec<JoinHandle<()>>,
    listening: Vec<JoinHandle<()>>,
}

/// What they have seen together.
#[derive(Default)]
struct Seen {
    acknowledged: AtomicUsize,
    heard: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

/// Somebody with a budget of a dollar a week.
struct Client {
    /// The same person at each replica.
    person: Vec<Person>,
    /// The replica that answers.
    turn: AtomicUsize,
    wallet: String,
    category: String,
    /// Of the first week.
    monday: NaiveDate,
    acknowledged: Mutex<Vec<String>>,
    broken: AtomicUsize,
    /// Places in the stream, and what the alerts tell of.
    heard: Mutex<Vec<(i64, Crossing)>>,
}

/// The first day of a week, and a threshold that was reached in it.
type Crossing = (String, u64);

/// What was booked and heard in the end.
pub(crate) struct Booked {
    /// The ids of all bookings that were answered by 201.
    pub(crate) acknowledged: BTreeSet<String>,
    /// How often a client got another answer, or none.
    pub(crate) refused: usize,
    clients: Vec<Arc<Client>>,
    listening: Vec<JoinHandle<()>>,
}

impl Load {
    /// People of these replicas begin.
    pub(crate) async fn begin(urls: &[String]) -> Self {
        let seen = Arc::new(Seen::default());
        let clients = (0..PEOPLE).map(|number| Client::new(urls, number));
        let clients: Vec<Arc<Client>> = join_all(clients).await;
        let booking = clients.iter().map(|client| {
            let (client, seen) = (Arc::clone(client), Arc::clone(&seen));
            tokio::spawn(async move { client.book(&seen).await })
        });
        let listening = clients.iter().map(|client| {
            let (client, seen) = (Arc::clone(client), Arc::clone(&seen));
            tokio::spawn(async move { client.listen(&seen).await })
        });
        Self {
            booking: booking.collect(),
            listening: listening.collect(),
            clients,
            seen,
        }
    }

    /// Waits until so many more bookings are acknowledged.
    pub(crate) async fn books(&self, more: usize) {
        more_of(&self.seen.acknowledged, more, "bookings").await;
    }

    /// Waits until so many more alerts are heard: then the whole chain works.
    pub(crate) async fn hears(&self, more: usize) {
        more_of(&self.seen.heard, more, "alerts").await;
    }

    /// Waits until so many more answers are no 201.
    pub(crate) async fn is_refused(&self, more: usize) {
        more_of(&self.seen.refused, more, "refusals").await;
    }

    /// How often a client got another answer than 201, or none.
    pub(crate) fn refused(&self) -> usize {
        self.seen.refused.load(Ordering::Relaxed)
    }

    /// Lets everybody finish the booking that they are at. They listen on.
    pub(crate) async fn end(self) -> Booked {
        self.seen.stop.store(true, Ordering::Relaxed);
        for booking in self.booking {
            booking.await.expect("all answers are among those known");
        }
        let acknowledged = self.clients.iter();
        let acknowledged = acknowledged.flat_map(|client| lock(&client.acknowledged).clone());
        Booked {
            acknowledged: acknowledged.collect(),
            refused: self.seen.refused.load(Ordering::Relaxed),
            clients: self.clients,
            listening: self.listening,
        }
    }
}

impl Client {
    async fn new(urls: &[String], number: usize) -> Arc<Self> {
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.expect("a client");
        let body = json!({"email": format!("person-{number}@example.com"), "password": PASSWORD});
        let request = http.post(format!("{}/v1/auth/register", urls[0]));
        let session = Answer::to(request.json(&body)).await.expect(201);
        let first = Person::signed_in(&urls[0], &http, &session.body);
        let category = first.category("Groceries").await;
        let budget = json!({
            "name": "Budget", "category_ids": [category], "amount": "1.00", "currency": "USD",
            "period": "weekly"
        });
        first.post("/v1/budgets", &budget).await.expect(201);
        let today = Clock::system().now().date_naive();
        let to_monday = 7 - u64::from(today.weekday().num_days_from_monday());
        Arc::new(Self {
            wallet: first.wallet("Checking", "USD", "0").await,
            category,
            person: urls.iter().map(|url| first.follows(url)).collect(),
            turn: AtomicUsize::new(number),
            monday: today + Days::new(to_monday),
            acknowledged: Mutex::default(),
            broken: AtomicUsize::new(0),
            heard: Mutex::default(),
        })
    }

    fn person(&self) -> &Person {
        &self.person[self.turn.load(Ordering::Relaxed) % self.person.len()]
    }

    /// Looks for another replica.
    async fn turn_away(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        sleep(AGAIN).await;
    }

    async fn book(&self, seen: &Seen) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0;
        while !seen.stop.load(Ordering::Relaxed) {
            pace.tick().await;
            self.book_one(number, seen).await;
            number += 1;
        }
    }

    /// Asks until it is acknowledged, with the same key.
    async fn book_one(&self, number: usize, seen: &Seen) {
        let body = self.booking(number);
        let breaks = body["type"] == "expense";
        loop {
            match self.ask(&number.to_string(), &body).await {
                Some(answer) if answer.status == 201 => {
                    lock(&self.acknowledged).push(answer.id());
                    self.broken
                        .fetch_add(usize::from(breaks), Ordering::Relaxed);
                    seen.acknowledged.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                // 409: the first of two requests with this key still runs.
                Some(answer) if matches!(answer.status, 409 | 503) => {}
                Some(answer) => panic!("{answer:?}"),
                None => {}
            }
            seen.refused.fetch_add(1, Ordering::Relaxed);
            self.turn_away().await;
        }
    }

    async fn ask(&self, key: &str, body: &Value) -> Option<Answer> {
        let request = self.person().request(Method::POST, "/v1/transactions");
        let request = request.header("Idempotency-Key", key).json(body);
        let response = request.timeout(TIMEOUT).send().await.ok()?;
        Answer::try_read(response).await
    }

    /// An expense in a week of its own breaks the budget anew.
    fn booking(&self, number: usize) -> Value {
        if !number.is_multiple_of(BREAKS_EVERY) {
            return json!({"wallet_id": self.wallet, "type": "income", "amount": "1.00"});
        }
        let week = u64::try_from(number / BREAKS_EVERY).expect("a few");
        json!({
            "wallet_id": self.wallet, "category_id": self.category, "type": "expense",
            "amount": "2.00", "date": (self.monday + Days::new(7 * week)).to_string()
        })
    }

    async fn listen(&self, seen: &Seen) {
        // From the beginning on.
        let mut last = "0".to_owned();
        loop {
            let stream = self.person().try_to_follow(Some(&last)).await;
            if let Some(mut stream) = stream {
                while let Some((id, alert)) = stream.alert_or_end().await {
                    let place = id.parse().expect("a number");
                    lock(&self.heard).push((place, crossing_of(&alert)));
                    seen.heard.fetch_add(1, Ordering::Relaxed);
                    last = id;
                }
            }
            self.turn_away().await;
        }
    }

    /// All that its bookings have crossed.
    fn crossings(&self) -> Vec<Crossing> {
        let weeks = self.broken.load(Ordering::Relaxed);
        let mondays = (0..).step_by(7).take(weeks);
        let mondays = mondays.map(|days| (self.monday + Days::new(days)).to_string());
        let both = |monday: String| THRESHOLDS.map(|threshold| (monday.clone(), threshold));
        mondays.flat_map(both).collect()
    }
}

fn crossing_of(alert: &Value) -> Crossing {
    let details = &alert["details"];
    let week = details["period_start"].as_str().expect("a day");
    let threshold = details["threshold"].as_u64().expect("a number");
    (week.to_owned(), threshold)
}

impl Booked {
    /// How many thresholds the bookings have crossed.
    pub(crate) fn crossings(&self) -> usize {
        let clients = self.clients.iter();
        clients.map(|client| client.crossings().len()).sum()
    }

    /// What was not heard of yet.
    pub(crate) fn not_heard(&self) -> Vec<String> {
        let left = |client: &Arc<Client>| {
            let heard = lock(&client.heard).len();
            let crossed = client.crossings().len();
            (heard < crossed).then(|| format!("{heard} of {crossed} alerts are heard"))
        };
        self.clients.iter().filter_map(left).collect()
    }

    /// Asserts that everybody has heard of each of their crossings once, in the order of the stream.
    #[track_caller]
    pub(crate) fn heard_once(&self) {
        for client in &self.clients {
            let heard = lock(&client.heard);
            let is_in_order = heard.is_sorted_by(|one, next| one.0 < next.0);
            assert!(is_in_order, "{heard:?}");
            let mut of: Vec<Crossing> = heard.iter().map(|(_, of)| of.clone()).collect();
            of.sort();
            assert_eq!(of, client.crossings());
        }
    }
}

impl Drop for Booked {
    fn drop(&mut self) {
        for listening in &self.listening {
            listening.abort();
        }
    }
}

async fn more_of(count: &AtomicUsize, more: usize, of_what: &str) {
    let wanted = count.load(Ordering::Relaxed) + more;
    let begun = Instant::now();
    while count.load(Ordering::Relaxed) < wanted {
        assert!(begun.elapsed() < PATIENCE, "{of_what} do not go on");
        sleep(Duration::from_millis(5)).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
