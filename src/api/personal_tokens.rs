//! Personal access tokens: what scripts come in with.
//!
//! A secret is 256 random bits, so that its SHA-256 can be kept and looked up by: nobody tries so many, as one could
//! passwords, and a hash that costs something would cost it at each request. Its beginning is the same for all, for those who
//! look for secrets in places where none should be.

use actix_web::{HttpResponse, delete, get, post, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Months, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::PageQuery;
use super::once::{self, Created, IdempotencyKey};
use super::session::{PERSONAL, Session, hash_of};
use super::{Api, answer};
use crate::domain::scope::{Scope, Scopes};
use crate::domain::text::check_text;
use crate::http::etag::{self, IfMatch};
use crate::http::{Body, Checks, Problem, Query, cursor};
use crate::store::personal_tokens::{self, PersonalToken};

/// The list that cursors name.
const LIST: &str = "tokens";
/// How long a token is good at the most, where it is said how long.
const MONTHS_MAX: Months = Months::new(120);

/// A personal access token. It cannot be printed.
#[derive(Serialize, ToSchema)]
pub struct TokenView {
    id: Uuid,
    name: String,
    scopes: Vec<Scope>,
    /// For `Authorization: Bearer`. It is shown once, in the first answer to its creation, and null ever after: a repeated
    /// request with the same `Idempotency-Key` does not show it again.
    #[schema(
        required = true,
        example = "wct_q0J8rZ6Vw2n5T1y7Kx3LmB4cD9fGhEoPsUvWiXaYbRk"
    )]
    secret: Option<String>,
    /// The last characters of the secret, to know it by.
    #[schema(example = "YbRk")]
    ends_with: String,
    /// From when on it opens nothing any more; null: it is good until you delete it.
    #[schema(required = true)]
    expires_at: Option<DateTime<Utc>>,
    /// When it was used, to the hour; null: never.
    #[schema(required = true)]
    last_used_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TokenView {
    fn of(token: &PersonalToken, secret: Option<String>) -> Self {
        Self {
            id: token.id,
            name: token.name.clone(),
            scopes: token.scopes.iter().collect(),
            secret,
            ends_with: token.last_four.clone(),
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            version: token.version,
            created_at: token.created_at,
            updated_at: token.updated_at,
        }
    }
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Nightly import", "scopes": ["write"]}))]
pub struct NewToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it may do: `read` the books, `write` and read them, `ai` for insights.
    #[schema(min_items = 1, max_items = 3)]
    scopes: Vec<Scope>,
    /// From when on it opens nothing any more, at most ten years from now; left out: never.
    expires_at: Option<DateTime<Utc>>,
}

impl NewToken {
    fn check(
        self,
        id: Uuid,
        user_id: Uuid,
        secret: &str,
        now: DateTime<Utc>,
    ) -> Result<PersonalToken, Problem> {
        let mut checks = Checks::new();
        let name = checks.field("/name", check_text(&self.name, 1..=100));
        if !(1..=Scope::ALL.len()).contains(&self.scopes.len()) {
            checks.wrong("/scopes", format!("1 to {} scopes", Scope::ALL.len()));
        }
        let expires_at = checks.optional("/expires_at", self.expires_at, |at| expiry(at, now));
        let (name,) = checks.all((name,))?;
        let rest = secret.len().saturating_sub(4);
        Ok(PersonalToken {
            id,
            user_id,
            name,
            last_four: secret.get(rest..).unwrap_or_default().to_owned(),
            scopes: self.scopes.into_iter().collect::<Scopes>(),
            expires_at,
            last_used_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }
}

/// A moment as it is kept, to the microsecond.
fn expiry(given: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, &'static str> {
    let last = now.checked_add_months(MONTHS_MAX).unwrap_or(now);
    match DateTime::from_timestamp_micros(given.timestamp_micros()) {
        Some(at) if at > last => Err("a token is good for ten years at the most"),
        Some(at) if at > now => Ok(at),
        _ => Err("this moment has passed"),
    }
}

/// A page of tokens, oldest first. It cannot be printed.
#[derive(Serialize, ToSchema)]
pub struct TokenPage {
    items: Vec<TokenView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Make a personal access token. Its secret is shown in this answer and never again.
#[utoipa::path(
    tag = "tokens",
    operation_id = "create_token",
    request_body = NewToken,
    responses((status = 201, description = "The token, with its secret", body = TokenView))
)]
#[post("/v1/tokens")]
pub(super) async fn create(
    api: web::Data<Api>,
    session: Session,
    key: IdempotencyKey,
    body: Body<NewToken>,
) -> Result<HttpResponse, Problem> {
    let (user_id, now) = (session.user_id(), api.clock.now());
    let secret = format!("{PERSONAL}{}", URL_SAFE_NO_PAD.encode(api.ids.secret()));
    let hash = hash_of(&secret);
    let token = body.value.check(api.ids.v7(now), user_id, &secret, now)?;
    let shown = TokenView::of(&token, Some(secret));
    once::create_showing(
        &api,
        user_id,
        key,
        &body.bytes,
        &shown,
        move |tx| async move {
            personal_tokens::create(&tx, &token, hash).await?;
            Ok(Created {
                location: format!("/v1/tokens/{}", token.id),
                version: token.version,
                view: TokenView::of(&token, None),
                position: None,
            })
        },
    )
    .await
}

/// List your personal access tokens, without their secrets.
#[utoipa::path(
    tag = "tokens",
    operation_id = "list_tokens",
    params(PageQuery),
    responses((status = 200, description = "A page", body = TokenPage))
)]
#[get("/v1/tokens")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = personal_tokens::list(api.store.reads(), session.user_id(), page).await?;
    let items = page.items.iter().map(|token| TokenView::of(token, None));
    Ok(HttpResponse::Ok().json(TokenPage {
        items: items.collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Read a personal access token, without its secret.
#[utoipa::path(
    tag = "tokens",
    operation_id = "get_token",
    params(("id" = Uuid, Path, description = "The token")),
    responses((status = 200, description = "The token", body = TokenView))
)]
#[get("/v1/tokens/{id}")]
pub(super) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let token = personal_tokens::get(api.store.reads(), session.user_id(), *id).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(token.version))
        .json(TokenView::of(&token, None)))
}

/// Delete a personal access token: it opens nothing any more, and its streams end.
#[utoipa::path(
    tag = "tokens",
    operation_id = "delete_token",
    params(("id" = Uuid, Path, description = "The token")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/tokens/{id}")]
pub(super) async fn delete(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (user_id, id) = (session.user_id(), *id);
    let ((), position) = answer::write(&api, user_id, move |tx| async move {
        personal_tokens::revoke(&tx, user_id, id, expected.0).await?;
        Ok(((), None))
    })
    .await?;
    api.sessions.forget_token(id);
    api.streams.end_session(id);
    Ok(answer::deleted(position))
}
