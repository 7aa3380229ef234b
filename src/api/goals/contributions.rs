//! Contributions to goals.

use actix_web::{HttpResponse, delete, get, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::input::{AmountInput, DayInput, PageQuery};
use crate::api::once::{self, Created, IdempotencyKey};
use crate::api::session::Session;
use crate::api::{Api, answer};
use crate::domain::money::Money;
use crate::domain::period;
use crate::domain::text::check_text;
use crate::http::etag::{self, IfMatch};
use crate::http::request::RequestContext;
use crate::http::{Body, Checks, Problem, Query, cursor};
use crate::store::goals::{self, Contribution};

/// The list that cursors name.
const LIST: &str = "contributions";

/// Which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContributionType {
    /// Put aside.
    #[default]
    Deposit,
    /// Taken out again.
    Withdrawal,
}

/// A contribution to a goal. It does not change: take it back and make another.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContributionView {
    id: Uuid,
    goal_id: Uuid,
    #[serde(rename = "type")]
    contribution_type: ContributionType,
    /// Always above zero; the type tells the direction.
    #[schema(format = "decimal", example = "250.00")]
    amount: String,
    date: NaiveDate,
    #[schema(required = true)]
    note: Option<String>,
    /// Always 1.
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Contribution> for ContributionView {
    fn from(contribution: &Contribution) -> Self {
        let minor = contribution.amount.minor();
        let contribution_type = if minor < 0 {
            ContributionType::Withdrawal
        } else {
            ContributionType::Deposit
        };
        Self {
            id: contribution.id,
            goal_id: contribution.goal_id,
            contribution_type,
            amount: Money::new(minor.saturating_abs(), contribution.amount.currency()).to_string(),
            date: contribution.date,
            note: contribution.note.clone(),
            version: contribution.version,
            created_at: contribution.created_at,
            updated_at: contribution.created_at,
        }
    }
}

/// A contribution to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": "250.00", "date": "2026-02-10", "note": "Bonus"}))]
pub struct NewContribution {
    /// `deposit` if left out. No more can be taken out than there is.
    #[serde(default, rename = "type")]
    contribution_type: ContributionType,
    /// More than zero, in the goal's currency.
    amount: AmountInput,
    /// Today if left out.
    #[schema(value_type = Option<NaiveDate>)]
    date: Option<DayInput>,
    #[schema(min_length = 1, max_length = 500)]
    note: Option<String>,
}

impl NewContribution {
    fn check(self, id: Uuid, today: NaiveDate) -> Result<goals::NewContribution, Problem> {
        let mut checks = Checks::new();
        let note = checks.optional("/note", self.note, |note| check_text(&note, 1..=500));
        checks.finish()?;
        Ok(goals::NewContribution {
            id,
            amount: self.amount.0,
            is_withdrawal: self.contribution_type == ContributionType::Withdrawal,
            date: self.date.map_or(today, |day| day.0),
            note,
        })
    }
}

/// A page of contributions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContributionPage {
    items: Vec<ContributionView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Contribute to a goal, or take something out.
#[utoipa::path(
    tag = "goals",
    operation_id = "contribute",
    request_body = NewContribution,
    params(("id" = Uuid, Path, description = "The goal")),
    responses((status = 201, description = "The contribution", body = ContributionView))
)]
#[post("/v1/goals/{id}/contributions")]
pub(crate) async fn create(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    key: IdempotencyKey,
    id: web::Path<Uuid>,
    body: Body<NewContribution>,
) -> Result<HttpResponse, Problem> {
    let act = answer::act(&api, &session, &context);
    let today = period::today(act.now, session.user.time_zone);
    let new = body.value.check(api.ids.v7(act.now), today)?;
    let goal_id = *id;
    once::create(&api, act.user_id, key, &body.bytes, move |tx| async move {
        let (contribution, position) = goals::contribute(&tx, act, goal_id, new).await?;
        Ok(Created {
            location: format!("/v1/contributions/{}", contribution.id),
            version: contribution.version,
            view: ContributionView::from(&contribution),
            position,
        })
    })
    .await
}

/// List the contributions to a goal.
#[utoipa::path(
    tag = "goals",
    operation_id = "list_contributions",
    params(("id" = Uuid, Path, description = "The goal"), PageQuery),
    responses((status = 200, description = "A page", body = ContributionPage))
)]
#[get("/v1/goals/{id}/contributions")]
pub(crate) async fn list(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = goals::contributions(api.store.reads(), session.user_id(), *id, page).await?;
    Ok(HttpResponse::Ok().json(ContributionPage {
        items: page.items.iter().map(ContributionView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Read a contribution.
#[utoipa::path(
    tag = "goals",
    operation_id = "get_contribution",
    params(("id" = Uuid, Path, description = "The contribution")),
    responses((status = 200, description = "The contribution", body = ContributionView))
)]
#[get("/v1/contributions/{id}")]
pub(crate) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let contribution = goals::contribution(api.store.reads(), session.user_id(), *id).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(contribution.version))
        .json(ContributionView::from(&contribution)))
}

/// Take a contribution back, as if it had never been made.
#[utoipa::path(
    tag = "goals",
    operation_id = "delete_contribution",
    params(("id" = Uuid, Path, description = "The contribution")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/contributions/{id}")]
pub(crate) async fn delete(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (act, id) = (answer::act(&api, &session, &context), *id);
    let ((), position) = answer::write(&api, act.user_id, move |tx| async move {
        Ok(((), goals::take_back(&tx, act, id, expected.0).await?))
    })
    .await?;
    Ok(answer::deleted(position))
}
