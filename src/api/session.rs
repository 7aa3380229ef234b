//! Signing in and out, and who makes a request.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
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

use super::access::{self, Access};
use super::me::UserView;
use super::{Api, personal_tokens};
use crate::domain::scope::Scopes;
use crate::http::client_address::client_address;
use crate::http::request::{AnswerHeaders, log_user};
use crate::http::{Body, Problem};
use crate::store::personal_tokens::PersonalToken;
use crate::store::sessions::{self, Exchange, TokenHash};
use crate::store::users::{self, User};
use crate::store::{self, StoreError, Tx};
use crate::telemetry::metrics::names;

/// How long another replica may go on accepting a session that has ended.
pub(super) const CACHE_TTL: Duration = Duration::from_secs(5);
/// Sessions that are remembered at the most.
const CACHE_MAX: u64 = 10_000;

/// Sessions and personal access tokens that were looked up a moment ago, with whose they are.
#[derive(Debug, Clone)]
pub struct SessionCache {
    sessions: Cache<Uuid, Owner>,
    tokens: Cache<TokenHash, (Arc<PersonalToken>, Owner)>,
}

/// Whose a session or a token is.
#[derive(Debug, Clone)]
struct Owner {
    user: Arc<User>,
    has_rules: bool,
}

impl Default for SessionCache {
    fn default() -> Self {
        Self {
            sessions: Cache::builder()
                .max_capacity(CACHE_MAX)
                .time_to_live(CACHE_TTL)
                .build(),
            tokens: Cache::builder()
                .max_capacity(CACHE_MAX)
                .time_to_live(CACHE_TTL)
                .build(),
        }
    }
}

impl SessionCache {
    /// Looks the session up again at its next request.
    pub(super) fn forget(&self, session_id: Uuid) {
        self.sessions.invalidate(&session_id);
    }

    /// Looks the personal access token up again at its next request.
    pub(super) fn forget_token(&self, token_id: Uuid) {
        self.forget_tokens(|token| token.id == token_id);
    }

    /// Looks every session and token of the user up again: the user has changed, or left.
    pub(super) fn forget_user(&self, user_id: Uuid) {
        for (session_id, owner) in &self.sessions {
            if owner.user.id == user_id {
                self.forget(*session_id);
            }
        }
        self.forget_tokens(|token| token.user_id == user_id);
    }

    fn forget_tokens(&self, is_meant: impl Fn(&PersonalToken) -> bool) {
        for (hash, (token, _)) in &self.tokens {
            if is_meant(&token) {
                self.tokens.invalidate(&*hash);
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
    /// The session, or the personal access token.
    pub session_id: Uuid,
    /// When the access token expires; none: a personal one that does not.
    pub expires_at: Option<DateTime<Utc>>,
    /// What a personal access token may do; none: somebody has signed in, and may do all.
    scopes: Option<Scopes>,
}

impl Session {
    /// The user's id.
    #[must_use]
    pub fn user_id(&self) -> Uuid {
        self.user.id
    }

    /// Whether it opens what is asked for.
    fn check_scope(&self, request: &HttpRequest) -> Result<(), Problem> {
        let Some(scopes) = self.scopes else {
            return Ok(());
        };
        let path = request.match_pattern().unwrap_or_default();
        match access::needed(request.method() == Method::GET, &path) {
            Some(Access::Scope(scope)) if scopes.allow(scope) => Ok(()),
            Some(Access::Scope(scope)) => Err(Problem::scope_missing(scope)),
            Some(Access::SessionAlone | Access::Link) | None => Err(Problem::session_needed()),
        }
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
            match limited {
                Some(problem) => Err(problem),
                None => session.check_scope(&request).map(|()| session),
            }
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
    if personal_tokens::is_secret(token) {
        return by_personal_token(api, token, now).await;
    }
    let claims = api.tokens.verify(token, now)?;
    let known = &api.sessions.sessions;
    let owner = match known.get(&claims.sid) {
        Some(owner) if owner.user.id == claims.sub => owner,
        _ => {
            let owner = open_session(api, claims.sub, claims.sid, now).await?;
            known.insert(claims.sid, owner.clone());
            owner
        }
    };
    let expires_at = DateTime::from_timestamp(claims.exp, 0).unwrap_or(now);
    Ok(Session {
        user: owner.user,
        has_rules: owner.has_rules,
        session_id: claims.sid,
        expires_at: Some(expires_at),
        scopes: None,
    })
}

async fn by_personal_token(
    api: &Api,
    secret: &str,
    now: DateTime<Utc>,
) -> Result<Session, Problem> {
    let refused = || {
        Problem::unauthorized("the personal access token has expired, was deleted, or never was")
    };
    let hash = hash_of(secret);
    let known = &api.sessions.tokens;
    let (token, owner) = match known.get(&hash) {
        Some(found) => found,
        None => {
            let found = store::personal_tokens::by_hash_of_all_users(api.store.reads(), hash);
            let token = found.await?.ok_or_else(refused)?;
            let owner = owner_of(api, token.user_id).await?.ok_or_else(refused)?;
            let found = (Arc::new(token), owner);
            known.insert(hash, found.clone());
            note_use(api, &found.0, now).await;
            found
        }
    };
    if !token.is_good(now) {
        return Err(refused());
    }
    Ok(Session {
        user: owner.user,
        has_rules: owner.has_rules,
        session_id: token.id,
        expires_at: token.expires_at,
        scopes: Some(token.scopes),
    })
}

/// Once an hour, when the token is looked up. Nothing that is asked for fails for it.
async fn note_use(api: &Api, token: &PersonalToken, now: DateTime<Utc>) {
    if !token.is_good(now) || !token.is_use_news(now) {
        return;
    }
    let (user_id, id) = (token.user_id, token.id);
    let noted = api.store.write(move |tx| async move {
        store::personal_tokens::note_use(&tx, user_id, id, now).await
    });
    if let Err(error) = noted.await {
        tracing::warn!(%error, token_id = %id, "that a personal access token is used was not noted");
    }
}

async fn open_session(
    api: &Api,
    user_id: Uuid,
    session_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Owner, Problem> {
    let ended = || Problem::unauthorized("the session has ended: sign in again");
    if !sessions::is_open(api.store.reads(), user_id, session_id, now).await? {
        return Err(ended());
    }
    owner_of(api, user_id).await?.ok_or_else(ended)
}

/// None: they have left.
async fn owner_of(api: &Api, user_id: Uuid) -> Result<Option<Owner>, Problem> {
    match users::with_rules(api.store.reads(), user_id).await {
        Ok((user, has_rules)) => Ok(Some(Owner {
            user: Arc::new(user),
            has_rules,
        })),
        Err(StoreError::NotFound(_)) => Ok(None),
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

/// What is kept of a token that nobody can guess.
pub(super) fn hash_of(token: &str) -> TokenHash {
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
    use crate::api::personal_tokens::{TokenPage, TokenView};
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
            can_be_printed!(TokenView),
            can_be_printed!(TokenPage),
        ];
        assert_eq!(answers, [false; 8]);
    }
}
