//! Which version of the books an answer shows.
//!
//! Writes answer with the place of their event in the log; the dashboard and budgets with the place
//! that the read models have reached. `?wait_for=` lets a client read its own write.

use std::time::Duration;

use actix_web::http::header::HeaderName;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::Api;
use crate::events::catalogue;
use crate::http::Problem;
use crate::store::event_log::{self, LogPosition};
use crate::store::{StoreError, read_models};

/// The header of a place in the log.
pub const X_LOG_POSITION: HeaderName = HeaderName::from_static("x-log-position");

/// How long a client may wait for its own write.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Waits until the user's read models have reached the place, if one is given, but not longer than
/// two seconds; gives the place that they have reached.
///
/// # Errors
/// The database cannot be read, or the place is not one of ours.
pub(super) async fn reached(
    api: &Api,
    user_id: Uuid,
    wait_for: Option<&str>,
) -> Result<LogPosition, Problem> {
    let wanted: Option<LogPosition> = wait_for.map(parse).transpose()?;
    let deadline = Instant::now() + WAIT_MAX;
    let mut projected = api.store.signals().projected();
    loop {
        projected.mark_unchanged();
        let reached = reached_now(api, user_id, wanted).await?;
        if wanted.is_none_or(|wanted| reached >= wanted) {
            return Ok(reached);
        }
        // Of what another process has done only a hint tells, if any: look again after a while.
        let again = deadline.min(Instant::now() + api.config.bus.poll);
        let _ = timeout_at(again, projected.changed()).await;
        if Instant::now() >= deadline {
            return Ok(reached_now(api, user_id, wanted).await?);
        }
    }
}

/// What the projector has passed is reached, whether or not it was this user's. A bus outside of the
/// database may bring a later event first: then the place before the one that is wanted is reached.
async fn reached_now(
    api: &Api,
    user_id: Uuid,
    wanted: Option<LogPosition>,
) -> Result<LogPosition, StoreError> {
    let reads = api.store.reads();
    let (of_user, passed) =
        read_models::reached_and_passed(reads, user_id, catalogue::PROJECTOR).await?;
    let reached = of_user.max(passed);
    match wanted {
        Some(wanted)
            if reached >= wanted
                && passed < wanted
                && event_log::is_outstanding(reads, user_id, wanted, catalogue::PROJECTOR)
                    .await? =>
        {
            Ok(wanted.before())
        }
        _ => Ok(reached),
    }
}

fn parse(text: &str) -> Result<LogPosition, Problem> {
    text.parse().map_err(|_| {
        Problem::field(
            "?wait_for",
            "not a position: take the X-Log-Position of a write",
        )
    })
}
