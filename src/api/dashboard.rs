//! The dashboard of a month, read from the read models.

/// What there is in several currencies.
mod converted;

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Api;
use super::books::{self, X_LOG_POSITION};
use super::budgets::BudgetView;
use super::session::Session;
use super::transactions::TransactionView;
use crate::domain::money::{Currency, Money};
use crate::domain::period::{self, Month};
use crate::domain::transaction::TransactionType;
use crate::http::{Checks, Problem, Query};
use crate::store::dashboard::{self as sums, MonthSum, NamedSum};
use crate::store::transactions::{self, Filter};
use crate::store::{PageRequest, StoreError, budgets};
use converted::{ConvertedView, NetWorthView, Question, Worth};

/// Months of the trend.
const TREND_MONTHS: i32 = 12;
/// Latest bookings that are shown.
const LATEST: u32 = 10;
/// Budgets that are shown; all that one may have.
const BUDGETS: u32 = 200;

/// A month at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashboardView {
    #[schema(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$", example = "2026-02")]
    month: String,
    /// ISO 4217, of every amount here except those that carry their own. What there is in other currencies is in
    /// `converted` and `net_worth` alone.
    #[schema(value_type = Currency)]
    currency: String,
    #[schema(format = "decimal", example = "4200.00")]
    income: String,
    #[schema(format = "decimal", example = "3150.25")]
    spending: String,
    /// Income less spending.
    #[schema(format = "decimal", example = "1049.75")]
    net: String,
    /// The month in all your currencies.
    converted: ConvertedView,
    /// What is in all your wallets now.
    net_worth: NetWorthView,
    /// The largest first.
    by_category: Vec<CategorySum>,
    by_wallet: Vec<WalletSum>,
    /// Where budgets stand today, whatever the month asked for.
    budgets: Vec<BudgetView>,
    /// Twelve months, the month asked for last.
    trend: Vec<TrendMonth>,
    /// The latest bookings, in all currencies.
    latest: Vec<TransactionView>,
}

/// A category's sum.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategorySum {
    /// Null for bookings without a category.
    #[schema(required = true)]
    category_id: Option<Uuid>,
    /// Null for bookings without a category.
    #[schema(required = true)]
    name: Option<String>,
    #[serde(rename = "type")]
    transaction_type: TransactionType,
    #[schema(format = "decimal", example = "360.00")]
    amount: String,
    bookings: i64,
}

/// A wallet's sums.
#[derive(Debug, Serialize, ToSchema)]
pub struct WalletSum {
    wallet_id: Uuid,
    /// Null for a wallet that is gone.
    #[schema(required = true)]
    name: Option<String>,
    #[schema(format = "decimal", example = "4200.00")]
    income: String,
    #[schema(format = "decimal", example = "3150.25")]
    spending: String,
    /// Income less spending.
    #[schema(format = "decimal", example = "1049.75")]
    net: String,
}

/// A month of the trend.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrendMonth {
    #[schema(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$", example = "2026-02")]
    month: String,
    #[schema(format = "decimal", example = "4200.00")]
    income: String,
    #[schema(format = "decimal", example = "3150.25")]
    spending: String,
    /// Income less spending.
    #[schema(format = "decimal", example = "1049.75")]
    net: String,
}

/// Which month.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DashboardQuery {
    /// `YYYY-MM`; this month in your time zone if left out.
    #[param(pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$", example = "2026-02")]
    month: Option<String>,
    /// ISO 4217; yours if left out.
    #[param(pattern = "^[A-Z]{3}$", example = "USD")]
    currency: Option<String>,
    /// The `X-Log-Position` of a write that the answer should show; it waits up to two seconds.
    #[param(pattern = "^[0-9]+(-[0-9]+)?$")]
    wait_for: Option<String>,
}

/// A month at a glance.
#[utoipa::path(
    tag = "dashboard",
    operation_id = "get_dashboard",
    params(DashboardQuery),
    responses((status = 200, description = "The month", body = DashboardView))
)]
#[get("/v1/dashboard")]
pub(super) async fn show(
    api: web::Data<Api>,
    session: Session,
    query: Query<DashboardQuery>,
) -> Result<HttpResponse, Problem> {
    let today = period::today(api.clock.now(), session.user.time_zone);
    let mut checks = Checks::new();
    let month = checks.optional("?month", query.0.month, |text| Month::parse(&text));
    let currency = checks.optional("?currency", query.0.currency, |code| Currency::parse(&code));
    checks.finish()?;
    let month = month.unwrap_or_else(|| Month::of(today));
    let currency = currency.unwrap_or(session.user.currency);
    let user_id = session.user_id();
    let position = books::reached(&api, user_id, query.0.wait_for.as_deref()).await?;

    let reads = api.store.reads();
    let (first, day) = (month.plus(1 - TREND_MONTHS), month.first_day());
    let filter = Filter::default();
    let question = Question {
        user_id,
        currency,
        month,
        today,
    };
    // None waits for another: together they take as long as the longest.
    let (sums, budgets, latest, worth) = tokio::try_join!(
        sums::sums(reads, user_id, currency, first.first_day(), day),
        budgets::list(reads, user_id, PageRequest::first(BUDGETS), today),
        transactions::list(reads, user_id, &filter, PageRequest::first(LATEST)),
        Worth::read(reads, question),
    )?;

    let of_month = Flow::of(&sums.months, month, currency)?;
    let view = DashboardView {
        month: month.to_string(),
        currency: currency.code().to_owned(),
        income: of_month.income.to_string(),
        spending: of_month.spending.to_string(),
        net: of_month.net()?.to_string(),
        converted: worth.month(of_month)?,
        net_worth: worth.now(),
        by_category: sums
            .by_category
            .into_iter()
            .map(|sum| category_sum(sum, currency))
            .collect(),
        by_wallet: wallet_sums(sums.by_wallet, currency)?,
        budgets: budgets
            .items
            .iter()
            .map(|(budget, at)| BudgetView::of(budget, at))
            .collect(),
        trend: trend(&sums.months, first, currency)?,
        latest: latest.items.iter().map(TransactionView::from).collect(),
    };
    Ok(HttpResponse::Ok()
        .insert_header((X_LOG_POSITION, position.to_string()))
        .json(view))
}

/// What came in and what went out.
#[derive(Debug, Clone, Copy)]
struct Flow {
    income: Money,
    spending: Money,
}

impl Flow {
    fn none(currency: Currency) -> Self {
        Self {
            income: Money::zero(currency),
            spending: Money::zero(currency),
        }
    }

    fn of(months: &[MonthSum], month: Month, currency: Currency) -> Result<Self, StoreError> {
        let mut flow = Self::none(currency);
        for sum in months.iter().filter(|sum| Month::of(sum.month) == month) {
            flow.add(sum.transaction_type, sum.amount_minor)?;
        }
        Ok(flow)
    }

    fn add(&mut self, transaction_type: TransactionType, minor: i64) -> Result<(), StoreError> {
        let side = match transaction_type {
            TransactionType::Income => &mut self.income,
            TransactionType::Expense => &mut self.spending,
            // Neither earned nor spent.
            TransactionType::Transfer => return Ok(()),
        };
        *side = side
            .checked_add(Money::new(minor, side.currency()))
            .map_err(StoreError::defect)?;
        Ok(())
    }

    fn net(&self) -> Result<Money, StoreError> {
        self.income
            .checked_sub(self.spending)
            .map_err(StoreError::defect)
    }
}

fn trend(
    months: &[MonthSum],
    first: Month,
    currency: Currency,
) -> Result<Vec<TrendMonth>, StoreError> {
    (0..TREND_MONTHS)
        .map(|index| {
            let month = first.plus(index);
            let flow = Flow::of(months, month, currency)?;
            Ok(TrendMonth {
                month: month.to_string(),
                income: flow.income.to_string(),
                spending: flow.spending.to_string(),
                net: flow.net()?.to_string(),
            })
        })
        .collect()
}

fn category_sum(sum: NamedSum, currency: Currency) -> CategorySum {
    CategorySum {
        category_id: sum.id,
        name: sum.name,
        transaction_type: sum.transaction_type,
        amount: Money::new(sum.amount_minor, currency).to_string(),
        bookings: sum.bookings,
    }
}

fn wallet_sums(sums: Vec<NamedSum>, currency: Currency) -> Result<Vec<WalletSum>, StoreError> {
    let mut flows: BTreeMap<Uuid, (Option<String>, Flow)> = BTreeMap::new();
    for sum in sums {
        let wallet_id = sum
            .id
            .ok_or_else(|| StoreError::defect("a sum without a wallet"))?;
        let (_, flow) = flows
            .entry(wallet_id)
            .or_insert((sum.name, Flow::none(currency)));
        flow.add(sum.transaction_type, sum.amount_minor)?;
    }
    flows
        .into_iter()
        .map(|(wallet_id, (name, flow))| {
            Ok(WalletSum {
                wallet_id,
                name,
                income: flow.income.to_string(),
                spending: flow.spending.to_string(),
                net: flow.net()?.to_string(),
            })
        })
        .collect()
}
