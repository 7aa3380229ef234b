//! Runs of rules over what was booked before: begun here, taken on by the worker, and undone where they were wrong.

use actix_web::{HttpResponse, delete, get, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::input::{DayInput, PageQuery};
use crate::api::once::{self, Created, IdempotencyKey};
use crate::api::session::Session;
use crate::api::{Api, answer};
use crate::domain::rule::Mode;
use crate::http::etag::{self, IfMatch};
use crate::http::{Body, Problem, Query, cursor};
use crate::store::rule_runs::{self, Run, State};
use crate::store::{StoreError, rules};

/// The list that cursors name.
const LIST: &str = "rule-runs";

/// A run.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleRunView {
    id: Uuid,
    state: State,
    /// The rule that it is about; null: all that were enabled when it began.
    #[schema(required = true)]
    rule_id: Option<Uuid>,
    /// Whether a category and a payee that are there are replaced.
    overwrite: bool,
    /// Of bookings on or after this day.
    #[schema(required = true)]
    from: Option<NaiveDate>,
    /// Of bookings on or before this day.
    #[schema(required = true)]
    to: Option<NaiveDate>,
    /// Bookings that were looked at until now.
    examined: i64,
    /// Bookings that were changed.
    changed: i64,
    /// Bookings that were to be changed, but could not: the category is gone, for example.
    skipped: i64,
    /// Bookings that have again what they had before.
    restored: i64,
    /// Bookings that were changed or deleted since, and left alone when the run was undone.
    left_alone: i64,
    /// When it was through.
    #[schema(required = true)]
    finished_at: Option<DateTime<Utc>>,
    /// Counts what people do with it, not its steps.
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Run> for RuleRunView {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id,
            state: run.state,
            rule_id: run.rule_id,
            overwrite: run.mode == Mode::Overwrite,
            from: run.from,
            to: run.to,
            examined: run.examined,
            changed: run.changed,
            skipped: run.skipped,
            restored: run.restored,
            left_alone: run.kept,
            finished_at: run.finished_at,
            version: run.version,
            created_at: run.created_at,
            updated_at: run.updated_at,
        }
    }
}

/// A run to be begun.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-01-01", "overwrite": false}))]
pub struct NewRuleRun {
    /// Only this rule, enabled or not; all that are enabled if left out.
    rule_id: Option<Uuid>,
    /// Whether a category and a payee that are there are replaced; false if left out.
    overwrite: Option<bool>,
    /// Of bookings on or after this day.
    #[schema(value_type = Option<NaiveDate>)]
    from: Option<DayInput>,
    /// Of bookings on or before this day.
    #[schema(value_type = Option<NaiveDate>)]
    to: Option<DayInput>,
}

/// A page of runs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleRunPage {
    items: Vec<RuleRunView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Run rules over what was booked before. The answer does not wait: read the run to see how far it is. It can be
/// undone. The newest 20 runs are kept.
#[utoipa::path(
    tag = "rules",
    operation_id = "begin_rule_run",
    request_body = NewRuleRun,
    responses((status = 201, description = "The run, which goes on", body = RuleRunView))
)]
#[post("/v1/rule-runs")]
pub(in crate::api) async fn create(
    api: web::Data<Api>,
    session: Session,
    key: IdempotencyKey,
    body: Body<NewRuleRun>,
) -> Result<HttpResponse, Problem> {
    let (user_id, now) = (session.user_id(), api.clock.now());
    let (given, id) = (body.value, api.ids.v7(now));
    let made = once::create(&api, user_id, key, &body.bytes, move |tx| async move {
        let rules = match rules::wanted(&*tx, user_id, given.rule_id).await {
            Err(StoreError::NotFound(_)) => {
                return Err(StoreError::invalid("rule_id", "there is no such rule"));
            }
            rules => rules?,
        };
        let mode = if given.overwrite.unwrap_or(false) {
            Mode::Overwrite
        } else {
            Mode::Fill
        };
        let run = Run {
            rule_id: given.rule_id,
            from: given.from.map(|day| day.0),
            to: given.to.map(|day| day.0),
            ..Run::new(id, user_id, rules, mode, now)
        };
        rule_runs::begin(&tx, &run).await?;
        Ok(Created {
            location: format!("/v1/rule-runs/{id}"),
            version: run.version,
            view: RuleRunView::from(&run),
            position: None,
        })
    })
    .await?;
    api.rule_runs.notify_one();
    Ok(made)
}

/// List your runs.
#[utoipa::path(
    tag = "rules",
    operation_id = "list_rule_runs",
    params(PageQuery),
    responses((status = 200, description = "A page", body = RuleRunPage))
)]
#[get("/v1/rule-runs")]
pub(in crate::api) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = rule_runs::list(api.store.reads(), session.user_id(), page).await?;
    Ok(HttpResponse::Ok().json(RuleRunPage {
        items: page.items.iter().map(RuleRunView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Read a run: how far it is.
#[utoipa::path(
    tag = "rules",
    operation_id = "get_rule_run",
    params(("id" = Uuid, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RuleRunView))
)]
#[get("/v1/rule-runs/{id}")]
pub(in crate::api) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let run = rule_runs::get(api.store.reads(), session.user_id(), *id).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(run.version))
        .json(RuleRunView::from(&run)))
}

/// Undo a run: what it has changed gets back what it had, but for what was changed since. One that goes on ends.
#[utoipa::path(
    tag = "rules",
    operation_id = "undo_rule_run",
    params(("id" = Uuid, Path, description = "The run")),
    responses((status = 200, description = "The run, which is being undone", body = RuleRunView))
)]
#[post("/v1/rule-runs/{id}/undo")]
pub(in crate::api) async fn undo(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (user_id, id, now) = (session.user_id(), *id, api.clock.now());
    let (run, position) = answer::write(&api, user_id, move |tx| async move {
        Ok((rule_runs::undo(&tx, user_id, id, None, now).await?, None))
    })
    .await?;
    api.rule_runs.notify_one();
    let view = RuleRunView::from(&run);
    Ok(answer::changed(run.version, position, &view))
}

/// Forget a run: one that goes on ends. What it has changed stays, and cannot be undone any more.
#[utoipa::path(
    tag = "rules",
    operation_id = "delete_rule_run",
    params(("id" = Uuid, Path, description = "The run")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/rule-runs/{id}")]
pub(in crate::api) async fn delete(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (user_id, id, now) = (session.user_id(), *id, api.clock.now());
    let ((), position) = answer::write(&api, user_id, move |tx| async move {
        rule_runs::forget(&tx, user_id, id, expected.0, now).await?;
        Ok(((), None))
    })
    .await?;
    api.rule_runs.notify_one();
    Ok(answer::deleted(position))
}
