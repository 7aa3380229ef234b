//! Signing in and out.

use actix_web::{HttpRequest, HttpResponse, post, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Api;
use super::me::UserView;
use super::session::{Session, hash_of};
use crate::http::client_address::client_address;
use crate::http::{Body, Problem};
use crate::store::sessions::{self, Exchange, TokenHash};
use crate::store::users::{self, User};
use crate::store::{StoreError, Tx};
use crate::telemetry::metrics::names;

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
