//! Alerts that were to be sent: whether what is kept of each fits together, fits the alert that is shown, and is what was
//! said of it.
//!
//! All of it is written together, so what does not fit is wrong on a busy server, too. What was said is in the log for a
//! while alone, and what became of a delivery is kept for a while: nothing is missed of what may be gone.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Value};
use uuid::Uuid;

use super::{Finding, Misfit};
use crate::events::EventType;
use crate::store::StoreError;
use crate::store::deliveries::CONFIRMATION;
use crate::store::sql::{all, list, one};
use crate::store::trim::SENT_KEPT;

/// By how much clocks of those who write and trim may differ.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::hours(12);
/// The log is never kept shorter.
const LOG_KEPT_MIN: TimeDelta = TimeDelta::days(1);

/// What does not fit of a page of users.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    of_users: HashMap<Uuid, (u64, Vec<Finding>)>,
}

impl Deliveries {
    /// Looks at the deliveries of these users, and at what the log says of them.
    pub(super) async fn of(
        db: &impl ConnectionTrait,
        users: &[Uuid],
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let mut deliveries = Self::default();
        if users.is_empty() {
            return Ok(deliveries);
        }
        deliveries.count(db, users).await?;
        for (misfit, text) in [
            (Misfit::End, end(users)),
            (Misfit::Attempts, attempts(users)),
            (Misfit::Alert, alert(users)),
        ] {
            for row in all(db, text, values(users)).await? {
                deliveries.add(&row, misfit)?;
            }
        }
        let count = users.len();
        let text = format!("WITH {} {SAID_AND_KEPT}", said(db))
            .replace("USERS", &list(count, 1))
            .replace("QUESTION", CONFIRMATION)
            .replace("SENT", &format!("${}", count + 1))
            .replace("LOGGED_SINCE", &format!("${}", count + 2))
            .replace("KEPT_SINCE", &format!("${}", count + 3));
        let kept = now - TimeDelta::from_std(SENT_KEPT).unwrap_or_default() + CLOCKS_DIFFER;
        let mut values = values(users);
        values.push(EventType::AlertSent.as_str().into());
        values.push(log_reaches(db, now).await?.into());
        values.push(kept.into());
        for row in all(db, text, values).await? {
            let misfit = match row.try_get_by_index(2)? {
                0_i32 => Misfit::Said,
                1 => Misfit::SaidOfNothing,
                _ => Misfit::NotShown,
            };
            deliveries.add(&row, misfit)?;
        }
        Ok(deliveries)
    }

    /// How many deliveries the user has, and what does not fit.
    pub(super) fn of_user(&self, user_id: Uuid) -> (u64, Vec<Finding>) {
        self.of_users.get(&user_id).cloned().unwrap_or_default()
    }

    async fn count(&mut self, db: &impl ConnectionTrait, users: &[Uuid]) -> Result<(), StoreError> {
        let text = format!(
            "SELECT user_id, COUNT(*) FROM deliveries WHERE user_id IN ({}) GROUP BY user_id",
            list(users.len(), 1)
        );
        for row in all(db, text, values(users)).await? {
            let count: i64 = row.try_get_by_index(1)?;
            let count = u64::try_from(count).map_err(StoreError::defect)?;
            self.of_users.entry(row.try_get_by_index(0)?).or_default().0 = count;
        }
        Ok(())
    }

    /// A row of a user and an alert.
    fn add(&mut self, row: &QueryResult, misfit: Misfit) -> Result<(), StoreError> {
        let user_id = row.try_get_by_index(0)?;
        let found = Finding::Delivery {
            user_id,
            alert_id: row.try_get_by_index(1)?,
            misfit,
        };
        self.of_users.entry(user_id).or_default().1.push(found);
        Ok(())
    }
}

fn values(users: &[Uuid]) -> Vec<Value> {
    users.iter().map(|user_id| (*user_id).into()).collect()
}

/// Who is settled has an end, who is not has none; who has failed has a cause.
fn end(users: &[Uuid]) -> String {
    format!(
        "SELECT user_id, alert_id FROM deliveries WHERE user_id IN ({}) \
         AND ((status = 'pending') <> (finished_at IS NULL) OR (status = 'failed' AND last_cause IS NULL)) \
         ORDER BY user_id, id",
        list(users.len(), 1)
    )
}

/// What was tried has a mail, and what was delivered was tried.
fn attempts(users: &[Uuid]) -> String {
    format!(
        "SELECT user_id, alert_id FROM deliveries WHERE user_id IN ({}) AND (attempts < 0 \
         OR (attempts > 0) <> (mail_id IS NOT NULL) OR (status = 'delivered' AND attempts = 0)) ORDER BY user_id, id",
        list(users.len(), 1)
    )
}

/// The alert may be sent by mail alone. Where it is shown it is the same; and no event is told of by two.
fn alert(users: &[Uuid]) -> String {
    format!(
        "SELECT d.user_id, d.alert_id FROM deliveries d WHERE d.user_id IN ({}) AND (EXISTS ( \
           SELECT 1 FROM alerts a WHERE a.id = d.alert_id AND (a.user_id <> d.user_id OR a.kind <> d.kind \
           OR a.source_event_id <> d.source_event_id OR a.historic)) \
         OR EXISTS (SELECT 1 FROM alerts a WHERE a.user_id = d.user_id \
           AND a.source_event_id = d.source_event_id AND a.id <> d.alert_id) \
         OR EXISTS (SELECT 1 FROM deliveries o WHERE o.user_id = d.user_id AND o.channel = d.channel \
           AND o.source_event_id = d.source_event_id AND o.id < d.id)) ORDER BY d.user_id, d.id",
        list(users.len(), 1)
    )
}

/// What was said of alerts of the users, by the channel.
fn said(db: &impl ConnectionTrait) -> String {
    let (alert_id, [begin, end]) = match db.get_database_backend() {
        DbBackend::Postgres => (
            "(envelope::jsonb #>> '{data,alertId}')::uuid",
            ["(envelope::jsonb #>> '{data,", "}')"],
        ),
        _ => (
            "unhex(replace(json_extract(envelope, '$.data.alertId'), '-', ''))",
            ["json_extract(envelope, '$.data.", "')"],
        ),
    };
    let times = |status: &str| {
        format!("CAST(SUM(CASE {begin}status{end} WHEN '{status}' THEN 1 ELSE 0 END) AS BIGINT)")
    };
    let (delivered, failed) = (times("delivered"), times("failed"));
    format!(
        "said AS MATERIALIZED (SELECT user_id, {alert_id} AS alert_id, {begin}channel{end} AS channel, \
         {delivered} AS delivered, {failed} AS failed, MAX(created_at) AS last FROM event_log \
         WHERE user_id IN (USERS) AND type = SENT GROUP BY 1, 2, 3)"
    )
}

/// What was delivered is said to be, once; what has failed is said to have; and nothing is said of the others, nor of a
/// question whose address it is, which is no alert. What is said of a channel beside the application is said of a delivery. What is said to be shown is there, since alerts go
/// only with their user.
const SAID_AND_KEPT: &str = "SELECT d.user_id, d.alert_id, 0 AS misfit FROM deliveries d \
       LEFT JOIN said s ON s.user_id = d.user_id AND s.alert_id = d.alert_id AND s.channel = d.channel \
       WHERE d.user_id IN (USERS) AND NOT ( \
         COALESCE(s.delivered, 0) = CASE WHEN d.status = 'delivered' AND d.kind <> 'QUESTION' THEN 1 ELSE 0 END \
         AND COALESCE(s.failed, 0) = CASE WHEN d.status = 'failed' AND d.kind <> 'QUESTION' THEN 1 ELSE 0 END) \
       AND NOT (s.alert_id IS NULL AND d.finished_at < LOGGED_SINCE) \
     UNION ALL SELECT s.user_id, s.alert_id, 1 FROM said s \
       WHERE s.channel <> 'in_app' AND s.last >= KEPT_SINCE AND NOT EXISTS (SELECT 1 FROM deliveries d \
         WHERE d.alert_id = s.alert_id AND d.channel = s.channel AND d.user_id = s.user_id) \
     UNION ALL SELECT s.user_id, s.alert_id, 2 FROM said s \
       WHERE s.channel = 'in_app' AND NOT EXISTS (SELECT 1 FROM alerts a \
         WHERE a.id = s.alert_id AND a.user_id = s.user_id) \
     ORDER BY misfit, user_id, alert_id";

/// From when on everything that was said is in the log. What bounds it is the oldest that may be removed, and what can
/// never have been.
async fn log_reaches(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, StoreError> {
    let never_removed = now - LOG_KEPT_MIN + CLOCKS_DIFFER;
    let order = match db.get_database_backend() {
        DbBackend::Postgres => "e.xid, e.position",
        _ => "e.position",
    };
    let text = format!(
        "SELECT e.created_at FROM event_log e WHERE NOT EXISTS \
         (SELECT 1 FROM outbox o WHERE o.position = e.position) ORDER BY {order} LIMIT 1"
    );
    let Some(row) = one(db, text, []).await? else {
        return Ok(never_removed);
    };
    let oldest: DateTime<Utc> = row.try_get_by_index(0)?;
    Ok(never_removed.min(oldest + CLOCKS_DIFFER))
}
