//! What the Dapr sidecar calls on the internal listener: it asks once what this process hears, and
//! then delivers. `wire` reads and writes its forms; [`crate::bus::dapr::Intake`] does the work.

/// The sidecar's forms.
mod wire;

use std::sync::Arc;

use actix_web::http::header::CONNECTION;
use actix_web::web::{self, Bytes, BytesMut};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::bus::dapr::{Intake, Status};
use crate::config::Config;
use crate::dapr::TOKEN_HEADER;
use crate::events::EventType;
use crate::events::envelope::ENVELOPE_BYTES_MAX;
use wire::{Answer, Answers, Batch, Subscription};

/// Bytes of an event in a delivery at the most: the largest that topics take, in base 64, and what
/// surrounds it.
const EVENT_BYTES_MAX: usize = 2 * ENVELOPE_BYTES_MAX;

/// The way in for the sidecar.
pub struct Ingress {
    intake: Arc<Intake>,
    subscriptions: Vec<Subscription>,
    token: Option<SecretString>,
    /// Of a delivery at the most, of one event too: a topic may have been made to take longer ones than
    /// ours do, and one that was refused here would come again and again.
    bytes_max: usize,
}

impl Ingress {
    /// What is heard through this intake.
    #[must_use]
    pub fn new(intake: Arc<Intake>, config: &Config) -> Self {
        let hears = intake.hears().iter();
        Self {
            subscriptions: hears
                .map(|event_type| Subscription::new(*event_type, config))
                .collect(),
            token: config.dapr.app_token.clone(),
            bytes_max: EVENT_BYTES_MAX.saturating_mul(config.bus.batch_max as usize),
            intake,
        }
    }

    /// Adds the routes.
    pub fn routes(self: &Arc<Self>, config: &mut web::ServiceConfig) {
        config
            .app_data(web::Data::from(Arc::clone(self)))
            .route("/dapr/subscribe", web::get().to(subscribe))
            .route(&format!("{}{{topic}}", wire::ONE), web::post().to(one))
            .route(&format!("{}{{topic}}", wire::MANY), web::post().to(many));
    }

    /// Digests are compared, so that the time it takes says nothing of the token.
    fn admits(&self, request: &HttpRequest) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let given = request.headers().get(TOKEN_HEADER);
        given.is_some_and(|given| {
            Sha256::digest(given.as_bytes()) == Sha256::digest(token.expose_secret())
        })
    }
}

/// What this process hears. The sidecar asks once in its life: it is answered before there is a
/// database.
async fn subscribe(ingress: web::Data<Ingress>, request: HttpRequest) -> HttpResponse {
    if !ingress.admits(&request) {
        return stranger();
    }
    HttpResponse::Ok().json(&ingress.subscriptions)
}

/// One event.
async fn one(
    ingress: web::Data<Ingress>,
    request: HttpRequest,
    topic: web::Path<String>,
    body: web::Payload,
) -> HttpResponse {
    let (topic, body) = match received(&ingress, &request, &topic, body).await {
        Ok(received) => received,
        Err(answer) => return answer,
    };
    let payload = wire::payload_of_one(&body);
    drop(body);
    match ingress.intake.take(topic, vec![payload]).await {
        Some(statuses) => {
            let status = statuses.first().copied().unwrap_or(Status::Retry);
            HttpResponse::Ok().json(Answer::new(status))
        }
        None => not_now(),
    }
}

/// A batch of events.
async fn many(
    ingress: web::Data<Ingress>,
    request: HttpRequest,
    topic: web::Path<String>,
    body: web::Payload,
) -> HttpResponse {
    let (topic, body) = match received(&ingress, &request, &topic, body).await {
        Ok(received) => received,
        Err(answer) => return answer,
    };
    let Batch { ids, payloads } = match wire::batch(&body) {
        Ok(batch) => batch,
        Err(error) => return HttpResponse::BadRequest().body(error.to_string()),
    };
    drop(body);
    match ingress.intake.take(topic, payloads).await {
        Some(statuses) => HttpResponse::Ok().json(Answers::new(&ids, &statuses)),
        None => not_now(),
    }
}

async fn received(
    ingress: &Ingress,
    request: &HttpRequest,
    topic: &str,
    body: web::Payload,
) -> Result<(EventType, Bytes), HttpResponse> {
    if !ingress.admits(request) {
        return Err(stranger());
    }
    let heard = EventType::named(topic).filter(|topic| ingress.intake.hears().contains(topic));
    // Not 404: to the sidecar that means "drop it".
    let topic = heard.ok_or_else(|| HttpResponse::BadRequest().body("nobody here hears this"))?;
    Ok((topic, collect(body, ingress.bytes_max).await?))
}

async fn collect(mut body: web::Payload, bytes_max: usize) -> Result<Bytes, HttpResponse> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| HttpResponse::BadRequest().body("the body broke off"))?;
        if bytes.len() + chunk.len() > bytes_max {
            return Err(HttpResponse::PayloadTooLarge().finish());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Whoever has not the token of the sidecar.
fn stranger() -> HttpResponse {
    tracing::warn!("somebody without the right dapr.app_token called for the sidecar");
    HttpResponse::Unauthorized().body("the token is missing or wrong: see dapr.app_token")
}

/// The process starts or stops: the sidecar comes again, on a new connection.
fn not_now() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((CONNECTION, "close"))
        .body("it starts or stops: deliver it again")
}
