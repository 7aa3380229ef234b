//! Alerts: the list, and reading them.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::books::X_LOG_POSITION;
use super::session::Session;
use super::{Api, answer};
use crate::http::{Problem, Query, cursor};
use crate::store::alerts::{self, Alert};

/// The list that cursors name.
const LIST: &str = "alerts";

/// An alert.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertView {
    id: Uuid,
    /// `budget_warning`, `budget_exceeded`, `goal_achieved`, or the kind of an insight; more may come.
    #[schema(example = "budget_exceeded")]
    kind: String,
    title: String,
    message: String,
    /// The figures that it rests on; which they are depends on the kind.
    #[schema(value_type = Object)]
    details: serde_json::Value,
    #[schema(required = true)]
    budget_id: Option<Uuid>,
    /// The type of the event that it tells of.
    #[schema(example = "finance.budget.exceeded")]
    source_event: String,
    source_event_id: Uuid,
    /// About a period that had already ended when it was found out: never streamed.
    historic: bool,
    #[schema(required = true)]
    read_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Alert> for AlertView {
    fn from(alert: &Alert) -> Self {
        Self {
            id: alert.id,
            kind: alert.kind.clone(),
            title: alert.title.clone(),
            message: alert.message.clone(),
            details: alert.details.clone(),
            budget_id: alert.budget_id,
            source_event: alert.source_event.clone(),
            source_event_id: alert.source_event_id,
            historic: alert.historic,
            read_at: alert.read_at,
            version: alert.version,
            created_at: alert.created_at,
            updated_at: alert.updated_at,
        }
    }
}

/// Which alerts, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlertQuery {
    /// Items on the page, 1 to 200; 50 if left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Only those that were not read.
    unread: Option<bool>,
}

/// A page of alerts, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertPage {
    items: Vec<AlertView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// How many alerts were marked.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadAll {
    /// Alerts that had not been read.
    read: u64,
}

/// List your alerts.
#[utoipa::path(
    tag = "alerts",
    operation_id = "list_alerts",
    params(AlertQuery),
    responses((status = 200, description = "A page", body = AlertPage))
)]
#[get("/v1/alerts")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<AlertQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let unread_only = query.0.unread.unwrap_or(false);
    let page = alerts::list(api.store.reads(), session.user_id(), unread_only, page).await?;
    Ok(HttpResponse::Ok().json(AlertPage {
        items: page.items.iter().map(AlertView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Mark an alert as read.
#[utoipa::path(
    tag = "alerts",
    operation_id = "mark_alert_read",
    params(("id" = Uuid, Path, description = "The alert")),
    responses((status = 200, description = "The alert", body = AlertView))
)]
#[post("/v1/alerts/{id}/read")]
pub(super) async fn mark_read(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (user_id, id, now) = (session.user_id(), *id, api.clock.now());
    let (alert, position) = answer::write(&api, user_id, move |tx| async move {
        Ok((alerts::read(&tx, user_id, id, now).await?, None))
    })
    .await?;
    Ok(answer::changed(
        alert.version,
        position,
        &AlertView::from(&alert),
    ))
}

/// Mark all alerts as read.
#[utoipa::path(
    tag = "alerts",
    operation_id = "mark_all_alerts_read",
    responses((status = 200, description = "How many were not", body = ReadAll))
)]
#[post("/v1/alerts/read-all")]
pub(super) async fn mark_all_read(
    api: web::Data<Api>,
    session: Session,
) -> Result<HttpResponse, Problem> {
    let (user_id, now) = (session.user_id(), api.clock.now());
    let (read, position) = answer::write(&api, user_id, move |tx| async move {
        Ok((alerts::read_all(&tx, user_id, now).await?, None))
    })
    .await?;
    Ok(HttpResponse::Ok()
        .insert_header((X_LOG_POSITION, position.to_string()))
        .json(ReadAll { read }))
}
