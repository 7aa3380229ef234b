//! Answers to changes: the new version, and the place in the log that shows it.

use std::future::Future;

use actix_web::HttpResponse;
use serde::Serialize;
use uuid::Uuid;

use super::Api;
use super::books::X_LOG_POSITION;
use super::session::Session;
use crate::http::request::RequestContext;
use crate::http::{Problem, etag};
use crate::store::event_log::{self, LogPosition};
use crate::store::transactions::Act;
use crate::store::{StoreError, Tx};

/// What the caller does now, with the event that says so.
pub(super) fn act(api: &Api, session: &Session, context: &RequestContext) -> Act {
    Act {
        user_id: session.user_id(),
        now: api.clock.now(),
        event_id: api.ids.v4(),
        cause: context.cause(),
    }
}

/// Commits a change; one that says nothing shows at the end of the log.
///
/// # Errors
/// The unit's own.
pub(super) async fn write<T, F, U>(
    api: &Api,
    user_id: Uuid,
    unit: U,
) -> Result<(T, LogPosition), Problem>
where
    T: Send + 'static,
    F: Future<Output = Result<(T, Option<LogPosition>), StoreError>> + Send + 'static,
    U: FnOnce(Tx) -> F + Send + 'static,
{
    let done = api
        .store
        .write(move |tx| async move {
            let (value, position) = unit(tx.clone()).await?;
            let position = match position {
                Some(position) => position,
                None => event_log::place_of_silence(&tx, user_id).await?,
            };
            Ok((value, position))
        })
        .await?;
    Ok(done)
}

/// 200 with what it is now.
pub(super) fn changed<V: Serialize>(version: i64, position: LogPosition, view: &V) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(etag::header(version))
        .insert_header((X_LOG_POSITION, position.to_string()))
        .json(view)
}

/// 204.
pub(super) fn deleted(position: LogPosition) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((X_LOG_POSITION, position.to_string()))
        .finish()
}
