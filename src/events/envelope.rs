//! The CloudEvents 1.0 envelope in structured JSON mode, built and read by the SDK.
//!
//! One wire format for the log, the embedded bus, Kafka and Dapr: what one way publishes, every
//! other way reads.

use chrono::{DateTime, SecondsFormat, Utc};
use cloudevents::event::SpecVersion;
use cloudevents::{AttributesReader, Data, EventBuilder, EventBuilderV10};
use serde_json::Value;
use uuid::Uuid;

use super::{EventData, EventType};
use crate::telemetry::trace::TraceContext;

/// The largest envelope that is read, in bytes: 1 MiB, as Kafka's default.
pub const ENVELOPE_BYTES_MAX: usize = 1 << 20;

/// What an envelope says it is, in a header of its record.
pub const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The HTTP API.
    Api,
    /// The keeper of read models.
    Projector,
    /// The maker of alerts.
    Notifier,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "wealth-companion/api",
            Self::Projector => "wealth-companion/projector",
            Self::Notifier => "wealth-companion/notifier",
        }
    }
}

/// What led to an event: the request at the beginning of the chain, the event before it, the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// The request that began the chain; the same on every event of it.
    pub correlation_id: Uuid,
    /// The event before this one; none on the first.
    pub causation_id: Option<Uuid>,
    /// When the first event of the chain was said; none on that one itself.
    pub begun_at: Option<DateTime<Utc>>,
    /// The span in which the event was recorded.
    pub trace: TraceContext,
}

impl Cause {
    /// Of what begins a chain.
    #[must_use]
    pub const fn first(correlation_id: Uuid, trace: TraceContext) -> Self {
        Self {
            correlation_id,
            causation_id: None,
            begun_at: None,
            trace,
        }
    }
}

/// An event: said once, with an id that never changes, however often it is delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// UUID v4, made when the event is written to the log.
    pub id: Uuid,
    /// Who says it, as a URI reference.
    pub source: String,
    /// The thing that it is about.
    pub subject: String,
    /// When it was said.
    pub time: DateTime<Utc>,
    /// What led to it.
    pub cause: Cause,
    /// What is said.
    pub data: EventData,
    /// Its place in the publisher's log, an opaque word, where the bus carries it.
    pub log_position: Option<String>,
}

/// The extension attribute of the time at which the first event of the chain was said.
pub const CHAIN_TIME: &str = "correlationtime";

/// The extension attribute of an event's place in the publisher's log.
pub const LOG_POSITION: &str = "logposition";

/// An envelope with the event's place in the log, as it goes to a bus outside of the database: the
/// place is known only after the envelope was written.
#[must_use]
pub fn with_log_position(envelope: &str, place: &impl std::fmt::Display) -> String {
    match envelope.trim_end().strip_suffix('}') {
        Some(open) => format!("{open},\"{LOG_POSITION}\":\"{place}\"}}"),
        None => envelope.to_owned(),
    }
}

/// Where the event of an envelope of ours was said, without reading the rest. Within texts quotes are
/// escaped: what is found is the attribute.
#[must_use]
pub fn trace_of(envelope: &str) -> Option<TraceContext> {
    let (_, rest) = envelope.split_once("\"traceparent\":\"")?;
    TraceContext::parse(rest.split_once('"')?.0)
}

/// Why bytes from the bus are not an event of ours. None of these passes by trying again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Over [`ENVELOPE_BYTES_MAX`].
    #[error("the event is {0} bytes long, more than {ENVELOPE_BYTES_MAX}")]
    TooLarge(usize),
    /// Not JSON, or JSON that is no CloudEvent 1.0.
    #[error("not a CloudEvent in structured JSON: {0}")]
    NotCloudEvent(String),
    /// A CloudEvent without something that ours carry.
    #[error("the CloudEvent's {0} is missing or malformed")]
    Attribute(&'static str),
    /// A type that the catalogue does not have.
    #[error("the type {0:?} is not in the catalogue")]
    UnknownType(String),
    /// A type of the catalogue that this consumer does not hear.
    #[error("the type {0:?} is not for this consumer")]
    NotForThis(&'static str),
    /// Data that is not what the type says.
    #[error("the data does not fit the type: {0}")]
    Data(String),
}

impl Event {
    /// A new event, said now.
    #[must_use]
    pub fn new(
        id: Uuid,
        source: Source,
        subject: Uuid,
        time: DateTime<Utc>,
        cause: Cause,
        data: impl Into<EventData>,
    ) -> Self {
        Self {
            id,
            source: source.as_str().to_owned(),
            subject: subject.to_string(),
            time,
            cause,
            data: data.into(),
            log_position: None,
        }
    }

    /// When the first event of the chain was said.
    #[must_use]
    pub fn chain_begun_at(&self) -> DateTime<Utc> {
        self.cause.begun_at.unwrap_or(self.time)
    }

    /// What events carry as their cause that follow from this one, in the span in which it is handled.
    #[must_use]
    pub fn as_cause(&self, span_id: [u8; 8]) -> Cause {
        Cause {
            correlation_id: self.cause.correlation_id,
            causation_id: Some(self.id),
            begun_at: Some(self.chain_begun_at()),
            trace: self.cause.trace.child(span_id),
        }
    }

    /// The event on the wire.
    ///
    /// # Errors
    /// Never for events that were made by [`Event::new`]; an envelope that the SDK refuses otherwise.
    pub fn to_json(&self) -> Result<String, EventError> {
        let data = self
            .data
            .to_value()
            .map_err(|error| EventError::Data(error.to_string()))?;
        let mut builder = EventBuilderV10::new()
            .id(self.id.to_string())
            .ty(self.data.event_type().as_str())
            .source(self.source.as_str())
            .subject(self.subject.as_str())
            .time(self.time)
            .extension("correlationid", self.cause.correlation_id.to_string())
            .extension("traceparent", self.cause.trace.to_string())
            .data("application/json", data);
        if let Some(causation_id) = self.cause.causation_id {
            builder = builder.extension("causationid", causation_id.to_string());
        }
        if let Some(begun_at) = self.cause.begun_at {
            let begun_at = begun_at.to_rfc3339_opts(SecondsFormat::Micros, true);
            builder = builder.extension(CHAIN_TIME, begun_at);
        }
        let event = builder
            .build()
            .map_err(|error| EventError::NotCloudEvent(error.to_string()))?;
        serde_json::to_string(&event).map_err(|error| EventError::NotCloudEvent(error.to_string()))
    }

    /// Reads an event off the wire.
    ///
    /// # Errors
    /// Anything that is not an event of the catalogue, with the reason.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(EventError::TooLarge(bytes.len()));
        }
        let event: cloudevents::Event = serde_json::from_slice(bytes)
            .map_err(|error| EventError::NotCloudEvent(without_values(&error)))?;
        if event.specversion() != SpecVersion::V10 {
            return Err(EventError::Attribute("specversion"));
        }
        let event_type = EventType::named(event.ty())
            .ok_or_else(|| EventError::UnknownType(event.ty().chars().take(100).collect()))?;
        let id = Uuid::try_parse(event.id()).map_err(|_| EventError::Attribute("id"))?;
        let time = *event.time().ok_or(EventError::Attribute("time"))?;
        let subject = event
            .subject()
            .ok_or(EventError::Attribute("subject"))?
            .to_owned();
        let cause = Cause {
            correlation_id: uuid_extension(&event, "correlationid")?
                .ok_or(EventError::Attribute("correlationid"))?,
            causation_id: uuid_extension(&event, "causationid")?,
            begun_at: text_extension(&event, CHAIN_TIME)
                .map(|text| text.parse().map_err(|_| EventError::Attribute(CHAIN_TIME)))
                .transpose()?,
            trace: text_extension(&event, "traceparent")
                .and_then(|text| TraceContext::parse(&text))
                .ok_or(EventError::Attribute("traceparent"))?,
        };
        let log_position = text_extension(&event, LOG_POSITION);
        let source = event.source().clone();
        let data = EventData::from_value(event_type, json_data(event)?)
            .map_err(|error| EventError::Data(without_values(&error)))?;
        Ok(Self {
            id,
            source,
            subject,
            time,
            cause,
            data,
            log_position,
        })
    }
}

fn json_data(mut event: cloudevents::Event) -> Result<Value, EventError> {
    match event.take_data().2 {
        Some(Data::Json(value)) => Ok(value),
        Some(Data::String(text)) => {
            serde_json::from_str(&text).map_err(|error| EventError::Data(without_values(&error)))
        }
        Some(Data::Binary(bytes)) => {
            serde_json::from_slice(&bytes).map_err(|error| EventError::Data(without_values(&error)))
        }
        None => Err(EventError::Attribute("data")),
    }
}

/// What is wrong, and not what was said instead: the reason goes into the log and to whoever looks at
/// dead letters, the payload does not.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // As serde words it: "invalid type: string "4711.17", expected i64", "unknown variant `x`, expected …".
    match text.rsplit_once(", expected ") {
        Some((found, wanted)) => {
            let what = found.split([':', '`', '"']).next().unwrap_or_default();
            format!("{}, expected {wanted}", what.trim_end())
        }
        None => text,
    }
}

fn text_extension(event: &cloudevents::Event, name: &str) -> Option<String> {
    event.extension(name).map(ToString::to_string)
}

fn uuid_extension(
    event: &cloudevents::Event,
    name: &'static str,
) -> Result<Option<Uuid>, EventError> {
    text_extension(event, name)
        .map(|text| Uuid::try_parse(&text).map_err(|_| EventError::Attribute(name)))
        .transpose()
}
