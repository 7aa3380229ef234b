//! The internal listener, of every role: liveness, readiness, metrics. Never behind an ingress.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::lifecycle::Readiness;
use crate::telemetry::metrics;

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
        .route("/metrics", web::get().to(show_metrics));
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
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, metrics::CONTENT_TYPE))
        .body(metrics::render(&internal.metrics))
}
