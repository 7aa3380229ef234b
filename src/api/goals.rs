//! Goals: what people save for, and how it comes along.

/// What was put aside for goals, or taken out again.
pub mod contributions;

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{AmountInput, DayInput, PageQuery, nullable, present};
use super::once::{self, Created, IdempotencyKey};
use super::session::Session;
use super::{Api, answer};
use crate::domain::budget::percent;
use crate::domain::goal::{self, Outlook, Progress};
use crate::domain::money::{Currency, Money};
use crate::domain::period;
use crate::domain::text::check_text;
use crate::http::etag::{self, IfMatch};
use crate::http::request::RequestContext;
use crate::http::{Body, Checks, Problem, Query, cursor};
use crate::store::goals::{self, Goal, GoalChange, Pace};

/// The list that cursors name.
const LIST: &str = "goals";

/// A goal, and how it comes along.
#[derive(Debug, Serialize, ToSchema)]
pub struct GoalView {
    id: Uuid,
    name: String,
    /// How much it takes.
    #[schema(format = "decimal", example = "3000.00")]
    target_amount: String,
    /// ISO 4217; it never changes.
    #[schema(value_type = Currency)]
    currency: String,
    /// By when.
    #[schema(required = true)]
    target_date: Option<NaiveDate>,
    /// The wallet whose balance counts; null: contributions do.
    #[schema(required = true)]
    wallet_id: Option<Uuid>,
    /// What is there.
    #[schema(format = "decimal", example = "1200.00")]
    saved: String,
    /// What is missing; zero when it is reached.
    #[schema(format = "decimal", example = "1800.00")]
    remaining: String,
    /// Of the target, rounded down.
    #[schema(example = 40)]
    percent: i64,
    /// What was saved a month, on average of the last 90 days or since the goal was made, but of 30
    /// days at least; below zero if more was taken out.
    #[schema(format = "decimal", example = "304.16")]
    monthly_pace: String,
    /// When it will be reached at this pace; null when it is reached, or leads nowhere.
    #[schema(required = true)]
    foreseen_on: Option<NaiveDate>,
    /// What must be saved a month to reach it by its date; null when it is reached, or has no date
    /// to come.
    #[schema(required = true, value_type = Option<String>, format = "decimal", example = "150.00")]
    monthly_needed: Option<String>,
    /// When it was found to be reached. It stays when something is taken out again, and is null again
    /// when the target is raised above what is there.
    #[schema(required = true)]
    achieved_at: Option<DateTime<Utc>>,
    /// Counts changes of the goal itself, not contributions.
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl GoalView {
    fn of(goal: &Goal, pace: Pace, today: NaiveDate) -> Self {
        let (saved, target) = (goal.saved.minor(), goal.target.minor());
        let missing = target.saturating_sub(saved).max(0);
        let outlook = if missing > 0 {
            let progress = Progress {
                missing_minor: missing,
                saved_minor: pace.saved_minor,
                days: pace.days,
            };
            goal::outlook(&progress, today, goal.target_date)
        } else {
            Outlook::default()
        };
        let text = |minor| Money::new(minor, goal.currency()).to_string();
        Self {
            id: goal.id,
            name: goal.name.clone(),
            target_amount: goal.target.to_string(),
            currency: goal.currency().code().to_owned(),
            target_date: goal.target_date,
            wallet_id: goal.wallet_id,
            saved: goal.saved.to_string(),
            remaining: text(missing),
            percent: percent(saved, target),
            monthly_pace: text(goal::monthly_pace(pace.saved_minor, pace.days)),
            foreseen_on: outlook.foreseen_on,
            monthly_needed: outlook.needed_minor.map(text),
            achieved_at: goal.achieved_at,
            version: goal.version,
            created_at: goal.created_at,
            updated_at: goal.updated_at,
        }
    }
}

/// A goal to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Holidays", "target_amount": "3000.00", "currency": "USD", "target_date": "2030-07-01"
}))]
pub struct NewGoal {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// How much it takes, more than zero.
    target_amount: AmountInput,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
    /// By when.
    #[schema(value_type = Option<NaiveDate>)]
    target_date: Option<DayInput>,
    /// One of your wallets, in the goal's currency: its balance is what is saved. Left out: what you
    /// contribute is.
    wallet_id: Option<Uuid>,
}

impl NewGoal {
    fn check(self, id: Uuid, user_id: Uuid, now: DateTime<Utc>) -> Result<Goal, Problem> {
        let mut checks = Checks::new();
        let name = checks.field("/name", check_text(&self.name, 1..=100));
        let currency = checks.field("/currency", Currency::parse(&self.currency));
        let target = currency.and_then(|currency| {
            checks.field("/target_amount", self.target_amount.0.amount(currency))
        });
        let (name, target) = checks.all((name, target))?;
        Ok(Goal {
            id,
            user_id,
            name,
            target,
            target_date: self.target_date.map(|day| day.0),
            wallet_id: self.wallet_id,
            saved: Money::zero(target.currency()),
            achieved_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }
}

/// What to change; what is left out stays, null removes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"target_amount": "3500.00", "target_date": "2030-08-01"}))]
pub struct GoalPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// How much it takes, more than zero.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    target_amount: Option<AmountInput>,
    /// By when.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<NaiveDate>)]
    target_date: Option<Option<DayInput>>,
    /// One of your wallets, in the goal's currency: its balance is what is saved.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Uuid>)]
    wallet_id: Option<Option<Uuid>>,
}

impl GoalPatch {
    fn check(self) -> Result<GoalChange, Problem> {
        let mut checks = Checks::new();
        let name = checks.optional("/name", self.name, |name| check_text(&name, 1..=100));
        checks.finish()?;
        Ok(GoalChange {
            name,
            target: self.target_amount.map(|amount| amount.0),
            target_date: self.target_date.map(|day| day.map(|day| day.0)),
            wallet_id: self.wallet_id,
        })
    }
}

/// A page of goals, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct GoalPage {
    items: Vec<GoalView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Make a goal.
#[utoipa::path(
    tag = "goals",
    operation_id = "create_goal",
    request_body = NewGoal,
    responses((status = 201, description = "The goal", body = GoalView))
)]
#[post("/v1/goals")]
pub(super) async fn create(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    key: IdempotencyKey,
    body: Body<NewGoal>,
) -> Result<HttpResponse, Problem> {
    let act = answer::act(&api, &session, &context);
    let today = period::today(act.now, session.user.time_zone);
    let goal = body
        .value
        .check(api.ids.v7(act.now), act.user_id, act.now)?;
    once::create(&api, act.user_id, key, &body.bytes, move |tx| async move {
        let (goal, position) = goals::create(&tx, act, &goal).await?;
        Ok(Created {
            location: format!("/v1/goals/{}", goal.id),
            version: goal.version,
            view: GoalView::of(&goal, goals::pace(&*tx, &goal, today).await?, today),
            position,
        })
    })
    .await
}

/// List your goals.
#[utoipa::path(
    tag = "goals",
    operation_id = "list_goals",
    params(PageQuery),
    responses((status = 200, description = "A page", body = GoalPage))
)]
#[get("/v1/goals")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = goals::list(api.store.reads(), session.user_id(), page).await?;
    let today = period::today(api.clock.now(), session.user.time_zone);
    let paces = goals::paces(api.store.reads(), &page.items, today).await?;
    let items = page.items.iter().zip(paces);
    Ok(HttpResponse::Ok().json(GoalPage {
        items: items
            .map(|(goal, pace)| GoalView::of(goal, pace, today))
            .collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Read a goal.
#[utoipa::path(
    tag = "goals",
    operation_id = "get_goal",
    params(("id" = Uuid, Path, description = "The goal")),
    responses((status = 200, description = "The goal", body = GoalView))
)]
#[get("/v1/goals/{id}")]
pub(super) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let goal = goals::get(api.store.reads(), session.user_id(), *id).await?;
    let today = period::today(api.clock.now(), session.user.time_zone);
    let pace = goals::pace(api.store.reads(), &goal, today).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(goal.version))
        .json(GoalView::of(&goal, pace, today)))
}

/// Change a goal. One that was achieved and takes more now than there is can be achieved again.
#[utoipa::path(
    tag = "goals",
    operation_id = "change_goal",
    request_body = GoalPatch,
    params(("id" = Uuid, Path, description = "The goal")),
    responses((status = 200, description = "The goal", body = GoalView))
)]
#[patch("/v1/goals/{id}")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    id: web::Path<Uuid>,
    expected: IfMatch,
    body: Body<GoalPatch>,
) -> Result<HttpResponse, Problem> {
    let change = body.value.check()?;
    let (act, id) = (answer::act(&api, &session, &context), *id);
    let today = period::today(act.now, session.user.time_zone);
    let ((version, view), position) = answer::write(&api, act.user_id, move |tx| async move {
        let (goal, position) = goals::change(&tx, act, id, expected.0, change).await?;
        let pace = goals::pace(&*tx, &goal, today).await?;
        Ok(((goal.version, GoalView::of(&goal, pace, today)), position))
    })
    .await?;
    Ok(answer::changed(version, position, &view))
}

/// Delete a goal with its contributions.
#[utoipa::path(
    tag = "goals",
    operation_id = "delete_goal",
    params(("id" = Uuid, Path, description = "The goal")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/goals/{id}")]
pub(super) async fn delete(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (user_id, id) = (session.user_id(), *id);
    let ((), position) = answer::write(&api, user_id, move |tx| async move {
        goals::delete(&tx, user_id, id, expected.0).await?;
        Ok(((), None))
    })
    .await?;
    Ok(answer::deleted(position))
}
