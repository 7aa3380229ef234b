//! Log events as flat JSON, one object a line.
//!
//! Comes after the level filter and before the output. An object has `timestamp`, `level`, `target`
//! and `message`, then the fields of the event and of the spans around it, from the inner to the outer
//! one; where names meet, the inner one stands.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use chrono::SecondsFormat;
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::output::Output;
use crate::clock::Clock;

/// What the line itself says; a field of such a name is written as `field.<name>`.
const RESERVED: [&str; 4] = ["timestamp", "level", "target", "message"];

/// What the bridge from the `log` crate adds to an event to tell where it came from.
const LOG_CRATE_PREFIX: &str = "log.";
const LOG_CRATE_TARGET: &str = "log.target";

/// Most lines are shorter, and most spans and events have fewer fields, and shorter ones: more make room
/// for themselves.
const LINE_BYTES: usize = 512;
const FIELDS: usize = 8;
const FIELDS_BYTES: usize = 192;

/// Writes every event it is given as a line of JSON.
pub(super) struct JsonLayer {
    clock: Clock,
    output: Output,
}

impl JsonLayer {
    pub(super) const fn new(clock: Clock, output: Output) -> Self {
        Self { clock, output }
    }
}

/// The time now as log lines show it: RFC 3339 in UTC with microseconds.
pub(super) fn timestamp(clock: &Clock) -> String {
    clock.now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::new();
            attributes.record(&mut fields);
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut fields);
        let mut line = Line::begin(&timestamp(&self.clock), event.metadata(), &fields);
        line.add_all(&fields, &["message"]);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(own) = span.extensions().get::<Fields>() {
                line.add_all(own, &[]);
            }
        }
        self.output.push(&line.end());
    }
}

/// The fields of a span or an event, each with its value in JSON, in the order they were told of.
struct Fields {
    members: Vec<(&'static str, Range<usize>)>,
    json: Vec<u8>,
}

impl Fields {
    fn new() -> Self {
        Self {
            members: Vec::with_capacity(FIELDS),
            json: Vec::with_capacity(FIELDS_BYTES),
        }
    }

    fn put(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        let begin = self.json.len();
        if serde_json::to_writer(&mut self.json, value).is_err() {
            // A `Display` that fails: what it has said so far is no JSON.
            self.json.truncate(begin);
            self.json.extend_from_slice(b"null");
        }
        let value = begin..self.json.len();
        let name = plain_name(field);
        match self.members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.members.push((name, value)),
        }
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.members.iter().find(|(known, _)| *known == name)?;
        self.json.get(value.clone())
    }
}

/// A line that is being written.
struct Line {
    json: Vec<u8>,
    /// The names of the fields in it.
    names: Vec<&'static str>,
    is_of_log_crate: bool,
}

impl Line {
    fn begin(timestamp: &str, metadata: &Metadata<'_>, event: &Fields) -> Self {
        let target = event.get(LOG_CRATE_TARGET);
        let mut json = Vec::with_capacity(LINE_BYTES);
        json.extend_from_slice(b"{\"timestamp\":\"");
        json.extend_from_slice(timestamp.as_bytes());
        json.extend_from_slice(b"\",\"level\":\"");
        json.extend_from_slice(metadata.level().as_str().as_bytes());
        json.extend_from_slice(b"\",\"target\":");
        match target {
            Some(target) => json.extend_from_slice(target),
            None => push_text(&mut json, metadata.target()),
        }
        json.extend_from_slice(b",\"message\":");
        json.extend_from_slice(event.get("message").unwrap_or(b"\"\""));
        Self {
            json,
            names: Vec::with_capacity(2 * FIELDS),
            is_of_log_crate: target.is_some(),
        }
    }

    /// Adds the fields whose names are not there yet, but for those to leave out.
    fn add_all(&mut self, fields: &Fields, left_out: &[&str]) {
        for (name, value) in &fields.members {
            let is_from_bridge = self.is_of_log_crate && name.starts_with(LOG_CRATE_PREFIX);
            if is_from_bridge || left_out.contains(name) || self.names.contains(name) {
                continue;
            }
            self.names.push(name);
            self.json.push(b',');
            if RESERVED.contains(name) {
                push_text(&mut self.json, &format!("field.{name}"));
            } else {
                push_text(&mut self.json, name);
            }
            self.json.push(b':');
            let value = fields.json.get(value.clone());
            self.json.extend_from_slice(value.unwrap_or(b"null"));
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.json.extend_from_slice(b"}\n");
        self.json
    }
}

fn push_text(json: &mut Vec<u8>, text: &str) {
    // Into memory, text can always be written.
    let _ = serde_json::to_writer(json, text);
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.put(field, &text);
    }
}

/// The name without the `r#` of a raw identifier, as in `r#type = …`.
fn plain_name(field: &Field) -> &'static str {
    field.name().trim_start_matches("r#")
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `work` runs.
    fn logged(work: impl FnOnce()) -> String {
        let written = Written::default();
        let output = Output::start(written.clone()).unwrap();
        let clock = Clock::fixed("2026-03-01T12:00:00.5Z".parse().unwrap());
        let layer = JsonLayer::new(clock, output.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        assert!(output.flush(Duration::from_secs(30)));
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_one_flat_object_on_one_line() {
        let line = logged(|| {
            tracing::info!(target: "app", count = 3, ok = true, r#type = "a.b", "two\nlines \"quoted\"");
        });
        let expected = concat!(
            r#"{"timestamp":"2026-03-01T12:00:00.500000Z","level":"INFO","target":"app","#,
            r#""message":"two\nlines \"quoted\"","count":3,"ok":true,"type":"a.b"}"#,
            "\n"
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn fields_of_the_spans_around_are_included_and_the_inner_one_stands() {
        let line = logged(|| {
            let outer = tracing::info_span!(
                "outer",
                trace = "t",
                step = 1,
                later = tracing::field::Empty
            );
            outer.record("later", 9);
            let _outer = outer.enter();
            let _inner = tracing::info_span!("inner", step = 2).entered();
            tracing::warn!(target: "app", "hello");
        });
        assert!(
            line.ends_with("\"message\":\"hello\",\"step\":2,\"trace\":\"t\",\"later\":9}\n"),
            "{line}"
        );
    }

    #[test]
    fn a_field_cannot_pass_for_part_of_the_line() {
        let line = logged(|| {
            let _span = tracing::info_span!("span", message = "of the span").entered();
            tracing::info!(target: "app", level = "forged", "real");
        });
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "INFO");
        assert_eq!(value["message"], "real");
        assert_eq!(value["field.level"], "forged");
        assert_eq!(value["field.message"], "of the span");
    }

    #[test]
    fn an_error_is_written_with_its_causes() {
        let error = super::super::TelemetryError::NoThread(io::Error::other("limit reached"));
        let line = logged(|| tracing::error!(error = &error as &dyn Error, "failed"));
        assert!(
            line.contains(r#""error":"no thread to write logs on: limit reached""#),
            "{line}"
        );
    }
}
