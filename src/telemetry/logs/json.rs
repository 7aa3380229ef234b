//! Log events as flat JSON, one object a line.
//!
//! Comes after the level filter and before the output. An object has `timestamp`, `level`, `target`
//! and `message`, then the fields of the event and of the spans around it, by name; where names
//! meet, the inner one stands.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use chrono::SecondsFormat;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::output::Output;
use crate::clock::Clock;

/// What the line itself says; a field of such a name is written as `field.<name>`.
const RESERVED: [&str; 4] = ["timestamp", "level", "target", "message"];

/// What the bridge from the `log` crate adds to an event to tell where it came from.
const LOG_CRATE_PREFIX: &str = "log.";
const LOG_CRATE_TARGET: &str = "log.target";

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
            let mut fields = Fields::default();
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
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(Scope::from_root)
        {
            if let Some(own) = span.extensions().get::<Fields>() {
                fields
                    .0
                    .extend(own.0.iter().map(|(name, value)| (*name, value.clone())));
            }
        }
        // A span's field of this name is not the event's message.
        let outer_message = fields.0.remove("message");
        event.record(&mut fields);
        let line = fields.into_line(&timestamp(&self.clock), event.metadata(), outer_message);
        self.output.push(&line);
    }
}

/// The fields of a span or an event, by name.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl Fields {
    fn into_line(
        mut self,
        timestamp: &str,
        metadata: &tracing::Metadata<'_>,
        span_message: Option<Value>,
    ) -> Vec<u8> {
        let message = self.0.remove("message").unwrap_or_else(|| Value::from(""));
        let target = self.0.remove(LOG_CRATE_TARGET);
        if target.is_some() {
            self.0.retain(|name, _| !name.starts_with(LOG_CRATE_PREFIX));
        }
        let target = target.unwrap_or_else(|| Value::from(metadata.target()));
        let level = Value::from(metadata.level().as_str());

        let mut line = b"{".to_vec();
        push_member(&mut line, "timestamp", &Value::from(timestamp));
        push_member(&mut line, "level", &level);
        push_member(&mut line, "target", &target);
        push_member(&mut line, "message", &message);
        for (name, value) in span_message
            .map(|value| ("message", value))
            .into_iter()
            .chain(self.0)
        {
            if RESERVED.contains(&name) {
                push_member(&mut line, &format!("field.{name}"), &value);
            } else {
                push_member(&mut line, name, &value);
            }
        }
        line.extend_from_slice(b"}\n");
        line
    }
}

fn push_member(line: &mut Vec<u8>, name: &str, value: &Value) {
    if line.len() > 1 {
        line.push(b',');
    }
    // Displayed, a JSON value is compact JSON, with quotes and control characters escaped.
    line.extend_from_slice(format!("{}:{value}", Value::from(name)).as_bytes());
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(plain_name(field), Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(plain_name(field), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(plain_name(field), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(plain_name(field), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(plain_name(field), Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(plain_name(field), Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.0.insert(plain_name(field), Value::from(text));
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
            line.ends_with("\"message\":\"hello\",\"later\":9,\"step\":2,\"trace\":\"t\"}\n"),
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
