//! Budgets, and where they stand.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::books::{self, X_LOG_POSITION};
use super::input::{AmountInput, DayInput, WholeInput, nullable, present};
use super::once::{self, Created, IdempotencyKey};
use super::session::Session;
use super::{Api, answer};
use crate::domain::budget::{self, ThresholdError, Thresholds};
use crate::domain::money::{Currency, Money};
use crate::domain::period::{self, PeriodKind};
use crate::domain::text::check_text;
use crate::http::cursor;
use crate::http::etag::IfMatch;
use crate::http::{Body, Checks, Problem, Query};
use crate::store::budgets::{self, Budget, BudgetChange, Standing};
use crate::store::{StoreError, Tx, categories, users};

/// The list that cursors name.
const LIST: &str = "budgets";
/// The list of periods that cursors name.
const PERIODS: &str = "periods";

/// Budgets of one user at the most: each booking is held against all of them.
const BUDGETS_MAX: u64 = 200;
/// The name of a budget for several categories that was given none.
const SEVERAL: &str = "Budget";
/// The same of a budget for all spending.
const EVERYTHING: &str = "All spending";
/// Categories of one budget at the most.
const CATEGORIES_MAX: usize = 100;

/// A budget and where it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct BudgetView {
    id: Uuid,
    name: String,
    /// What counts; empty: all spending in the currency.
    category_ids: Vec<Uuid>,
    /// The limit of a period.
    #[schema(format = "decimal", example = "450.00")]
    amount: String,
    /// ISO 4217.
    #[schema(value_type = Currency)]
    currency: String,
    period: PeriodKind,
    #[schema(required = true)]
    starts_on: Option<NaiveDate>,
    alert_at: Thresholds,
    /// Whether what is left of a period is carried over into the next.
    rollover: bool,
    current: StandingView,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Where a budget stands in a period.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandingView {
    /// The first day.
    period_start: NaiveDate,
    /// The last day.
    period_end: NaiveDate,
    /// The limit that holds in it.
    #[schema(format = "decimal", example = "450.00")]
    amount: String,
    /// What is carried over into it: what the periods before left of their limits, below zero if more
    /// was spent. Zero without rollover.
    #[schema(format = "decimal", example = "0.00")]
    carried: String,
    /// What was spent.
    #[schema(format = "decimal", example = "360.00")]
    spent: String,
    /// What is left of the limit and what is carried over; below zero when that is exceeded.
    #[schema(format = "decimal", example = "90.00")]
    remaining: String,
    /// What was spent of the limit and what is carried over, rounded down; at most 1,000,000,000.
    #[schema(example = 80)]
    percent: i64,
}

impl BudgetView {
    /// A budget and where it stands.
    pub(super) fn of(budget: &Budget, standing: &Standing) -> Self {
        Self {
            id: budget.id,
            name: budget.name.clone(),
            category_ids: budget.category_ids.clone(),
            amount: budget.limit.to_string(),
            currency: budget.currency().code().to_owned(),
            period: budget.period,
            starts_on: budget.starts_on,
            alert_at: budget.alert_at.clone(),
            rollover: budget.rollover_from.is_some(),
            current: StandingView::of(standing),
            version: budget.version,
            created_at: budget.created_at,
            updated_at: budget.updated_at,
        }
    }
}

impl StandingView {
    fn of(standing: &Standing) -> Self {
        let (available, spent) = (standing.available_minor(), standing.spent.minor());
        let remaining = Money::new(available.saturating_sub(spent), standing.limit.currency());
        Self {
            period_start: standing.period.start,
            period_end: standing.period.end,
            amount: standing.limit.to_string(),
            carried: standing.carried.to_string(),
            spent: standing.spent.to_string(),
            remaining: remaining.to_string(),
            percent: budget::percent(spent, available),
        }
    }
}

/// A budget to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Food", "category_ids": ["01920000-0000-7000-8000-00000000000b"], "amount": "450.00",
    "currency": "USD", "period": "monthly", "alert_at": [80, 100]
}))]
pub struct NewBudget {
    /// If left out: the name of the only category; "All spending" without one, "Budget" with several.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// What counts, of your categories; empty: all spending in the currency.
    #[schema(max_items = 100)]
    category_ids: Vec<Uuid>,
    /// The limit of a period, more than zero.
    amount: AmountInput,
    /// ISO 4217; what was spent in other currencies does not count.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
    period: PeriodKind,
    /// Where periods begin, and the first day that counts. Left out: the calendar's weeks (from
    /// Monday), months or years, and all days count.
    #[schema(value_type = Option<NaiveDate>)]
    starts_on: Option<DayInput>,
    /// Percentages at which to be told; `[80, 100]` if left out.
    #[schema(value_type = Option<Thresholds>)]
    alert_at: Option<Vec<WholeInput>>,
    /// Whether what is left of a period is carried over into the next, and what is spent beyond taken
    /// off it: from `starts_on` on, which may lie ten years back then, or from the current period on.
    #[serde(default)]
    rollover: bool,
}

impl NewBudget {
    fn check(
        self,
        id: Uuid,
        user_id: Uuid,
        (today, now): (NaiveDate, DateTime<Utc>),
    ) -> Result<Budget, Problem> {
        let mut checks = Checks::new();
        let name = self.name.unwrap_or_else(|| SEVERAL.to_owned());
        let name = checks.field("/name", check_text(&name, 1..=100));
        let categories = checks.field("/category_ids", distinct(self.category_ids));
        let currency = checks.field("/currency", Currency::parse(&self.currency));
        let limit =
            currency.and_then(|currency| checks.field("/amount", self.amount.0.amount(currency)));
        let alert_at = match self.alert_at {
            Some(percentages) => checks.field("/alert_at", thresholds(percentages)),
            None => Some(Thresholds::default()),
        };
        let (name, category_ids, limit, alert_at) =
            checks.all((name, categories, limit, alert_at))?;
        let mut budget = Budget {
            id,
            user_id,
            name,
            limit,
            period: self.period,
            starts_on: self.starts_on.map(|day| day.0),
            alert_at,
            category_ids,
            rollover_from: None,
            former_limits: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        budget.set_rollover(self.rollover, today);
        Ok(budget)
    }
}

fn thresholds(percentages: Vec<WholeInput>) -> Result<Thresholds, ThresholdError> {
    Thresholds::new(percentages.into_iter().map(|number| number.0).collect())
}

/// The same category twice means the category.
fn distinct(ids: Vec<Uuid>) -> Result<Vec<Uuid>, String> {
    if ids.len() > CATEGORIES_MAX {
        return Err(format!("at most {CATEGORIES_MAX}"));
    }
    Ok(ids
        .into_iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect())
}

/// What to change; what is left out stays, null removes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": "500.00", "alert_at": [50, 80, 100]}))]
pub struct BudgetPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// What counts, of your categories; empty: all spending in the currency.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 100)]
    category_ids: Option<Vec<Uuid>>,
    /// The limit of a period, more than zero.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    amount: Option<AmountInput>,
    /// ISO 4217; give the amount with it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    period: Option<PeriodKind>,
    /// Where periods begin, and the first day that counts.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<NaiveDate>)]
    starts_on: Option<Option<DayInput>>,
    /// Percentages at which to be told.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Thresholds>)]
    alert_at: Option<Vec<WholeInput>>,
    /// Whether what is left of a period is carried over into the next.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    rollover: Option<bool>,
}

impl BudgetPatch {
    fn check(self) -> Result<BudgetChange, Problem> {
        let mut checks = Checks::new();
        let change = BudgetChange {
            name: checks.optional("/name", self.name, |name| check_text(&name, 1..=100)),
            category_ids: checks.optional("/category_ids", self.category_ids, distinct),
            amount: self.amount.map(|amount| amount.0),
            currency: checks.optional("/currency", self.currency, |code| Currency::parse(&code)),
            period: self.period,
            starts_on: self.starts_on.map(|day| day.map(|day| day.0)),
            alert_at: checks.optional("/alert_at", self.alert_at, thresholds),
            rollover: self.rollover,
        };
        checks.finish()?;
        Ok(change)
    }
}

/// A page of budgets, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct BudgetPage {
    items: Vec<BudgetView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// A page of periods, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct PeriodPage {
    items: Vec<StandingView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which version of the books to wait for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// The `X-Log-Position` of a write that the answer should show; it waits up to two seconds.
    #[param(pattern = "^[0-9]+(-[0-9]+)?$")]
    wait_for: Option<String>,
}

/// Which page, and which version of the books to wait for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BudgetQuery {
    /// Items on the page, 1 to 200; 50 if left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// The `X-Log-Position` of a write that the answer should show; it waits up to two seconds.
    #[param(pattern = "^[0-9]+(-[0-9]+)?$")]
    wait_for: Option<String>,
}

/// Make a budget.
#[utoipa::path(
    tag = "budgets",
    operation_id = "create_budget",
    request_body = NewBudget,
    responses((status = 201, description = "The budget", body = BudgetView))
)]
#[post("/v1/budgets")]
pub(super) async fn create(
    api: web::Data<Api>,
    session: Session,
    key: IdempotencyKey,
    body: Body<NewBudget>,
) -> Result<HttpResponse, Problem> {
    let now = api.clock.now();
    let user_id = session.user_id();
    let today = period::today(now, session.user.time_zone);
    let is_named = body.value.name.is_some();
    let mut budget = body.value.check(api.ids.v7(now), user_id, (today, now))?;
    once::create(&api, user_id, key, &body.bytes, move |tx| async move {
        users::hold(&tx, user_id).await?;
        if budgets::count(&*tx, user_id).await? >= BUDGETS_MAX {
            return Err(StoreError::invalid(
                "name",
                format!("you have {BUDGETS_MAX} budgets, no more fit"),
            ));
        }
        if !is_named {
            budget.name = usual_name(&tx, &budget).await?;
        }
        budgets::create(&tx, &budget, today).await?;
        let standings = budgets::standings(&*tx, std::slice::from_ref(&budget), today).await?;
        Ok(Created {
            location: format!("/v1/budgets/{}", budget.id),
            version: budget.version,
            view: BudgetView::of(&budget, &standings[0]),
            position: None,
        })
    })
    .await
}

/// What a budget is called that was given no name.
async fn usual_name(tx: &Tx, budget: &Budget) -> Result<String, StoreError> {
    match budget.category_ids.as_slice() {
        [] => Ok(EVERYTHING.to_owned()),
        [only] => match categories::get(&**tx, budget.user_id, *only).await {
            Ok(category) => Ok(category.name),
            // Writing the budget refuses the category.
            Err(StoreError::NotFound(_)) => Ok(budget.name.clone()),
            Err(error) => Err(error),
        },
        _ => Ok(SEVERAL.to_owned()),
    }
}

/// List your budgets.
#[utoipa::path(
    tag = "budgets",
    operation_id = "list_budgets",
    params(BudgetQuery),
    responses((status = 200, description = "A page", body = BudgetPage))
)]
#[get("/v1/budgets")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<BudgetQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let user_id = session.user_id();
    let position = books::reached(&api, user_id, query.0.wait_for.as_deref()).await?;
    let today = period::today(api.clock.now(), session.user.time_zone);
    let page = budgets::list(api.store.reads(), user_id, page, today).await?;
    let items = page.items.iter();
    let items = items
        .map(|(budget, at)| BudgetView::of(budget, at))
        .collect();
    let next_cursor = cursor::next(LIST, page.next.as_ref())?;
    Ok(HttpResponse::Ok()
        .insert_header((X_LOG_POSITION, position.to_string()))
        .json(BudgetPage { items, next_cursor }))
}

async fn view(api: &Api, budget: Budget, today: NaiveDate) -> Result<BudgetView, Problem> {
    let standings = budgets::standings(api.store.reads(), std::slice::from_ref(&budget), today);
    let standings = standings.await?;
    let at = standings.first();
    let at = at.ok_or_else(|| Problem::defect("a budget without a standing"))?;
    Ok(BudgetView::of(&budget, at))
}

/// Read a budget.
#[utoipa::path(
    tag = "budgets",
    operation_id = "get_budget",
    params(("id" = Uuid, Path, description = "The budget"), WaitQuery),
    responses((status = 200, description = "The budget", body = BudgetView))
)]
#[get("/v1/budgets/{id}")]
pub(super) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    query: Query<WaitQuery>,
) -> Result<HttpResponse, Problem> {
    let user_id = session.user_id();
    let position = books::reached(&api, user_id, query.0.wait_for.as_deref()).await?;
    let budget = budgets::get(api.store.reads(), user_id, *id).await?;
    let version = budget.version;
    let today = period::today(api.clock.now(), session.user.time_zone);
    Ok(answer::changed(
        version,
        position,
        &view(&api, budget, today).await?,
    ))
}

/// Change a budget. A new amount holds from the current period on. What was said of a threshold in a
/// period is said again only if it is crossed anew, after a higher limit or a booking that went away.
#[utoipa::path(
    tag = "budgets",
    operation_id = "change_budget",
    request_body = BudgetPatch,
    params(("id" = Uuid, Path, description = "The budget")),
    responses((status = 200, description = "The budget", body = BudgetView))
)]
#[patch("/v1/budgets/{id}")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
    body: Body<BudgetPatch>,
) -> Result<HttpResponse, Problem> {
    let change = body.value.check()?;
    let (user_id, id, now) = (session.user_id(), *id, api.clock.now());
    let today = period::today(now, session.user.time_zone);
    let (budget, position) = answer::write(&api, user_id, move |tx| async move {
        let at = (today, now);
        let budget = budgets::change(&tx, user_id, id, expected.0, change, at).await?;
        Ok((budget, None))
    })
    .await?;
    let version = budget.version;
    Ok(answer::changed(
        version,
        position,
        &view(&api, budget, today).await?,
    ))
}

/// Delete a budget.
#[utoipa::path(
    tag = "budgets",
    operation_id = "delete_budget",
    params(("id" = Uuid, Path, description = "The budget")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/budgets/{id}")]
pub(super) async fn delete(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (user_id, id) = (session.user_id(), *id);
    let ((), position) = answer::write(&api, user_id, move |tx| async move {
        budgets::delete(&tx, user_id, id, expected.0).await?;
        Ok(((), None))
    })
    .await?;
    Ok(answer::deleted(position))
}

/// The periods of a budget that have begun, newest first, down to the first with spending.
#[utoipa::path(
    tag = "budgets",
    operation_id = "list_budget_periods",
    params(("id" = Uuid, Path, description = "The budget"), BudgetQuery),
    responses((status = 200, description = "A page", body = PeriodPage))
)]
#[get("/v1/budgets/{id}/periods")]
pub(super) async fn periods(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    query: Query<BudgetQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(PERIODS, query.0.limit, query.0.cursor.as_deref())?;
    let user_id = session.user_id();
    let position = books::reached(&api, user_id, query.0.wait_for.as_deref()).await?;
    let budget = budgets::get(api.store.reads(), user_id, *id).await?;
    let today = period::today(api.clock.now(), session.user.time_zone);
    let page = budgets::history(api.store.reads(), &budget, today, page).await?;
    Ok(HttpResponse::Ok()
        .insert_header((X_LOG_POSITION, position.to_string()))
        .json(PeriodPage {
            items: page.items.iter().map(StandingView::of).collect(),
            next_cursor: cursor::next(PERIODS, page.next.as_ref())?,
        }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::period::Period;

    #[test]
    fn remaining_goes_below_zero() {
        let usd = Currency::parse("USD").unwrap();
        let day = NaiveDate::from_ymd_opt(2026, 2, 10).unwrap();
        let period = Period::containing(PeriodKind::Monthly, None, day);
        let standing = Standing {
            period,
            limit: Money::new(10_000, usd),
            carried: Money::new(2_000, usd),
            spent: Money::new(15_000, usd),
        };
        let view = StandingView::of(&standing);
        assert_eq!((view.remaining.as_str(), view.percent), ("-30.00", 125));
    }
}
