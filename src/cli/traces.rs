//! Turns the recording of spans on, as the configuration says.

use std::collections::BTreeSet;

use crate::app::Role;
use crate::clock::{Clock, Ids};
use crate::config::{BusKind, Config, TraceExporter};
use crate::telemetry::spans::{self, Exporting, Protocol, Settings, SpansError};

/// Where collectors listen for OTLP over HTTP.
const OTLP_ENDPOINT: &str = "http://127.0.0.1:4318";

/// Records from now on; none where the configuration says so.
pub(super) fn start(
    config: &Config,
    roles: &BTreeSet<Role>,
) -> Result<Option<Exporting>, SpansError> {
    let traces = &config.traces;
    let (protocol, endpoint) = match traces.exporter {
        TraceExporter::None => return Ok(None),
        TraceExporter::Otlp => {
            let url = traces.otlp_endpoint.as_ref();
            let url = url.map_or(OTLP_ENDPOINT, |url| url.expose());
            (Protocol::Otlp, url.to_owned())
        }
        TraceExporter::Jaeger => (Protocol::Jaeger, traces.jaeger_agent.clone()),
    };
    let ids = Ids::system();
    let settings = Settings {
        protocol,
        endpoint,
        sample_percent: traces.sample_percent,
        slow: traces.slow,
        messaging_system: match config.bus.kind {
            BusKind::Embedded => "event_log",
            BusKind::Dapr | BusKind::Kafka => "kafka",
        },
        service: service(roles),
        instance: ids.v4().to_string(),
    };
    spans::start(&settings, Clock::system(), ids).map(Some)
}

/// As the sidecars call it, where a process has one role.
fn service(roles: &BTreeSet<Role>) -> String {
    let name = match roles.iter().collect::<Vec<_>>().as_slice() {
        [Role::Api] => "-api",
        [Role::Projector] => "-projector",
        [Role::Notifier] => "-notifier",
        _ => "",
    };
    format!("wealth-companion{name}")
}
