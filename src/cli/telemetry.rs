//! Turns logs and spans on, as the configuration says, and sees them off at the end.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use crate::app::Role;
use crate::clock::{Clock, Ids};
use crate::config::{BusKind, Config, LogFormat, TraceExporter};
use crate::telemetry::logs::{LokiSending, LokiSettings};
use crate::telemetry::spans::{self, Endpoint, Exporting, Settings, SpansError};
use crate::telemetry::{self, LogGuard, LogSettings, TelemetryError};

/// How long the end of the process waits for the last spans and lines to be sent.
const END_LIMIT: Duration = Duration::from_secs(2);

/// Who tells of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller {
    /// The role, or `all`, where there are several.
    role: &'static str,
    /// Which of its kind.
    instance: Uuid,
}

impl Teller {
    pub(super) fn new(roles: &BTreeSet<Role>) -> Self {
        let role = match roles.iter().collect::<Vec<_>>().as_slice() {
            [Role::Api] => "api",
            [Role::Projector] => "projector",
            [Role::Notifier] => "notifier",
            _ => "all",
        };
        Self {
            role,
            instance: Ids::system().v4(),
        }
    }

    /// Logs from now on; what pushes lines to Loki is still to be started.
    pub(super) fn init_logs(
        self,
        config: &Config,
    ) -> Result<(LogGuard, Option<telemetry::logs::Loki>), TelemetryError> {
        let log = &config.log;
        telemetry::init(LogSettings {
            json: match log.format {
                LogFormat::Json => true,
                LogFormat::Pretty => false,
                LogFormat::Auto => !telemetry::stdout_is_terminal(),
            },
            level: &log.level,
            loki: log.loki_url.as_ref().map(|url| LokiSettings {
                url: url.clone(),
                namespace: log.loki_namespace.clone(),
                role: self.role.to_owned(),
                instance: self.instance.to_string(),
            }),
        })
    }

    /// Records spans from now on; none where the configuration says so.
    pub(super) fn start_spans(self, config: &Config) -> Result<Option<Exporting>, SpansError> {
        let traces = &config.traces;
        let endpoint = match traces.exporter {
            TraceExporter::None => return Ok(None),
            TraceExporter::Otlp => Endpoint::Otlp(traces.otlp_endpoint.clone()),
            TraceExporter::Jaeger => Endpoint::Jaeger(traces.jaeger_agent.clone()),
        };
        let settings = Settings {
            endpoint,
            sample_percent: traces.sample_percent,
            slow: traces.slow,
            messaging_system: match config.bus.kind {
                BusKind::Embedded => "event_log",
                BusKind::Dapr | BusKind::Kafka => "kafka",
            },
            // As the sidecars call it, where a process has one role.
            service: match self.role {
                "all" => "wealth-companion".to_owned(),
                role => format!("wealth-companion-{role}"),
            },
            instance: self.instance.to_string(),
        };
        spans::start(&settings, Clock::system(), Ids::system()).map(Some)
    }
}

/// Sends the last lines and spans.
pub(super) async fn finish(lines: Option<LokiSending>, spans: Option<Exporting>) {
    let lines = async {
        if let Some(lines) = lines {
            lines.finish(END_LIMIT).await;
        }
    };
    let spans = async {
        if let Some(spans) = spans {
            spans.finish(END_LIMIT).await;
        }
    };
    tokio::join!(lines, spans);
}
