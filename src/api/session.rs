//! Who makes a request: by an access token of a session, or by a personal access token.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Api;
use super::access::{self, Access};
use crate::domain::scope::Scopes;
use crate::http::Problem;
use crate::http::request::{AnswerHeaders, log_user};
use crate::store::personal_tokens::PersonalToken;
use crate::store::sessions::{self, TokenHash};
use crate::store::users::{self, User};
use crate::store::{self, StoreError};

/// How long another replica may go on accepting a session that has ended.
pub(super) const CACHE_TTL: Duration = Duration::from_secs(5);
/// Sessions that are remembered at the most.
const CACHE_MAX: u64 = 10_000;
/// What the secret of every personal access token begins with.
pub(super) const PERSONAL: &str = "wct_";

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
    if token.starts_with(PERSONAL) {
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

/// What is kept of a token that nobody can guess.
pub(super) fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}
