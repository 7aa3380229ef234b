//! The internal listener, of every role: liveness, readiness, metrics, what is logged. Never behind an
//! ingress.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::lifecycle::Readiness;
use crate::telemetry::metrics::names;
use crate::telemetry::{TelemetryError, logs, metrics};

/// What the internal listener tells of.
#[derive(Clone)]
pub struct Internal {
    /// Whether the process takes work.
    pub readiness: Readiness,
    /// What was counted.
    pub metrics: PrometheusHandle,
}

/// Adds the routes.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/livez", web::get().to(livez))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(show_metrics))
        .service(
            web::resource("/log-level")
                .route(web::get().to(log_level))
                .route(web::put().to(set_log_level))
                .route(web::delete().to(reset_log_level)),
        );
}

/// The process runs.
async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

/// The process takes work; if not, why.
async fn readyz(internal: web::Data<Internal>) -> HttpResponse {
    match internal.readiness.check() {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(reasons) => {
            let reasons: serde_json::Map<String, serde_json::Value> = reasons
                .into_iter()
                .map(|(what, why)| (what.to_owned(), why.into()))
                .collect();
            HttpResponse::ServiceUnavailable()
                .json(json!({"status": "not ready", "reasons": reasons}))
        }
    }
}

async fn show_metrics(internal: web::Data<Internal>) -> HttpResponse {
    let is_ready = internal.readiness.check().is_ok();
    ::metrics::gauge!(names::READY).set(u32::from(is_ready));
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, metrics::CONTENT_TYPE))
        .body(metrics::render(&internal.metrics))
}

/// What is logged now.
async fn log_level() -> HttpResponse {
    level_after(Ok(()))
}

/// Logs from now on what the body says, in the words of `log.level`.
async fn set_log_level(level: String) -> HttpResponse {
    level_after(logs::set_level(level.trim()))
}

/// Logs again what the configuration says.
async fn reset_log_level() -> HttpResponse {
    level_after(logs::reset_level())
}

fn level_after(change: Result<(), TelemetryError>) -> HttpResponse {
    match change {
        Ok(()) => HttpResponse::Ok().json(json!({"level": logs::level()})),
        Err(error @ TelemetryError::BadLevel { .. }) => {
            HttpResponse::BadRequest().json(json!({"error": error.to_string()}))
        }
        Err(error) => HttpResponse::Conflict().json(json!({"error": error.to_string()})),
    }
}
