//! How a batch of events is told of on its way: each in its own trace, and where there are several,
//! the batch by itself, with links both ways.
//!
//! By OpenTelemetry's conventions for messaging. Below the span of the batch is found what was done
//! for all of it at once, the statements of the database for example; a batch of one has none, and
//! that is found below the event's own.

use std::time::Instant;

use uuid::Uuid;

use crate::telemetry::spans::{self, Done, SpanKind};
use crate::telemetry::trace::TraceContext;

/// Links of a batch to its events at the most, as in OpenTelemetry's own limit.
const LINKS_MAX: usize = 128;

/// What is done with events.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// The relay takes them to the bus.
    Send,
    /// A consumer, of this name, takes them from it.
    Process(&'static str),
}

impl Stage {
    const fn verb(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Process(_) => "process",
        }
    }

    fn done(self, name: String, place: TraceContext, begun: Instant) -> Done {
        let (kind, verb) = match self {
            Self::Send => (SpanKind::Producer, "send"),
            Self::Process(_) => (SpanKind::Consumer, "process"),
        };
        let done = Done::new(kind, name, place, begun)
            .with("messaging.system", spans::messaging_system())
            .with("messaging.operation.name", verb)
            .with("messaging.operation.type", verb);
        match self {
            Self::Send => done,
            Self::Process(consumer) => done.with("messaging.consumer.group.name", consumer),
        }
    }
}

/// An event on its way.
#[derive(Debug)]
pub(super) struct Traveller {
    /// Where it was said.
    pub(super) said: TraceContext,
    /// The span of what is done with it now.
    pub(super) span_id: [u8; 8],
    /// Its topic.
    pub(super) topic: String,
    /// Its id, where that is known.
    pub(super) event_id: Option<Uuid>,
}

/// A batch with which something is being done.
#[derive(Debug)]
pub(super) struct Traced {
    stage: Stage,
    place: TraceContext,
    begun: Instant,
    travellers: Vec<Traveller>,
}

impl Traced {
    /// Begins; none where nothing is recorded, or where there are no events.
    pub(super) fn begin(stage: Stage, travellers: Vec<Traveller>) -> Option<Self> {
        let place = match travellers.as_slice() {
            [] => return None,
            [one] => one.said.child(one.span_id),
            many => spans::new_trace(many.iter().any(|it| it.said.sampled))?,
        };
        Some(Self {
            stage,
            place,
            begun: Instant::now(),
            travellers,
        })
    }

    /// Where what is done for all of it belongs.
    pub(super) fn place(&self) -> TraceContext {
        self.place
    }

    /// Tells of it. Each event may have failed by itself.
    pub(super) fn end(self, failure: impl Fn(usize) -> Option<String>) {
        let count = self.travellers.len();
        let mut failures = 0;
        let mut batch = self
            .stage
            .done(self.stage.verb().to_owned(), self.place, self.begun);
        for (index, it) in self.travellers.into_iter().enumerate() {
            let place = it.said.child(it.span_id);
            let failure = failure(index);
            failures += usize::from(failure.is_some());
            if !spans::is_told(place, self.begun, failure.is_some()) {
                continue;
            }
            let name = format!("{} {}", self.stage.verb(), it.topic);
            let mut done = self
                .stage
                .done(name, place, self.begun)
                .after(it.said.span_id)
                .with("messaging.destination.name", it.topic);
            if let Some(event_id) = it.event_id {
                done = done.with("messaging.message.id", event_id.to_string());
            }
            if count > 1 {
                done = done.linked(&self.place);
                if it.said.sampled && index < LINKS_MAX {
                    batch = batch.linked(&place);
                }
            }
            if let Some(why) = failure {
                done = done.with("error.type", "refused").failed(why);
            }
            done.tell();
        }
        if count > 1 {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            batch = batch.with("messaging.batch.message_count", count);
            if failures > 0 {
                batch = batch.failed(format!("{failures} of {count} events failed"));
            }
            batch.tell();
        }
    }
}

/// What is done, and where it belongs.
pub(super) async fn within<T>(traced: Option<&Traced>, work: impl Future<Output = T>) -> T {
    // It may be large, and would have its place here twice.
    let work = Box::pin(work);
    match traced {
        Some(traced) => spans::within(traced.place(), work).await,
        None => work.await,
    }
}
