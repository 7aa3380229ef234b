//! Alerts: what the notifier has to say to somebody, and how far each stream has read.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QueryResult, QuerySelect,
};
use serde_json::Value as Json;
use uuid::Uuid;

use super::entities::alerts;
use super::given::Given;
use super::sql::{all, execute, one};
use super::{NO_BUDGET, Page, PageRequest, Signal, StoreError, Tx};
use crate::domain::notification::AlertKind;
use crate::events::Cause;
use crate::telemetry::trace::TraceContext;

/// An alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its place in the order in which alerts were written: the cursor of streams.
    pub seq: i64,
    /// The alert's id.
    pub id: Uuid,
    /// Whom it is for.
    pub user_id: Uuid,
    /// A word of [`AlertKind`], or of a newer release.
    pub kind: String,
    /// At most 100 characters.
    pub title: String,
    /// At most 500 characters.
    pub message: String,
    /// The figures it rests on.
    pub details: Json,
    /// The type of the event that it tells of.
    pub source_event: String,
    /// The id of that event.
    pub source_event_id: Uuid,
    /// The budget that it is about.
    pub budget_id: Option<Uuid>,
    /// About a period that had already ended: listed as read, never delivered.
    pub historic: bool,
    /// The span in which it was made.
    pub trace: Option<TraceContext>,
    /// When the first event of the chain was said that ends in it.
    pub chain_begun_at: Option<DateTime<Utc>>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
    /// Counts changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl TryFrom<alerts::Model> for Alert {
    type Error = StoreError;

    fn try_from(row: alerts::Model) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.seq,
            id: row.id,
            user_id: row.user_id,
            kind: row.kind,
            title: row.title,
            message: row.message,
            details: serde_json::from_str(&row.details).map_err(StoreError::defect)?,
            source_event: row.source_event,
            source_event_id: row.source_event_id,
            budget_id: row.budget_id,
            historic: row.historic,
            trace: row.traceparent.as_deref().and_then(TraceContext::parse),
            chain_begun_at: row.chain_begun_at,
            read_at: row.read_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// An alert to be written.
#[derive(Debug, Clone)]
pub struct NewAlert {
    /// The alert's id.
    pub id: Uuid,
    /// Whom it is for.
    pub user_id: Uuid,
    /// What it tells of.
    pub kind: AlertKind,
    /// At most 100 characters.
    pub title: String,
    /// At most 500 characters.
    pub message: String,
    /// The figures it rests on.
    pub details: Json,
    /// The type of the event that it tells of.
    pub source_event: &'static str,
    /// The id of that event.
    pub source_event_id: Uuid,
    /// The budget that it is about.
    pub budget_id: Option<Uuid>,
    /// About a period that had already ended.
    pub historic: bool,
    /// What led to it.
    pub cause: Cause,
}

/// Writes alerts, in this order; historic ones are read from the start.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn write(tx: &Tx, alerts: &[NewAlert], now: DateTime<Utc>) -> Result<(), StoreError> {
    if alerts.is_empty() {
        return Ok(());
    }
    let columns = [
        "id",
        "user_id",
        "kind",
        "title",
        "message",
        "details",
        "source_event",
        "source_event_id",
        "budget_id",
        "historic",
        "traceparent",
        "chain_begun_at",
    ];
    let rows = alerts.iter().map(|alert| {
        [
            alert.id.into(),
            alert.user_id.into(),
            alert.kind.as_str().into(),
            alert.title.clone().into(),
            alert.message.clone().into(),
            alert.details.to_string().into(),
            alert.source_event.into(),
            alert.source_event_id.into(),
            alert.budget_id.unwrap_or(NO_BUDGET).into(),
            alert.historic.into(),
            alert.cause.trace.to_string().into(),
            alert.cause.begun_at.unwrap_or(now).into(),
        ]
    });
    let text = "INSERT INTO alerts (id, user_id, kind, title, message, details, source_event, source_event_id, \
         budget_id, historic, traceparent, chain_begun_at, read_at, version, created_at, updated_at) \
         SELECT id, user_id, kind, title, message, details, source_event, source_event_id, \
         NULLIF(budget_id, $2), historic, traceparent, chain_begun_at, CASE WHEN historic THEN $1 END, 1, $1, $1 \
         FROM given";
    Given::new(columns, rows)
        .run(&**tx, text, [now.into(), NO_BUDGET.into()])
        .await?;
    tx.after_commit(Signal::Alerted);
    Ok(())
}

/// The user's alerts, newest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    unread_only: bool,
    page: PageRequest<i64>,
) -> Result<Page<Alert, i64>, StoreError> {
    let mut query = alerts::Entity::find().filter(alerts::Column::UserId.eq(user_id));
    if unread_only {
        query = query.filter(alerts::Column::ReadAt.is_null());
    }
    if let Some(before) = page.after {
        query = query.filter(alerts::Column::Seq.lt(before));
    }
    let rows = query
        .order_by_desc(alerts::Column::Seq)
        .limit(page.fetch())
        .all(db)
        .await?;
    let alerts = rows
        .into_iter()
        .map(Alert::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(alerts, page.limit, |alert| alert.seq))
}

/// Marks the user's alert as read; a second time changes nothing.
///
/// # Errors
/// No such alert.
pub async fn read(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Alert, StoreError> {
    execute(
        &**tx,
        "UPDATE alerts SET read_at = $3, updated_at = $3, version = version + 1 \
         WHERE id = $1 AND user_id = $2 AND read_at IS NULL",
        [id.into(), user_id.into(), now.into()],
    )
    .await?;
    alerts::Entity::find()
        .filter(alerts::Column::Id.eq(id))
        .filter(alerts::Column::UserId.eq(user_id))
        .one(&**tx)
        .await?
        .ok_or(StoreError::NotFound("alert"))?
        .try_into()
}

/// Marks all of the user's alerts as read; gives how many were not.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn read_all(tx: &Tx, user_id: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = execute(
        &**tx,
        "UPDATE alerts SET read_at = $2, updated_at = $2, version = version + 1 \
         WHERE user_id = $1 AND read_at IS NULL",
        [user_id.into(), now.into()],
    )
    .await?;
    Ok(done.rows_affected())
}

/// Alerts to be streamed after a place, oldest first; historic ones are never streamed.
///
/// # Errors
/// The database cannot be read.
pub async fn to_stream(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    after: i64,
    limit: u64,
) -> Result<Vec<Alert>, StoreError> {
    let rows = alerts::Entity::find()
        .filter(alerts::Column::UserId.eq(user_id))
        .filter(alerts::Column::Seq.gt(after))
        .filter(alerts::Column::Historic.eq(false))
        .order_by_asc(alerts::Column::Seq)
        .limit(limit)
        .all(db)
        .await?;
    rows.into_iter().map(Alert::try_from).collect()
}

/// Of whom there are alerts after a place, with their own places, across users: for the one tail of
/// all streams. On PostgreSQL one may be committed later, behind this tail.
///
/// # Errors
/// The database cannot be read.
pub async fn news_of_all_users(
    db: &impl ConnectionTrait,
    after: i64,
    limit: u64,
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    let text = "SELECT seq, user_id FROM alerts WHERE seq > $1 ORDER BY seq LIMIT $2";
    let limit = i64::try_from(limit).map_err(StoreError::defect)?;
    let rows = all(db, text, [after.into(), limit.into()]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}

/// What can be seen after a place, on PostgreSQL, where a smaller number may be committed later.
#[derive(Debug)]
pub struct Seen {
    /// Of each user who has alerts there that are to be streamed, the newest.
    pub newest: Vec<(Uuid, i64)>,
    /// All transactions before this one had ended.
    pub ended: i64,
    /// No transaction from this one on had begun to write.
    pub begun: i64,
}

/// What can be seen after a place.
///
/// # Errors
/// The database cannot be read, or is not PostgreSQL.
pub async fn seen_after(db: &impl ConnectionTrait, after: i64) -> Result<Seen, StoreError> {
    let text = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, \
         pg_snapshot_xmax(pg_current_snapshot())::text::bigint, newest.user_id, newest.seq FROM (VALUES (1)) AS one \
         LEFT JOIN (SELECT user_id, MAX(seq) AS seq FROM alerts WHERE seq > $1 AND NOT historic GROUP BY user_id) \
           AS newest ON true";
    let rows = all(db, text, [after.into()]).await?;
    let Some(row) = rows.first() else {
        return Err(StoreError::defect("a snapshot is a row"));
    };
    let (ended, begun) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let mut newest = Vec::new();
    for row in &rows {
        if let Some(user_id) = row.try_get_by_index(2)? {
            newest.push((user_id, row.try_get_by_index(3)?));
        }
    }
    Ok(Seen {
        newest,
        ended,
        begun,
    })
}

/// Alerts to be streamed to these users, each after the user's own place; oldest first. A user's
/// alerts are numbered in the order of their commits: whoever writes them holds the user.
///
/// # Errors
/// The database cannot be read.
pub async fn after(
    db: &impl ConnectionTrait,
    places: &[(Uuid, i64)],
    limit: u64,
) -> Result<Vec<Alert>, StoreError> {
    let rows = places
        .iter()
        .map(|(user_id, after)| [(*user_id).into(), (*after).into()]);
    let text = "SELECT alerts.* FROM given \
         JOIN alerts ON alerts.user_id = given.user_id AND alerts.seq > given.seq \
         WHERE alerts.historic = $1 ORDER BY alerts.seq LIMIT $2";
    let values = [
        false.into(),
        i64::try_from(limit).map_err(StoreError::defect)?.into(),
    ];
    let given = Given::new(["user_id", "seq"], rows);
    let mut found = Vec::new();
    for row in given.run(db, text, values).await? {
        found.push(Alert::try_from(alerts::Model::from_query_result(
            &row, "",
        )?)?);
    }
    // Each piece of the places gave its oldest.
    found.sort_unstable_by_key(|alert| alert.seq);
    found.truncate(usize::try_from(limit).map_err(StoreError::defect)?);
    Ok(found)
}

/// The place of the newest alert of anybody.
///
/// # Errors
/// The database cannot be read.
pub async fn end(db: &impl ConnectionTrait) -> Result<i64, StoreError> {
    last(one(db, "SELECT MAX(seq) FROM alerts", []).await?.as_ref())
}

/// The place of the user's newest alert.
///
/// # Errors
/// The database cannot be read.
pub async fn end_of(db: &impl ConnectionTrait, user_id: Uuid) -> Result<i64, StoreError> {
    let text = "SELECT MAX(seq) FROM alerts WHERE user_id = $1";
    last(one(db, text, [user_id.into()]).await?.as_ref())
}

fn last(row: Option<&QueryResult>) -> Result<i64, StoreError> {
    let seq: Option<i64> = row
        .map(|row| row.try_get_by_index(0))
        .transpose()?
        .flatten();
    Ok(seq.unwrap_or(0))
}
