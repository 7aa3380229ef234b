//! Creating once, however often the request comes: `Idempotency-Key`.
//!
//! The first answer is saved in the transaction of the write. Only success is saved: a request that
//! was refused wrote nothing, and may be tried again with the same key.

use std::collections::HashSet;
use std::future::{Future, Ready, ready};
use std::sync::{Mutex, PoisonError};

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Api;
use super::books::X_LOG_POSITION;
use crate::http::{Problem, etag};
use crate::store::at_once::{self, KeptAnswer, Prepared};
use crate::store::event_log::{self, LogPosition};
use crate::store::idempotency::{self, KeyedRequest};
use crate::store::{Conflict, StoreError, Tx};

/// The header of the key.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header of an answer that was given before.
pub(super) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Characters of a key at the most.
const KEY_CHARS_MAX: usize = 255;

/// The client's key, if it sent one.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    key: Option<String>,
    path: String,
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = request
            .headers()
            .get(IDEMPOTENCY_KEY)
            .map(key_of)
            .transpose();
        ready(key.map(|key| Self {
            key,
            path: request.path().to_owned(),
        }))
    }
}

fn key_of(value: &HeaderValue) -> Result<String, Problem> {
    value
        .to_str()
        .ok()
        .filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len()))
        .filter(|key| !key.contains('\t'))
        .map(ToOwned::to_owned)
        .ok_or_else(|| {
            let detail =
                format!("1 to {KEY_CHARS_MAX} printable ASCII characters, a UUID for example");
            Problem::header("Idempotency-Key", detail)
        })
}

impl IdempotencyKey {
    /// The key with what tells this request from another.
    pub(super) fn for_body(self, body: &[u8]) -> Option<KeyedRequest> {
        let key = self.key?;
        let mut hash = Sha256::new();
        hash.update(self.path.as_bytes());
        hash.update([0]);
        hash.update(body);
        Some(KeyedRequest {
            key,
            request_hash: hash.finalize().into(),
        })
    }
}

/// What a unit of work has created.
#[derive(Debug)]
pub struct Created<V> {
    /// Where it is.
    pub location: String,
    /// Its version.
    pub version: i64,
    /// What the client sees of it.
    pub view: V,
    /// The place of its event in the log, if it has one.
    pub position: Option<LogPosition>,
}

/// An answer as it is saved.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    location: String,
    version: i64,
    body: String,
    /// Last, so that a statement can put it in.
    position: String,
}

impl Answer {
    fn new<V: Serialize>(created: &Created<V>, position: String) -> Result<Self, StoreError> {
        Ok(Self {
            location: created.location.clone(),
            version: created.version,
            body: serde_json::to_string(&created.view).map_err(StoreError::defect)?,
            position,
        })
    }

    /// As it is saved, around the position.
    fn around_position(&self, request: KeyedRequest) -> Result<KeptAnswer, StoreError> {
        const TAIL: &str = "\"}";
        let mut head = serde_json::to_string(self).map_err(StoreError::defect)?;
        head.truncate(head.len() - TAIL.len());
        Ok(KeptAnswer {
            request,
            head,
            tail: TAIL.to_owned(),
        })
    }
}

/// Runs the unit of work, or gives the answer that it gave before: 201.
///
/// # Errors
/// The unit's own; 409 while the same request is running; 422 for a key of another request.
pub(super) async fn create<V, F, U>(
    api: &Api,
    user_id: Uuid,
    key: IdempotencyKey,
    body: &[u8],
    unit: U,
) -> Result<HttpResponse, Problem>
where
    V: Serialize + Send,
    F: Future<Output = Result<Created<V>, StoreError>> + Send + 'static,
    U: FnOnce(Tx) -> F + Send + 'static,
{
    book(api, user_id, key, body, None, unit).await
}

/// The same of what shows something once: the first answer is `shown`, what the unit gives is saved and is what a repeated
/// request gets.
///
/// # Errors
/// As [`create`].
pub(super) async fn create_showing<V, F, U>(
    api: &Api,
    user_id: Uuid,
    key: IdempotencyKey,
    body: &[u8],
    shown: &V,
    unit: U,
) -> Result<HttpResponse, Problem>
where
    V: Serialize + Send,
    F: Future<Output = Result<Created<V>, StoreError>> + Send + 'static,
    U: FnOnce(Tx) -> F + Send + 'static,
{
    let (mut answer, replayed) = answer(api, user_id, key, body, None, unit).await?;
    if !replayed {
        answer.body =
            serde_json::to_string(shown).map_err(|error| Problem::defect(error.to_string()))?;
    }
    Ok(respond(answer, replayed))
}

/// The same for a booking, the short way where that can be.
///
/// # Errors
/// As [`create`].
pub(super) async fn book<V, F, U>(
    api: &Api,
    user_id: Uuid,
    key: IdempotencyKey,
    body: &[u8],
    ready: Option<(Prepared, Created<V>)>,
    unit: U,
) -> Result<HttpResponse, Problem>
where
    V: Serialize + Send,
    F: Future<Output = Result<Created<V>, StoreError>> + Send + 'static,
    U: FnOnce(Tx) -> F + Send + 'static,
{
    let (answer, replayed) = answer(api, user_id, key, body, ready, unit).await?;
    Ok(respond(answer, replayed))
}

/// The answer, and whether it was given before.
async fn answer<V, F, U>(
    api: &Api,
    user_id: Uuid,
    key: IdempotencyKey,
    body: &[u8],
    ready: Option<(Prepared, Created<V>)>,
    unit: U,
) -> Result<(Answer, bool), Problem>
where
    V: Serialize + Send,
    F: Future<Output = Result<Created<V>, StoreError>> + Send + 'static,
    U: FnOnce(Tx) -> F + Send + 'static,
{
    let request = key.for_body(body);
    let _running = request
        .as_ref()
        .map(|request| api.in_flight.begin(user_id, request))
        .transpose()?;
    if let Some((booking, created)) = ready {
        let mut answer = Answer::new(&created, String::new())?;
        let kept = request
            .clone()
            .map(|request| answer.around_position(request))
            .transpose()?;
        if let Some(position) = at_once::book(&api.store, &booking, kept).await? {
            answer.position = position.to_string();
            return Ok((answer, false));
        }
    }
    let now = api.clock.now();
    let asked = request.clone();
    let written = api
        .store
        .write(move |tx| async move {
            if let Some(request) = &request
                && let Some(saved) = idempotency::find(&*tx, user_id, request).await?
            {
                return Ok((saved, true));
            }
            let created = unit(tx.clone()).await?;
            let position = match created.position {
                Some(position) => position,
                None => event_log::place_of_silence(&tx, user_id).await?,
            };
            let answer = Answer::new(&created, position.to_string())?;
            let answer = serde_json::to_vec(&answer).map_err(StoreError::defect)?;
            if let Some(request) = request {
                idempotency::save(&tx, user_id, request, answer.clone(), now).await?;
            }
            Ok((answer, false))
        })
        .await;
    let (answer, replayed) = match (written, asked) {
        // Another replica was first with this key, and has committed.
        (Err(StoreError::Conflict(Conflict::KeyTaken)), Some(request)) => {
            let saved = idempotency::find(api.store.reads(), user_id, &request).await?;
            let lost = || StoreError::Busy("the first request with this key was undone".to_owned());
            (saved.ok_or_else(lost)?, true)
        }
        (written, _) => written?,
    };
    let answer: Answer =
        serde_json::from_slice(&answer).map_err(|error| Problem::defect(error.to_string()))?;
    Ok((answer, replayed))
}

fn respond(answer: Answer, replayed: bool) -> HttpResponse {
    let mut response = HttpResponse::Created();
    response
        .insert_header((LOCATION, answer.location))
        .insert_header(etag::header(answer.version))
        .insert_header((X_LOG_POSITION, answer.position))
        .insert_header((CONTENT_TYPE, "application/json"));
    if replayed {
        response.insert_header((IDEMPOTENT_REPLAYED, "true"));
    }
    response.body(answer.body)
}

/// Keys of requests that are running in this replica.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<HashSet<(Uuid, String)>>);

struct Running<'a> {
    keys: &'a InFlight,
    key: (Uuid, String),
}

impl InFlight {
    fn begin(&self, user_id: Uuid, request: &KeyedRequest) -> Result<Running<'_>, Problem> {
        let key = (user_id, request.key.clone());
        let is_new = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone());
        if is_new {
            Ok(Running { keys: self, key })
        } else {
            Err(Problem::conflict(
                "the request with this Idempotency-Key is still running",
            ))
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.keys
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}
