//! Signing in and out, and who makes a request.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, post, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Api;
use super::me::UserView;
use crate::http::client_address::client_address;
use crate::http::request::{AnswerHeaders, log_user};
use crate::http::{Body, Problem};
use crate::store::sessions::{self, Exchange, TokenHash};
use crate::store::users::{self, User};
use crate::store::{StoreError, Tx};
use crate::telemetry::metrics::names;

/// How long another replica may go on accepting a session that has ended.
pub(super) const CACHE_TTL: Duration = Duration::from_secs(5);
/// Sessions that are remembered at the most.
const CACHE_MAX: u64 = 10_000;

/// Sessions that were looked up a moment ago, with whose they are.
#[derive(Debug, Clone)]
pub struct SessionCache(Cache<Uuid, Owner>);

/// Whose a session is.
#[derive(Debug, Clone)]
struct Owner {
    user: Arc<User>,
    has_rules: bool,
}

impl Default for SessionCache {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CACHE_MAX)
                .time_to_live(CACHE_TTL)
                .build(),
        )
    }
}

impl SessionCache {
    /// Looks the session up again at its next request.
    pub(super) fn forget(&self, session_id: Uuid) {
        self.0.invalidate(&session_id);
    }

    /// Looks every session of the user up again: the user has changed, or left.
    pub(super) fn forget_user(&self, user_id: Uuid) {
        for (session_id, owner) in &self.0 {
            if owner.user.id == user_id {
                self.forget(*session_id);
            }
        }
    }
}

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user.
    pub user: Arc<User>,
    /// Whether new bookings of the user are asked about by rules.
    pub has_rules: bool,
    /// The session.
    pub session_id: Uuid,
    /// When the access token expires.
    pub expires_at: DateTime<Utc>,
}

impl Session {
    /// The user's id.
    #[must_use]
    pub fn user_id(&self) -> Uuid {
        self.user.id
    }
}

impl FromRequest for Session {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let api = request
                .app_data::<web::Data<Api>>()
                .ok_or_else(|| Problem::defect("the server has no api"))?;
            let session = authenticate(api, &request).await?;
            log_user(session.user_id());
            let (limited, headers) = match api.limits.request(session.user_id()).await {
                Ok(headers) => (None, headers),
                Err((problem, headers)) => (Some(problem), headers),
            };
            request.extensions_mut().insert::<AnswerHeaders>(headers);
            limited.map_or(Ok(session), Err)
        }
        .boxed_local()
    }
}

async fn authenticate(api: &Api, request: &HttpRequest) -> Result<Session, Problem> {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            Problem::unauthorized("send the header Authorization: Bearer <access_token>")
        })?;
    let now = api.clock.now();
    let claims = api.tokens.verify(token, now)?;
    let owner = match api.sessions.0.get(&claims.sid) {
        Some(owner) if owner.user.id == claims.sub => owner,
        _ => {
            let owner = open_session(api, claims.sub, claims.sid, now).await?;
            api.sessions.0.insert(claims.sid, owner.clone());
            owner
        }
    };
    let expires_at = DateTime::from_timestamp(claims.exp, 0).unwrap_or(now);
    Ok(Session {
        user: owner.user,
        has_rules: owner.has_rules,
        session_id: claims.sid,
        expires_at,
    })
}

async fn open_session(
    api: &Api,
    user_id: Uuid,
    session_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Owner, Problem> {
    let ended = || Problem::unauthorized("the session has ended: sign in again");
    let reads = api.store.reads();
    if !sessions::is_open(reads, user_id, session_id, now).await? {
        return Err(ended());
    }
    match users::with_rules(reads, user_id).await {
        Ok((user, has_rules)) => Ok(Owner {
            user: Arc::new(user),
            has_rules,
        }),
        Err(StoreError::NotFound(_)) => Err(ended()),
        Err(error) => Err(error.into()),
    }
}

/// Somebody who comes back. It cannot be printed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.com", "password": "correct horse battery"}))]
pub struct Login {
    /// Of the registration.
    #[schema(max_length = 254)]
    email: String,
    /// Of the registration.
    #[schema(format = "password", max_length = 128)]
    password: String,
}

/// A refresh token, to be exchanged. It cannot be printed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"refresh_token": "SKtFq0Qk7d1nH2w1v3cYx8Xb1p3rJ8Zb6q1m9s0t2uE"}))]
pub struct Refresh {
    /// The newest that was given out; each works once.
    refresh_token: String,
}

/// A session. It cannot be printed.
#[derive(Serialize, ToSchema)]
pub struct SessionView {
    user: UserView,
    /// For `Authorization: Bearer`.
    access_token: String,
    /// Exchange it at `/v1/auth/refresh` before the access token expires; each works once.
    refresh_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 900)]
    expires_in: i64,
}

pub(super) fn address_of(api: &Api, request: &HttpRequest) -> Option<std::net::IpAddr> {
    client_address(request, &api.config.http.trusted_proxies)
}

/// A session that is about to begin. It cannot be printed.
#[derive(Clone)]
pub(super) struct NewSession {
    pub(super) id: Uuid,
    token: String,
    token_hash: TokenHash,
    expires_at: DateTime<Utc>,
}

impl NewSession {
    pub(super) fn make(api: &Api, now: DateTime<Utc>) -> Self {
        let (token, token_hash) = new_refresh_token(api);
        let lifetime = TimeDelta::from_std(api.config.auth.refresh_token).unwrap_or(TimeDelta::MAX);
        Self {
            id: api.ids.v7(now),
            token,
            token_hash,
            expires_at: now + lifetime,
        }
    }

    pub(super) fn view(
        &self,
        api: &Api,
        user: &User,
        now: DateTime<Utc>,
    ) -> Result<SessionView, Problem> {
        session_view(api, user, self.id, self.token.clone(), now)
    }

    /// Begins it for the user.
    ///
    /// # Errors
    /// The unit of work cannot go on.
    pub(super) async fn begin(
        self,
        tx: &Tx,
        user_id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sessions::begin(tx, self.id, user_id, self.token_hash, now, self.expires_at).await
    }
}

fn session_view(
    api: &Api,
    user: &User,
    session_id: Uuid,
    refresh_token: String,
    now: DateTime<Utc>,
) -> Result<SessionView, Problem> {
    Ok(SessionView {
        access_token: api.tokens.sign(user.id, session_id, now)?,
        refresh_token,
        token_type: "Bearer",
        expires_in: api.tokens.lifetime_secs(),
        user: UserView::from(user),
    })
}

fn new_refresh_token(api: &Api) -> (String, TokenHash) {
    let token = URL_SAFE_NO_PAD.encode(api.ids.secret());
    let hash = hash_of(&token);
    (token, hash)
}

fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// Sign in.
#[utoipa::path(
    tag = "session",
    operation_id = "login",
    request_body = Login,
    security(()),
    responses((status = 200, description = "Signed in", body = SessionView))
)]
#[post("/v1/auth/login")]
pub(super) async fn login(
    api: web::Data<Api>,
    request: HttpRequest,
    body: Body<Login>,
) -> Result<HttpResponse, Problem> {
    let Login { email, password } = body.value;
    let email = email.trim().to_lowercase();
    api.limits
        .sign_in(address_of(&api, &request), Some(&email))
        .await?;
    let known = users::by_email(api.store.reads(), &email).await?;
    let (user, hash) = known.unzip();
    // The same work and the same answer, whether or not the address is known.
    let right = api.passwords.verify(password.clone(), hash.clone()).await?;
    let Some(user) = user.filter(|_| right) else {
        metrics::counter!(names::SIGN_IN_TOTAL, "outcome" => "refused").increment(1);
        return Err(Problem::unauthorized(
            "the e-mail address or the password is wrong",
        ));
    };
    // Whose hash costs something else than nobody's can be told by time: no longer than to here.
    let hash = hash.filter(|hash| api.passwords.is_of_another_cost(hash));
    let renewed = match hash {
        Some(old) => Some((old, api.passwords.hash(password).await?)),
        None => None,
    };
    let now = api.clock.now();
    let new = NewSession::make(&api, now);
    let view = new.view(&api, &user, now)?;
    api.store
        .write(move |tx| async move {
            if let Some((old, hash)) = renewed {
                users::hash_anew(&tx, user.id, old, hash).await?;
            }
            new.begin(&tx, user.id, now).await
        })
        .await?;
    metrics::counter!(names::SIGN_IN_TOTAL, "outcome" => "signed_in").increment(1);
    Ok(HttpResponse::Ok().json(view))
}

/// Exchange a refresh token for a new pair of tokens. A token that is used twice was copied: the
/// session ends.
#[utoipa::path(
    tag = "session",
    operation_id = "refresh",
    request_body = Refresh,
    security(()),
    responses((status = 200, description = "New tokens", body = SessionView))
)]
#[post("/v1/auth/refresh")]
pub(super) async fn refresh(
    api: web::Data<Api>,
    request: HttpRequest,
    body: Body<Refresh>,
) -> Result<HttpResponse, Problem> {
    let address = address_of(&api, &request);
    api.limits.sign_in(address, None).await?;
    let now = api.clock.now();
    let old = hash_of(&body.value.refresh_token);
    let (token, new) = new_refresh_token(&api);
    let exchange = api
        .store
        .write(move |tx| async move { sessions::exchange(&tx, old, new, now).await })
        .await?;
    match exchange {
        Exchange::Done {
            session_id,
            user_id,
        } => {
            let user = users::get(api.store.reads(), user_id).await?;
            Ok(HttpResponse::Ok().json(session_view(&api, &user, session_id, token, now)?))
        }
        Exchange::Reused { session_id } => {
            api.sessions.forget(session_id);
            api.streams.end_session(session_id);
            tracing::warn!(%session_id, "a refresh token was used twice: the session has ended");
            metrics::counter!(names::SIGN_IN_TOTAL, "outcome" => "reused").increment(1);
            Err(refresh_refused())
        }
        Exchange::Refused => Err(refresh_refused()),
    }
}

fn refresh_refused() -> Problem {
    Problem::unauthorized("the refresh token is not valid: sign in again")
}

/// Sign out: the session's tokens are good no more.
#[utoipa::path(
    tag = "session",
    operation_id = "logout",
    responses((status = 204, description = "Signed out"))
)]
#[post("/v1/auth/logout")]
pub(super) async fn logout(api: web::Data<Api>, session: Session) -> Result<HttpResponse, Problem> {
    let (user_id, session_id, now) = (session.user_id(), session.session_id, api.clock.now());
    api.store
        .write(move |tx| async move { sessions::end(&tx, user_id, session_id, now).await })
        .await?;
    api.sessions.forget(session_id);
    api.streams.end_session(session_id);
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use crate::api::register::Registration;
    use crate::http::Body;

    use super::{Login, NewSession, Refresh, SessionView};

    /// What a type has of its own is taken before what a trait gives to all.
    macro_rules! can_be_printed {
        ($type:ty) => {{
            #[allow(dead_code)]
            trait Otherwise {
                const IS: bool = false;
            }
            impl<T> Otherwise for T {}
            struct Printed<T>(std::marker::PhantomData<T>);
            #[allow(dead_code)]
            impl<T: std::fmt::Debug> Printed<T> {
                const IS: bool = true;
            }
            Printed::<$type>::IS
        }};
    }

    #[test]
    fn what_holds_a_password_or_a_token_cannot_be_printed() {
        assert!(can_be_printed!(String), "the question is a good one");
        let answers = [
            can_be_printed!(Login),
            can_be_printed!(Registration),
            can_be_printed!(Refresh),
            can_be_printed!(SessionView),
            can_be_printed!(NewSession),
            can_be_printed!(Body<String>),
        ];
        assert_eq!(answers, [false; 6]);
    }
}
