//! Log lines pushed to Loki, by `tracing-loki`, with bounds around it.
//!
//! Comes after the level filter, beside the output. The crate's own task keeps what it could not send
//! without a limit, waits for an answer without one, and says nothing of lines that did not fit. So
//! it works here in shifts: each takes so many lines, or lines for so long, and must then be through
//! within [`END_LIMIT`], while the next one goes on. Two are alive at the most. What no shift takes,
//! and what one could not deliver, is lost and counted; standard output has it all the same.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::ready;
use std::time::Duration;

use reqwest::Url;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, unconstrained};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher};
use tracing_loki::{BackgroundTask, BackgroundTaskController};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::config::ConnectionUrl;
use crate::telemetry::TelemetryError;
use crate::telemetry::metrics::names;

/// Lines that a shift takes.
const LINES_MAX: usize = 8_192;
/// For how long it takes lines: what Loki did not take within a minute is given up.
const SHIFT_LENGTH: Duration = Duration::from_secs(60);
/// How long a shift may take to send what is left.
const END_LIMIT: Duration = Duration::from_secs(10);
/// Lines between two looks of the crate's task at its channel, which holds 512 and then drops silently.
const UNSEEN_MAX: usize = 480;
/// How often it looks at the most: each look costs it a walk over all log statements.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Where lines are pushed to, and what is said of all of them.
#[derive(Clone, Debug)]
pub struct LokiSettings {
    /// `loki/api/v1/push` is below it. May hold a user and a password.
    pub url: ConnectionUrl,
    /// The label `namespace`.
    pub namespace: String,
    /// The label `role`.
    pub role: String,
    /// The field `instance` of each line.
    pub instance: String,
}

/// Hands lines to the shift that takes them.
pub(super) struct LokiLayer {
    /// Keeps the fields of spans, for whichever shift comes.
    spans: tracing_loki::Layer,
    desk: Arc<Desk>,
}

/// What sends the lines, once it runs.
#[derive(Debug)]
pub struct Loki {
    settings: LokiSettings,
    desk: Arc<Desk>,
    shift: Shift,
}

/// The task that sends lines; finished at the end, it sends what is left.
#[derive(Debug)]
pub struct LokiSending {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Where lines are handed in: to the shift that takes them, if there is one.
#[derive(Debug, Default)]
struct Desk {
    intake: RwLock<Option<Arc<Intake>>>,
    /// Whether it was said that Loki does not take them.
    is_away: AtomicBool,
}

/// The side of a shift where lines come in.
struct Intake {
    layer: tracing_loki::Layer,
    taken: AtomicUsize,
    unseen: AtomicUsize,
    full: Notify,
}

/// Lines that one task of the crate sends.
struct Shift {
    intake: Arc<Intake>,
    troubles: Arc<Troubles>,
    task: BackgroundTask,
    controller: BackgroundTaskController,
}

impl Loki {
    /// The layer, and what must run for it: lines that come before are kept until it does.
    pub(super) fn new(settings: LokiSettings) -> Result<(LokiLayer, Self), TelemetryError> {
        let (spans, _, _) = parts(&settings)?;
        let shift = Shift::new(&settings)?;
        let desk = Arc::new(Desk::default());
        desk.open(&shift);
        let layer = LokiLayer {
            spans,
            desk: Arc::clone(&desk),
        };
        let loki = Self {
            settings,
            desk,
            shift,
        };
        Ok((layer, loki))
    }

    /// Sends lines from now on, on this runtime.
    #[must_use]
    pub fn start(self) -> LokiSending {
        let stop = CancellationToken::new();
        let task = tokio::spawn(self.run(stop.clone()));
        LokiSending { stop, task }
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut ending: Option<JoinHandle<()>> = None;
        loop {
            tokio::select! {
                () = self.shift.work(&self.desk) => {}
                () = stop.cancelled() => {}
            }
            if let Some(previous) = ending.take() {
                if !previous.is_finished() {
                    self.desk.close();
                }
                // It ends within its limit, and cannot fail.
                let _ = previous.await;
            }
            let next = match Shift::new(&self.settings) {
                Ok(next) if !stop.is_cancelled() => next,
                _ => break,
            };
            self.desk.open(&next);
            let last = mem::replace(&mut self.shift, next);
            ending = Some(tokio::spawn(last.end(Arc::clone(&self.desk))));
        }
        self.desk.close();
        self.shift.end(self.desk).await;
    }
}

impl LokiSending {
    /// Sends what is left, at most for `limit`.
    pub async fn finish(self, limit: Duration) {
        self.stop.cancel();
        // Whatever is left by then is lost with the process.
        let _ = timeout(limit, self.task).await;
    }
}

impl Desk {
    fn open(&self, shift: &Shift) {
        let mut intake = self.intake.write().unwrap_or_else(PoisonError::into_inner);
        *intake = Some(Arc::clone(&shift.intake));
    }

    fn close(&self) {
        *self.intake.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_away(&self, error: &str) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                error,
                "logs: Loki does not take them; what it misses is on standard output alone"
            );
        }
    }

    fn is_back(&self) {
        if self.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!("logs: Loki takes them again");
        }
    }
}

impl Intake {
    /// Whether one more line fits.
    fn admits(&self) -> bool {
        if self.unseen.fetch_add(1, Ordering::Relaxed) >= UNSEEN_MAX {
            return false;
        }
        let fits = self.taken.fetch_add(1, Ordering::Relaxed) < LINES_MAX;
        if !fits {
            self.full.notify_one();
        }
        fits
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed).min(LINES_MAX)
    }
}

impl Shift {
    fn new(settings: &LokiSettings) -> Result<Self, TelemetryError> {
        let (layer, controller, task) = parts(settings)?;
        let intake = Intake {
            layer,
            taken: AtomicUsize::new(0),
            unseen: AtomicUsize::new(0),
            full: Notify::new(),
        };
        Ok(Self {
            intake: Arc::new(intake),
            troubles: Arc::default(),
            task,
            controller,
        })
    }

    /// Sends what comes, until the shift is over.
    async fn work(&mut self, desk: &Desk) {
        let intake = Arc::clone(&self.intake);
        let over = async {
            loop {
                tokio::select! {
                    () = intake.full.notified() => return,
                    () = sleep(SHIFT_LENGTH) => {}
                }
                if intake.taken() > 0 {
                    return;
                }
            }
        };
        tokio::select! {
            () = over => {}
            () = watched(&mut self.task, &self.intake, &self.troubles, desk) => {}
        }
    }

    /// Sends what is left, or counts it as lost.
    async fn end(mut self, desk: Arc<Desk>) {
        let sending = async {
            let work = watched(&mut self.task, &self.intake, &self.troubles, &desk);
            tokio::join!(self.controller.shutdown(), work);
        };
        let in_time = timeout(END_LIMIT, sending).await.is_ok();
        if !in_time {
            desk.is_away("no answer");
        }
        if in_time && !self.troubles.last() {
            if self.intake.taken() > 0 {
                desk.is_back();
            }
            return;
        }
        // What came through before the trouble began is counted as well: nobody tells how much that was.
        let given_up = self.troubles.given_up.load(Ordering::Relaxed);
        dropped(self.intake.taken().saturating_sub(given_up));
    }
}

/// The crate's task, looked after: what it says of its troubles is heard, and no line overflows its
/// channel unseen.
async fn watched(
    task: &mut BackgroundTask,
    intake: &Intake,
    troubles: &Arc<Troubles>,
    desk: &Desk,
) {
    let listener = Dispatch::new(Listener(Arc::clone(troubles)));
    let mut pause = pin!(sleep(Duration::ZERO));
    // Or it would leave some of what is in the channel, to be fair to other tasks.
    let looking = unconstrained(poll_fn(|context| {
        // What wakes it meanwhile is seen then.
        ready!(pause.as_mut().poll(context));
        intake.unseen.store(0, Ordering::Relaxed);
        let outcome = dispatcher::with_default(&listener, || Pin::new(&mut *task).poll(context));
        if let Some(error) = troubles.news() {
            desk.is_away(&error);
        }
        if outcome.is_pending() {
            pause.as_mut().reset(Instant::now() + LOOK_EVERY);
        }
        outcome
    }));
    looking.await;
}

type LokiParts = (
    tracing_loki::Layer,
    BackgroundTaskController,
    BackgroundTask,
);

fn parts(settings: &LokiSettings) -> Result<LokiParts, TelemetryError> {
    let bad = |error: &dyn fmt::Display| TelemetryError::Loki(error.to_string());
    // Without a slash at its end the last part of a path counts for a file, and is replaced.
    let url = format!("{}/", settings.url.expose().trim_end_matches('/'));
    let url = Url::parse(&url).map_err(|error| bad(&error))?;
    tracing_loki::builder()
        .label("service", "wealth-companion")
        .and_then(|it| it.label("namespace", &settings.namespace))
        .and_then(|it| it.label("role", &settings.role))
        .and_then(|it| it.extra_field("instance", &settings.instance))
        .and_then(|it| it.build_controller_url(url))
        .map_err(|error| bad(&error))
}

fn dropped(lines: usize) {
    metrics::counter!(names::LOG_LINES_DROPPED_TOTAL, "output" => "loki").increment(lines as u64);
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LokiLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.spans.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.spans.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // The client that pushes says more on the finer levels, of each push.
        if *event.metadata().level() > Level::INFO {
            return;
        }
        let desk = self.desk.intake.read();
        let intake = desk.unwrap_or_else(PoisonError::into_inner).clone();
        match intake.filter(|intake| intake.admits()) {
            Some(intake) => intake.layer.on_event(event, context),
            None => dropped(1),
        }
    }
}

/// What the crate's task has said of its troubles.
#[derive(Debug, Default)]
struct Troubles {
    /// After a push that failed it waits until then.
    waits_until: Mutex<Option<Instant>>,
    news: Mutex<Option<String>>,
    given_up: AtomicUsize,
}

impl Troubles {
    fn hear(&self, complaint: &Complaint) {
        if let Some(failures) = complaint.failures {
            // As the crate doubles it.
            let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
            let wait = match doublings {
                0 => Duration::ZERO,
                _ => Duration::from_millis(500) * 2_u32.saturating_pow(doublings.min(11) - 1),
            };
            *lock(&self.waits_until) = Some(Instant::now() + wait + LOOK_EVERY * 2);
            *lock(&self.news) = Some(complaint.error.clone());
        }
        if complaint.given_up > 0 {
            self.given_up
                .fetch_add(complaint.given_up, Ordering::Relaxed);
            dropped(complaint.given_up);
        }
    }

    /// What has failed since it was asked last.
    fn news(&self) -> Option<String> {
        lock(&self.news).take()
    }

    /// Whether the last push that was through has failed.
    fn last(&self) -> bool {
        lock(&self.waits_until).is_some_and(|until| Instant::now() < until)
    }
}

fn lock<T>(it: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hears what the crate's task says, which must not come into the log itself: once for each push.
struct Listener(Arc<Troubles>);

impl Listener {
    fn hears(metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR && metadata.target().starts_with("tracing_loki")
    }
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::hears(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Self::hears(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        let mut complaint = Complaint::default();
        event.record(&mut complaint);
        self.0.hear(&complaint);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One thing that the crate's task says.
#[derive(Debug, Default)]
struct Complaint {
    /// Pushes that failed without one between that did not.
    failures: Option<u64>,
    /// Why the last did.
    error: String,
    /// Lines that it will not try again.
    given_up: usize,
}

impl Visit for Complaint {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "error_count" => self.failures = Some(value),
            "num_dropped" => self.given_up = usize::try_from(value).unwrap_or(usize::MAX),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "error" {
            self.error = format!("{value:?}");
        }
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(Intake, Shift, LokiLayer);
