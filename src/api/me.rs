//! The user of the session.

use actix_web::{HttpResponse, delete, get, patch, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{nullable, present};
use super::session::Session;
use super::{Api, answer};
use crate::domain::money::Currency;
use crate::domain::{period, text};
use crate::http::etag::{self, IfMatch};
use crate::http::{Body, Checks, Problem};
use crate::store::users::{self, User, UserChange};
use crate::store::{erasure, event_log};

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserView {
    id: Uuid,
    email: String,
    #[schema(required = true)]
    name: Option<String>,
    /// ISO 4217: what the dashboard shows when it is not asked for another.
    #[schema(value_type = Currency)]
    currency: String,
    /// IANA: where the user's days begin and end.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Whether insights are put into words by the AI provider; false until you say so.
    ai: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            email: user.email.clone(),
            name: user.name.clone(),
            currency: user.currency.code().to_owned(),
            time_zone: user.time_zone.name().to_owned(),
            ai: user.ai_enabled,
            version: user.version,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ada", "time_zone": "Europe/London"}))]
pub struct MeChange {
    /// ISO 4217.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// IANA name. Periods that are over stay as they were.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    time_zone: Option<String>,
    /// Null removes it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    name: Option<Option<String>>,
    /// Whether insights are put into words by Google's Gemini, where the operator has set it up. It is sent the
    /// figures of an insight (amounts, counts, dates, the currency) and what kind it is: no names of payees,
    /// categories or budgets, no ids, nothing of who you are. What it answers is shown if it says no other
    /// figures; else you see the words of the rules, as without it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    ai: Option<bool>,
}

/// Who is signed in.
#[utoipa::path(
    tag = "me",
    operation_id = "get_me",
    responses((status = 200, description = "The user", body = UserView))
)]
#[get("/v1/me")]
pub(super) async fn get(api: web::Data<Api>, session: Session) -> Result<HttpResponse, Problem> {
    // The session may have been looked up before a change at another replica.
    let user = users::get(api.store.reads(), session.user_id()).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(user.version))
        .json(UserView::from(&user)))
}

/// Change currency, time zone, name, or whether insights are put into words by the AI provider.
#[utoipa::path(
    tag = "me",
    operation_id = "change_me",
    request_body = MeChange,
    responses((status = 200, description = "The user", body = UserView))
)]
#[patch("/v1/me")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    expected: IfMatch,
    body: Body<MeChange>,
) -> Result<HttpResponse, Problem> {
    let input = body.value;
    let mut checks = Checks::new();
    let change = UserChange {
        currency: checks.optional("/currency", input.currency, |code| Currency::parse(&code)),
        time_zone: checks.optional("/time_zone", input.time_zone, |zone| {
            period::parse_time_zone(&zone)
        }),
        name: checks.removable("/name", input.name, |name| text::check_text(&name, 1..=100)),
        ai_enabled: input.ai,
    };
    checks.finish()?;
    let (id, now) = (session.user_id(), api.clock.now());
    let (user, position) = answer::write(&api, id, move |tx| async move {
        Ok((users::change(&tx, id, expected.0, change, now).await?, None))
    })
    .await?;
    api.sessions.forget_user(id);
    Ok(answer::changed(
        user.version,
        position,
        &UserView::from(&user),
    ))
}

/// Delete the account and all that is in it. There is no way back.
#[utoipa::path(
    tag = "me",
    operation_id = "delete_me",
    responses((status = 204, description = "All is deleted"))
)]
#[delete("/v1/me")]
pub(super) async fn delete(api: web::Data<Api>, session: Session) -> Result<HttpResponse, Problem> {
    let (id, now) = (session.user_id(), api.clock.now());
    let said = event_log::positions_of(api.store.reads(), id).await?;
    api.store
        .write(move |tx| async move { erasure::erase(&tx, id, &said, now).await })
        .await?;
    api.sessions.forget_user(id);
    api.streams.end_user(id);
    Ok(HttpResponse::NoContent().finish())
}
