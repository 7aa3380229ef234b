//! Spans: what was done for a request or an event, where in its trace, and how long it took.
//!
//! A part of the work is told when it is through, as a [`Done`]; what it starts meanwhile finds its
//! place by [`current`], or in the event that it is about. Nothing is recorded before [`start`], nor
//! of a trace that is not sampled, but for what failed or was slow. Names and attributes are those of
//! OpenTelemetry's semantic conventions.

mod export;
mod jaeger;

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{Link, SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, ShouldSample, SpanData, SpanEvents, SpanLinks,
};

use super::trace::TraceContext;
use crate::clock::{Clock, Ids};
use crate::config::ConnectionUrl;
use export::Queue;
pub use export::{Exporting, SpansError};
pub use opentelemetry::trace::SpanKind;

/// What records, once it is turned on.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

tokio::task_local! {
    static CURRENT: TraceContext;
}

struct Recorder {
    queue: Queue,
    sampler: Sampler,
    slow: Duration,
    messaging_system: &'static str,
    clock: Clock,
    ids: Ids,
    scope: InstrumentationScope,
}

/// The collector on this machine, by OpenTelemetry's convention.
const OTLP_URL: &str = "http://127.0.0.1:4318";

/// Where spans go, and how. It is shown without a password.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// OpenTelemetry's protocol over HTTP, to a collector; none: to port 4318 of this machine.
    Otlp(Option<ConnectionUrl>),
    /// Jaeger's own, compact Thrift over UDP, to an agent, `HOST:PORT`.
    Jaeger(String),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Otlp(Some(url)) => url.fmt(f),
            Self::Otlp(None) => f.write_str(OTLP_URL),
            Self::Jaeger(agent) => f.write_str(agent),
        }
    }
}

/// What is recorded, and where it goes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where spans go.
    pub endpoint: Endpoint,
    /// Of the traces that begin here, how many in a hundred are recorded.
    pub sample_percent: u8,
    /// What takes as long is told although its trace is not recorded.
    pub slow: Duration,
    /// What carries events.
    pub messaging_system: &'static str,
    /// Name of this process' kind, `wealth-companion-projector` for example.
    pub service: String,
    /// Which of its kind.
    pub instance: String,
}

impl Settings {
    /// What is said of this process to whom it tells of spans.
    fn attributes(&self) -> [(&'static str, String); 4] {
        [
            ("service.name", self.service.clone()),
            ("service.namespace", "wealth-companion".to_owned()),
            ("service.instance.id", self.instance.clone()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ]
    }
}

/// Records from now on, for the whole process. A second call is an error.
///
/// # Errors
/// Spans are recorded already, or the endpoint cannot be used.
pub fn start(settings: &Settings, clock: Clock, ids: Ids) -> Result<Exporting, SpansError> {
    let (queue, exporting) = export::start(settings)?;
    let recorder = Recorder {
        queue,
        sampler: Sampler::TraceIdRatioBased(share(settings.sample_percent)),
        slow: settings.slow,
        messaging_system: settings.messaging_system,
        clock,
        ids,
        scope: InstrumentationScope::builder("wealth-companion").build(),
    };
    RECORDER.set(recorder).map_err(|_| SpansError::AlreadyOn)?;
    Ok(exporting)
}

#[expect(
    clippy::float_arithmetic,
    reason = "the sampler takes a share of one; no money is near"
)]
fn share(percent: u8) -> f64 {
    f64::from(percent) / 100.0
}

/// Whether anything is recorded at all.
#[must_use]
pub fn are_recorded() -> bool {
    RECORDER.get().is_some()
}

/// The first place of a trace that begins here.
#[must_use]
pub fn begun(ids: &Ids) -> TraceContext {
    let trace_id = ids.trace_id();
    TraceContext {
        trace_id,
        span_id: ids.span_id(),
        sampled: is_sampled(trace_id),
    }
}

/// Whether a trace that begins here is recorded.
#[must_use]
fn is_sampled(trace_id: [u8; 16]) -> bool {
    let Some(recorder) = RECORDER.get() else {
        return false;
    };
    let trace_id = TraceId::from_bytes(trace_id);
    let decided = recorder
        .sampler
        .should_sample(None, trace_id, "", &SpanKind::Internal, &[], &[]);
    decided.decision == SamplingDecision::RecordAndSample
}

/// Whether a span that has begun then, and ends now, is told at all: its trace is recorded, or it failed, or
/// was slow. Where it is not, it need not be described.
#[must_use]
pub fn is_told(place: TraceContext, begun: Instant, has_failed: bool) -> bool {
    let Some(recorder) = RECORDER.get() else {
        return false;
    };
    place.sampled || has_failed || begun.elapsed() >= recorder.slow
}

/// The span within which this task works, if it does.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|place| *place).ok()
}

/// Does work within a span, which is told of elsewhere.
pub fn within<F: Future>(place: TraceContext, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(place, work)
}

/// A new trace, for work that is done for several others; none where nothing is recorded.
#[must_use]
pub fn new_trace(sampled: bool) -> Option<TraceContext> {
    let ids = &RECORDER.get()?.ids;
    Some(TraceContext {
        trace_id: ids.trace_id(),
        span_id: ids.span_id(),
        sampled,
    })
}

/// A new place below another; none where nothing is recorded.
#[must_use]
pub fn new_child(parent: TraceContext) -> Option<TraceContext> {
    Some(parent.child(RECORDER.get()?.ids.span_id()))
}

/// What carries events in this process, as spans name it.
#[must_use]
pub fn messaging_system() -> &'static str {
    RECORDER.get().map_or("", |it| it.messaging_system)
}

/// A span that has begun below the current one.
#[derive(Debug)]
pub struct Begun {
    kind: SpanKind,
    name: Cow<'static, str>,
    attributes: Vec<KeyValue>,
    parent: TraceContext,
    place: TraceContext,
    begun: Instant,
}

/// Begins a span below the current one, if that is recorded. It is described only then.
pub fn begin(
    kind: SpanKind,
    describe: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>),
) -> Option<Begun> {
    let parent = current().filter(|place| place.sampled)?;
    let place = new_child(parent)?;
    let (name, attributes) = describe();
    Some(Begun {
        kind,
        name,
        attributes,
        parent,
        place,
        begun: Instant::now(),
    })
}

/// Does the work of a span, and tells of it.
pub async fn told<T, E: fmt::Display>(
    span: Option<Begun>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Some(span) = span else {
        return work.await;
    };
    let outcome = within(span.place, work).await;
    let mut done =
        Done::new(span.kind, span.name, span.place, span.begun).under(span.parent.span_id);
    done.attributes = span.attributes;
    if let Err(error) = &outcome {
        done = done.failed(error.to_string());
    }
    done.tell();
    outcome
}

/// A part of the work that is through.
#[derive(Debug, Clone)]
#[must_use = "it is told by `tell`"]
pub struct Done {
    place: TraceContext,
    parent: SpanId,
    is_remote: bool,
    kind: SpanKind,
    name: Cow<'static, str>,
    took: Duration,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
    failure: Option<Cow<'static, str>>,
}

impl Done {
    /// The span at this place, which has begun then and ends now. Without more it begins its trace.
    pub fn new(
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        place: TraceContext,
        begun: Instant,
    ) -> Self {
        Self {
            place,
            parent: SpanId::INVALID,
            is_remote: false,
            kind,
            name: name.into(),
            took: begun.elapsed(),
            attributes: Vec::new(),
            links: Vec::new(),
            failure: None,
        }
    }

    /// Below another span of this process.
    pub fn under(mut self, parent: [u8; 8]) -> Self {
        self.parent = SpanId::from_bytes(parent);
        self
    }

    /// Below a span of somebody else, who has told us of it.
    pub fn after(mut self, parent: [u8; 8]) -> Self {
        self.is_remote = true;
        self.under(parent)
    }

    /// It took so long, whenever it was begun.
    pub fn took(mut self, took: Duration) -> Self {
        self.took = took;
        self
    }

    /// Says something of it.
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// It has to do with another span, which is not the one above it.
    pub fn linked(mut self, to: &TraceContext) -> Self {
        self.links.push(Link::with_context(context_of(to, true)));
        self
    }

    /// It did not get through.
    pub fn failed(mut self, why: impl Into<Cow<'static, str>>) -> Self {
        self.failure = Some(why.into());
        self
    }

    /// Records it, if its trace is recorded, or if it failed, or was slow.
    pub fn tell(self) {
        let Some(recorder) = RECORDER.get() else {
            return;
        };
        if self.place.sampled || self.failure.is_some() || self.took >= recorder.slow {
            recorder.queue.push(self.data(recorder));
        }
    }

    fn data(self, recorder: &Recorder) -> SpanData {
        let end_time = SystemTime::from(recorder.clock.now());
        let mut links = SpanLinks::default();
        links.links = self.links;
        SpanData {
            span_context: context_of(&self.place, false),
            parent_span_id: self.parent,
            parent_span_is_remote: self.is_remote,
            span_kind: self.kind,
            name: self.name,
            start_time: end_time.checked_sub(self.took).unwrap_or(end_time),
            end_time,
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: self.failure.map_or(Status::Unset, Status::error),
            instrumentation_scope: recorder.scope.clone(),
        }
    }
}

/// Whoever gets it shall record it: what is told of an unsampled trace is told all the same.
fn context_of(place: &TraceContext, is_remote: bool) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(place.trace_id),
        SpanId::from_bytes(place.span_id),
        TraceFlags::SAMPLED,
        is_remote,
        TraceState::NONE,
    )
}
