//! Registering: the one POST that creates without a session, and so its `Idempotency-Key` needs an
//! answer of its own.
//!
//! The first answer carries tokens, which are not kept. So the key is kept for the new user with a
//! hash of the request without its password; who sends the same again, with the right password,
//! gets a fresh session.

use actix_web::{HttpRequest, HttpResponse, post, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Api;
use super::once::{IDEMPOTENT_REPLAYED, IdempotencyKey};
use super::sign_in::{NewSession, SessionView, address_of};
use crate::domain::category::USUAL;
use crate::domain::money::Currency;
use crate::domain::{period, text};
use crate::http::{Body, Checks, Problem};
use crate::store::categories::{self, Category};
use crate::store::idempotency::{self, KeyedRequest};
use crate::store::users::{self, User};
use crate::store::{Conflict, StoreError};
use crate::telemetry::metrics::names;

/// Characters of a password: NIST SP 800-63B asks for at least eight, and for room for phrases.
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 12..=128;

/// Somebody new. It cannot be printed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "email": "ada@example.com", "password": "correct horse battery", "currency": "USD",
    "time_zone": "Europe/Berlin"
}))]
pub struct Registration {
    /// Where to sign in with.
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// 12 to 128 characters.
    #[schema(format = "password", min_length = 12, max_length = 128)]
    password: String,
    /// ISO 4217; USD if left out.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// IANA name; UTC if left out.
    time_zone: Option<String>,
}

impl Registration {
    fn check(self, api: &Api, now: DateTime<Utc>) -> Result<(User, String), Problem> {
        let mut checks = Checks::new();
        let email = checks.field("/email", text::check_email(&self.email));
        let password = checks.field("/password", check_password(self.password));
        let currency = self.currency.unwrap_or_else(|| "USD".to_owned());
        let currency = checks.field("/currency", Currency::parse(&currency));
        let zone = self.time_zone.unwrap_or_else(|| "UTC".to_owned());
        let time_zone = checks.field("/time_zone", period::parse_time_zone(&zone));
        let (email, password, currency, time_zone) =
            checks.all((email, password, currency, time_zone))?;
        let user = User {
            id: api.ids.v7(now),
            email,
            name: None,
            currency,
            time_zone,
            ai_enabled: false,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        Ok((user, password))
    }
}

/// Too short or too long; nothing else is asked of a password.
fn check_password(password: String) -> Result<String, String> {
    if PASSWORD_CHARS.contains(&password.chars().count()) {
        Ok(password)
    } else {
        let (min, max) = (PASSWORD_CHARS.start(), PASSWORD_CHARS.end());
        Err(format!("send {min} to {max} characters"))
    }
}

/// Register, and sign in.
#[utoipa::path(
    tag = "session",
    operation_id = "register",
    security(()),
    request_body = Registration,
    responses((status = 201, description = "Registered and signed in", body = SessionView))
)]
#[post("/v1/auth/register")]
pub(super) async fn register(
    api: web::Data<Api>,
    request: HttpRequest,
    key: IdempotencyKey,
    body: Body<Registration>,
) -> Result<HttpResponse, Problem> {
    let now = api.clock.now();
    let (user, password) = body.value.check(&api, now)?;
    api.limits
        .sign_in(address_of(&api, &request), Some(&user.email))
        .await?;
    let key = key.for_body(asked_for(&user).as_bytes());
    let hash = api.passwords.hash(password.clone()).await?;
    let (email, usual) = (user.email.clone(), usual_categories(&api, now));
    let new = NewSession::make(&api, now);
    let view = new.view(&api, &user, now)?;
    let saved_key = key.clone();
    let written = api
        .store
        .write(move |tx| async move {
            users::create(&tx, &user, hash).await?;
            categories::create_many(&tx, user.id, usual).await?;
            if let Some(key) = saved_key {
                idempotency::save(&tx, user.id, key, Vec::new(), now).await?;
            }
            new.begin(&tx, user.id, now).await
        })
        .await;
    match (written, key) {
        (Ok(()), _) => {
            metrics::counter!(names::SIGN_IN_TOTAL, "outcome" => "registered").increment(1);
            Ok(registered(&view, false))
        }
        (Err(StoreError::Conflict(Conflict::Email)), Some(key)) => {
            let view = again(&api, &email, password, &key, now).await?;
            Ok(registered(&view, true))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// A fresh session for who registered with this key before.
async fn again(
    api: &Api,
    email: &str,
    password: String,
    key: &KeyedRequest,
    now: DateTime<Utc>,
) -> Result<SessionView, Problem> {
    let taken = || Problem::from(StoreError::Conflict(Conflict::Email));
    let reads = api.store.reads();
    let (user, hash) = users::by_email(reads, email).await?.ok_or_else(taken)?;
    let same = matches!(idempotency::find(reads, user.id, key).await, Ok(Some(_)));
    if !same || !api.passwords.verify(password, Some(hash)).await? {
        return Err(taken());
    }
    let new = NewSession::make(api, now);
    let view = new.view(api, &user, now)?;
    api.store
        .write(move |tx| async move { new.begin(&tx, user.id, now).await })
        .await?;
    Ok(view)
}

/// What tells one registration from another, without its password.
fn asked_for(user: &User) -> String {
    let (currency, time_zone) = (user.currency.code(), user.time_zone.name());
    format!("{}\n{currency}\n{time_zone}", user.email)
}

fn registered(view: &SessionView, replayed: bool) -> HttpResponse {
    let mut response = HttpResponse::Created();
    response.insert_header(("location", "/v1/me"));
    if replayed {
        response.insert_header((IDEMPOTENT_REPLAYED, "true"));
    }
    response.json(view)
}

fn usual_categories(api: &Api, now: DateTime<Utc>) -> Vec<Category> {
    USUAL
        .iter()
        .map(|(name, kind, icon, color)| Category {
            id: api.ids.v7(now),
            name: (*name).to_owned(),
            kind: *kind,
            parent_id: None,
            color: Some((*color).to_owned()),
            icon: Some((*icon).to_owned()),
            version: 1,
            created_at: now,
            updated_at: now,
        })
        .collect()
}
