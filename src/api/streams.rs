//! Live streams of alerts, as server-sent events (WHATWG HTML, section 9.2).
//!
//! One task of each replica tails the alerts and gives each to the streams of its user; a stream
//! that comes back with `Last-Event-ID` reads what it missed from the database first. It does not
//! matter which replica handled the event: all tail the same table.
//!
//! A user's alerts are numbered in the order of their commits, those of different users are not, on
//! PostgreSQL. So the tail only says of whom there is news; what it is, is read by the user's own
//! place. News that was committed behind the tail is looked for every `streams.poll_ms`, in one
//! query however many streams are open.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use futures_util::future::pending;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Api;
use super::alerts::AlertView;
use super::session::{self, Session};
use crate::config;
use crate::http::Problem;
use crate::store::alerts::{self, Alert, Seen};
use crate::store::{Store, StoreError, sessions};
use crate::telemetry::metrics::names;
use crate::telemetry::spans::{self, Done, SpanKind};

/// Alerts that wait for one slow stream; one that falls further behind is ended, and resumes.
const BEHIND_MAX: usize = 64;
/// Alerts that are read at a time.
const BATCH: u64 = 200;
/// Users who are looked at in one query.
const USERS_MAX: usize = 500;
/// What the client should wait before it connects again, in milliseconds.
const RECONNECT_MS: u32 = 2_000;

/// The open streams of this replica.
#[derive(Debug)]
pub struct StreamHub {
    config: config::Streams,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// The last news that was seen, of anybody.
    tail: i64,
    /// Up to here no news can come any more; none until that is known of the first tail.
    settled: Option<i64>,
    /// A tail, and the first transaction that had not begun to write then: when all before it have
    /// ended, the tail is settled.
    settling: Option<(i64, i64)>,
    next_id: u64,
    by_user: HashMap<Uuid, Listening>,
}

/// The streams of a user.
#[derive(Debug)]
struct Listening {
    /// The last alert of the user that was given out.
    last: i64,
    places: Vec<Place>,
}

/// Where a stream gets its alerts from.
#[derive(Debug)]
struct Place {
    id: u64,
    session_id: Uuid,
    alerts: mpsc::Sender<Arc<Alert>>,
}

impl StreamHub {
    /// No streams yet.
    #[must_use]
    pub fn new(config: &config::Streams) -> Self {
        Self {
            config: config.clone(),
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins where the alerts end now: what is older is for those who ask by `Last-Event-ID`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn begin(&self, store: &Store) -> Result<(), StoreError> {
        let end = alerts::end(store.reads()).await?;
        self.open().tail = end;
        // Who had begun to write then may come behind it.
        if store.reads().is_server() {
            let seen = alerts::seen_after(store.reads(), end).await?;
            self.open().settling = Some((end, seen.begun));
        }
        Ok(())
    }

    /// Gives the next alerts to their streams; gives of how many there was news.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn tick(&self, store: &Store) -> Result<u64, StoreError> {
        let after = self.open().tail;
        let news = alerts::news_of_all_users(store.reads(), after, BATCH).await?;
        let count = news.len() as u64;
        let mut users: Vec<Uuid> = news.iter().map(|(_, user_id)| *user_id).collect();
        users.sort_unstable();
        users.dedup();
        self.give_to(store, users).await?;
        if let Some((last, _)) = news.last() {
            self.open().tail = *last;
        }
        Ok(count)
    }

    /// Looks for what was committed behind the tail, on PostgreSQL.
    ///
    /// Who writes an alert holds the user by then, and so has begun to write before the alert gets its
    /// number: before any greater number could be seen.
    async fn look_behind(&self, store: &Store) -> Result<(), StoreError> {
        let (tail, settled) = {
            let open = self.open();
            (open.tail, open.settled)
        };
        let seen = alerts::seen_after(store.reads(), settled.unwrap_or(tail)).await?;
        let missed = match settled {
            Some(_) => self.open().missed_of(&seen.newest),
            None => self.open().by_user.keys().copied().collect(),
        };
        self.give_to(store, missed).await?;
        self.open().settle(tail, &seen);
        Ok(())
    }

    /// Gives these users what is new of theirs.
    async fn give_to(&self, store: &Store, users: Vec<Uuid>) -> Result<(), StoreError> {
        for users in users.chunks(USERS_MAX) {
            loop {
                let places = self.open().places_of(users);
                let alerts = alerts::after(store.reads(), &places, BATCH).await?;
                let count = alerts.len() as u64;
                let mut open = self.open();
                for alert in alerts {
                    open.give(&Arc::new(alert));
                }
                if count < BATCH {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Ends the streams of this session or personal access token: it has ended.
    pub(super) fn end_session(&self, session_id: Uuid) {
        self.open().end(|place| place.session_id == session_id);
    }

    /// Ends the streams of this user, who has left.
    pub(super) fn end_user(&self, user_id: Uuid) {
        if let Some(listening) = self.open().by_user.get_mut(&user_id) {
            listening.places.clear();
        }
    }

    /// Ends the streams of sessions that have ended elsewhere, by signing out at another replica for
    /// example.
    async fn end_with_sessions(&self, store: &Store) -> Result<(), StoreError> {
        let mut open = self.open().sessions();
        open.sort_unstable();
        open.dedup();
        for open in open.chunks(USERS_MAX) {
            let ended = sessions::ended_of_all_users(store.reads(), open).await?;
            if !ended.is_empty() {
                self.open().end(|place| ended.contains(&place.session_id));
            }
        }
        Ok(())
    }

    /// Tails the alerts until draining begins.
    ///
    /// # Errors
    /// None that passes: the next tick tries again.
    pub async fn run(
        self: Arc<Self>,
        store: Store,
        draining: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut alerted = store.signals().alerted();
        let mut look_behind_at = Instant::now() + self.config.poll;
        let mut sessions_at = Instant::now() + session::CACHE_TTL;
        while !draining.is_cancelled() {
            alerted.mark_unchanged();
            let mut step = self.tick(&store).await;
            if look_behind_at <= Instant::now() {
                look_behind_at = Instant::now() + self.config.poll;
                if let (Ok(_), true) = (&step, store.reads().is_server()) {
                    let looked = self.look_behind(&store).await;
                    step = looked.and(step);
                }
            }
            if sessions_at <= Instant::now() {
                sessions_at = Instant::now() + session::CACHE_TTL;
                let ended = self.end_with_sessions(&store).await;
                step = ended.and(step);
            }
            match step {
                Ok(BATCH) => {}
                Ok(_) => {
                    tokio::select! {
                        () = draining.cancelled() => {}
                        _ = timeout_at(look_behind_at, alerted.changed()) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "streams: will try again");
                    let _ = timeout(self.config.poll, draining.cancelled()).await;
                }
            }
        }
        Ok(())
    }

    /// A place from which alerts after `tail` are given; those that came in the meantime are the
    /// stream's own to read.
    fn subscribe(
        self: &Arc<Self>,
        user_id: Uuid,
        session_id: Uuid,
        tail: i64,
    ) -> Result<Subscription, Problem> {
        let mut open = self.open();
        let id = open.next_id;
        let listening = open.by_user.entry(user_id).or_insert_with(|| Listening {
            last: tail,
            places: Vec::new(),
        });
        if listening.places.len() >= self.config.per_user_max {
            let detail = format!("at most {} open streams", self.config.per_user_max);
            return Err(Problem::too_many(detail, 10));
        }
        let (sender, alerts) = mpsc::channel(BEHIND_MAX);
        listening.places.push(Place {
            id,
            session_id,
            alerts: sender,
        });
        open.next_id += 1;
        metrics::gauge!(names::STREAMS_OPEN).increment(1.0);
        Ok(Subscription {
            hub: Arc::clone(self),
            user_id,
            id,
            alerts,
        })
    }
}

impl Open {
    /// Where those of the users are who listen.
    fn places_of(&self, users: &[Uuid]) -> Vec<(Uuid, i64)> {
        let listens = |user_id: &Uuid| Some((*user_id, self.by_user.get(user_id)?.last));
        users.iter().filter_map(listens).collect()
    }

    /// The sessions of all streams.
    fn sessions(&self) -> Vec<Uuid> {
        let places = self.by_user.values().flat_map(|it| &it.places);
        places.map(|place| place.session_id).collect()
    }

    /// Lets go of these: their senders are dropped, and they end.
    fn end(&mut self, is_over: impl Fn(&Place) -> bool) {
        for listening in self.by_user.values_mut() {
            listening.places.retain(|place| !is_over(place));
        }
    }

    /// Those who listen, and have not got their newest.
    fn missed_of(&self, newest: &[(Uuid, i64)]) -> Vec<Uuid> {
        let missed = |(user_id, seq): &(Uuid, i64)| {
            let listening = self.by_user.get(user_id)?;
            (listening.last < *seq).then_some(*user_id)
        };
        newest.iter().filter_map(missed).collect()
    }

    /// After what was seen behind this tail was given.
    fn settle(&mut self, tail: i64, seen: &Seen) {
        let (settling, begun) = *self.settling.get_or_insert((tail, seen.begun));
        if begun <= seen.ended {
            self.settled = Some(settling);
            self.settling = Some((tail, seen.begun));
        }
    }

    /// A stream that is too far behind is let go: its sender is dropped, and it ends.
    fn give(&mut self, alert: &Arc<Alert>) {
        if let Some(listening) = self.by_user.get_mut(&alert.user_id) {
            listening.last = listening.last.max(alert.seq);
            listening
                .places
                .retain(|place| place.alerts.try_send(Arc::clone(alert)).is_ok());
        }
    }
}

/// A stream's place in the hub.
struct Subscription {
    hub: Arc<StreamHub>,
    user_id: Uuid,
    id: u64,
    alerts: mpsc::Receiver<Arc<Alert>>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut open = self.hub.open();
        if let Some(listening) = open.by_user.get_mut(&self.user_id) {
            listening.places.retain(|place| place.id != self.id);
            if listening.places.is_empty() {
                open.by_user.remove(&self.user_id);
            }
        }
        metrics::gauge!(names::STREAMS_OPEN).decrement(1.0);
    }
}

/// Your alerts, as they come. `Last-Event-ID` resumes without loss; the stream ends when the access
/// token expires, when its session ends, and when the server stops.
#[utoipa::path(
    tag = "alerts",
    operation_id = "stream_alerts",
    params(("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that you saw", example = "7")),
    responses((
        status = 200, description = "Events `alert`, each with an alert as its data",
        content_type = "text/event-stream", body = String,
        example = "id: 7\nevent: alert\ndata: {\"id\":\"…\",\"kind\":\"budget_exceeded\"}\n\n"
    ))
)]
#[get("/v1/alerts/stream")]
pub(super) async fn follow(
    api: web::Data<Api>,
    session: Session,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let resume = last_event_id(&request)?;
    let user_id = session.user_id();
    let last = match resume {
        Some(last) => last,
        None => alerts::end_of(api.store.reads(), user_id).await?,
    };
    let subscription = api.streams.subscribe(user_id, session.session_id, last)?;
    let now = api.clock.now();
    let left = session
        .expires_at
        .map(|at| (at - now).to_std().unwrap_or(Duration::ZERO));
    let live = Live {
        last,
        behind: true,
        subscription,
        api: api.into_inner(),
        ready: VecDeque::from([format!("retry: {RECONNECT_MS}\n: connected\n\n")]),
        expires: left.map(|left| Instant::now() + left),
    };
    let events = stream::unfold(live, |mut live| async move {
        let chunk = live.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), live))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Box::pin(events)))
}

fn last_event_id(request: &HttpRequest) -> Result<Option<i64>, Problem> {
    request
        .headers()
        .get("last-event-id")
        .map(|value| {
            value
                .to_str()
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| {
                    Problem::header("Last-Event-ID", "send the id of an event of this stream")
                })
        })
        .transpose()
}

/// Waits until then, or for ever.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// One open stream.
struct Live {
    api: Arc<Api>,
    subscription: Subscription,
    /// The last alert that was sent.
    last: i64,
    /// There may be alerts in the database that were not sent.
    behind: bool,
    ready: VecDeque<String>,
    /// With a token that does.
    expires: Option<Instant>,
}

impl Live {
    /// The next chunk; none when the stream ends.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
            if self.behind {
                self.catch_up().await?;
                continue;
            }
            let heartbeat = Instant::now() + self.api.config.streams.heartbeat;
            tokio::select! {
                biased;
                () = self.api.draining.cancelled() => return None,
                () = until(self.expires) => return None,
                alert = self.subscription.alerts.recv() => {
                    let alert = alert?;
                    if self.send(&alert) {
                        tell(&alert, self.api.clock.now());
                    }
                }
                () = sleep_until(heartbeat) => return Some(": heartbeat\n\n".to_owned()),
            }
        }
    }

    /// Reads what was missed. A fault ends the stream: the client comes back, and loses nothing.
    async fn catch_up(&mut self) -> Option<()> {
        let reads = self.api.store.reads();
        let missed = alerts::to_stream(reads, self.subscription.user_id, self.last, BATCH).await;
        let missed = missed.ok()?;
        self.behind = missed.len() as u64 == BATCH;
        for alert in &missed {
            self.send(alert);
        }
        Some(())
    }

    /// Whether it was not sent before.
    fn send(&mut self, alert: &Alert) -> bool {
        if alert.seq <= self.last {
            return false;
        }
        self.last = alert.seq;
        match serde_json::to_string(&AlertView::from(alert)) {
            Ok(data) => {
                metrics::counter!(names::ALERTS_DELIVERED_TOTAL).increment(1);
                self.ready
                    .push_back(format!("id: {}\nevent: alert\ndata: {data}\n\n", alert.seq));
            }
            Err(error) => tracing::error!(%error, alert_id = %alert.id, "an alert cannot be shown"),
        }
        true
    }
}

/// Of an alert that has come while its stream was open: how long that took, since the alert and since
/// what began its chain.
fn tell(alert: &Alert, now: DateTime<Utc>) {
    let since = |then: DateTime<Utc>| (now - then).to_std().unwrap_or_default();
    if let Some(begun_at) = alert.chain_begun_at {
        metrics::histogram!(names::ALERT_DELAY_SECONDS).record(since(begun_at));
    }
    if let Some(made) = alert.trace
        && let Some(place) = spans::new_child(made)
    {
        Done::new(
            SpanKind::Producer,
            "send alert to stream",
            place,
            std::time::Instant::now(),
        )
        .after(made.span_id)
        .took(since(alert.created_at))
        .with("wealth.alert_id", alert.id.to_string())
        .tell();
    }
}

#[cfg(test)]
mod tests;
