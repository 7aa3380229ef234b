//! Spans in Jaeger's own form, for an agent that knows no other.
//!
//! The exporter was last released for an OpenTelemetry of three years ago: what is different in ours
//! is translated here, and only here.

#![expect(
    deprecated,
    reason = "the exporter tells everybody to use OTLP, as our default does"
)]

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_jaeger::Exporter;
use opentelemetry_old::trace as old;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk_old::Resource;
use opentelemetry_sdk_old::export::trace::{SpanData as OldSpanData, SpanExporter as _};
use opentelemetry_sdk_old::trace::{Config, SpanEvents, SpanLinks};

use super::Settings;

/// Sends spans to an agent, compact Thrift over UDP.
#[derive(Debug)]
pub(super) struct JaegerExporter {
    exporter: Exporter,
    resource: Resource,
}

impl JaegerExporter {
    /// To this agent, whose name must be known; it need not be there.
    pub(super) fn new(
        agent: &str,
        settings: &Settings,
    ) -> Result<Self, opentelemetry_old::trace::TraceError> {
        let attributes = settings
            .attributes()
            .map(|(key, value)| opentelemetry_old::KeyValue::new(key, value));
        let resource = Resource::new(attributes);
        let exporter = opentelemetry_jaeger::new_agent_pipeline()
            .with_endpoint(agent)
            .with_service_name(settings.service.clone())
            .with_trace_config(Config::default().with_resource(resource.clone()))
            .with_instrumentation_library_tags(false)
            // Or one packet that is too long would lose the whole batch.
            .with_auto_split_batch(true)
            .build_sync_agent_exporter()?;
        Ok(Self { exporter, resource })
    }

    pub(super) async fn export(&mut self, batch: Vec<SpanData>) -> Result<(), String> {
        let batch = batch.into_iter().map(|span| self.translated(span));
        let batch = batch.collect();
        let sent = self.exporter.export(batch).await;
        sent.map_err(|error| error.to_string())
    }

    fn translated(&self, span: SpanData) -> OldSpanData {
        let mut links = SpanLinks::default();
        links.links = span
            .links
            .iter()
            .map(|link| {
                let attributes = link.attributes.iter().map(attribute).collect();
                old::Link::new(context(&link.span_context), attributes, 0)
            })
            .collect();
        OldSpanData {
            span_context: context(&span.span_context),
            parent_span_id: old::SpanId::from_bytes(span.parent_span_id.to_bytes()),
            span_kind: match span.span_kind {
                SpanKind::Client => old::SpanKind::Client,
                SpanKind::Server => old::SpanKind::Server,
                SpanKind::Producer => old::SpanKind::Producer,
                SpanKind::Consumer => old::SpanKind::Consumer,
                SpanKind::Internal => old::SpanKind::Internal,
            },
            name: span.name,
            start_time: span.start_time,
            end_time: span.end_time,
            attributes: span.attributes.iter().map(attribute).collect(),
            dropped_attributes_count: span.dropped_attributes_count,
            // We tell of none.
            events: SpanEvents::default(),
            links,
            status: match span.status {
                Status::Unset => old::Status::Unset,
                Status::Ok => old::Status::Ok,
                Status::Error { description } => old::Status::Error { description },
            },
            resource: std::borrow::Cow::Owned(self.resource.clone()),
            instrumentation_lib: opentelemetry_sdk_old::InstrumentationLibrary::default(),
        }
    }
}

fn context(context: &opentelemetry::trace::SpanContext) -> old::SpanContext {
    old::SpanContext::new(
        old::TraceId::from_bytes(context.trace_id().to_bytes()),
        old::SpanId::from_bytes(context.span_id().to_bytes()),
        old::TraceFlags::new(context.trace_flags().to_u8()),
        context.is_remote(),
        old::TraceState::NONE,
    )
}

fn attribute(of: &KeyValue) -> opentelemetry_old::KeyValue {
    let key = of.key.as_str().to_owned();
    let value: opentelemetry_old::Value = match &of.value {
        Value::Bool(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        value => value.as_str().into_owned().into(),
    };
    opentelemetry_old::KeyValue::new(key, value)
}
