//! What will be booked, day by day, as things stand now.

use actix_web::{HttpResponse, get, web};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Api;
use super::input::DayInput;
use super::session::Session;
use crate::domain::money::Currency;
use crate::domain::transaction::TransactionType;
use crate::http::{Problem, Query, cursor};
use crate::store::PageRequest;
use crate::store::recurring::upcoming::{self, Upcoming};
use crate::store::recurring::{self, Recurring};

/// The list that cursors name.
const LIST: &str = "upcoming";
/// The list of one recurring booking's days that cursors name.
const OF_ONE: &str = "recurring.upcoming";

/// A day on which something will be booked.
#[derive(Debug, Serialize, ToSchema)]
pub struct UpcomingView {
    recurring_id: Uuid,
    date: NaiveDate,
    wallet_id: Uuid,
    #[serde(rename = "type")]
    transaction_type: TransactionType,
    /// Above zero; the type tells the direction.
    #[schema(format = "decimal", example = "1250.00")]
    amount: String,
    /// ISO 4217, the wallet's.
    #[schema(value_type = Currency)]
    currency: String,
    #[schema(required = true)]
    category_id: Option<Uuid>,
    #[schema(required = true)]
    description: Option<String>,
    #[schema(required = true)]
    payee: Option<String>,
    /// Of a transfer: the wallet that the money goes to.
    #[schema(required = true)]
    to_wallet_id: Option<Uuid>,
}

impl From<&Upcoming> for UpcomingView {
    fn from(upcoming: &Upcoming) -> Self {
        let template = &upcoming.rule.template;
        Self {
            recurring_id: template.id,
            date: upcoming.on,
            wallet_id: template.wallet_id,
            transaction_type: template.transaction_type,
            amount: template.amount.to_string(),
            currency: template.amount.currency().code().to_owned(),
            category_id: template.category_id,
            description: template.description.clone(),
            payee: template.payee.clone(),
            to_wallet_id: template.parts.transfer.map(|it| it.to_wallet_id),
        }
    }
}

/// Until when, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UpcomingQuery {
    /// Items on the page, 1 to 200; 50 if left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// On or before this day.
    #[param(value_type = Option<NaiveDate>, example = "2031-12-31")]
    until: Option<DayInput>,
}

/// A page of days to come, the next first.
#[derive(Debug, Serialize, ToSchema)]
pub struct UpcomingPage {
    items: Vec<UpcomingView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// List what will be booked, of all your recurring bookings.
#[utoipa::path(
    tag = "recurring",
    operation_id = "list_upcoming",
    params(UpcomingQuery),
    responses((status = 200, description = "A page", body = UpcomingPage))
)]
#[get("/v1/upcoming")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<UpcomingQuery>,
) -> Result<HttpResponse, Problem> {
    let page = page(LIST, &query.0)?;
    let rules = upcoming::rules(api.store.reads(), session.user_id()).await?;
    show(&api, LIST, &rules, &query.0, page).await
}

/// List what will be booked, of one of your recurring bookings.
#[utoipa::path(
    tag = "recurring",
    operation_id = "list_upcoming_of_recurring",
    params(("id" = Uuid, Path, description = "The recurring booking"), UpcomingQuery),
    responses((status = 200, description = "A page", body = UpcomingPage))
)]
#[get("/v1/recurring/{id}/upcoming")]
pub(super) async fn of_one(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    query: Query<UpcomingQuery>,
) -> Result<HttpResponse, Problem> {
    let page = page(OF_ONE, &query.0)?;
    let rule = recurring::get(api.store.reads(), session.user_id(), *id).await?;
    show(&api, OF_ONE, &[rule], &query.0, page).await
}

/// A day that no booking can have may be none that the calendar goes on from.
fn page(name: &str, query: &UpcomingQuery) -> Result<PageRequest<upcoming::ByDay>, Problem> {
    let page: PageRequest<(DayInput, Uuid)> =
        cursor::page(name, query.limit, query.cursor.as_deref())?;
    Ok(PageRequest {
        limit: page.limit,
        after: page.after.map(|(day, id)| (day.0, id)),
    })
}

async fn show(
    api: &Api,
    name: &str,
    rules: &[Recurring],
    query: &UpcomingQuery,
    page: PageRequest<upcoming::ByDay>,
) -> Result<HttpResponse, Problem> {
    let until = query.until.map(|day| day.0);
    let page = upcoming::days(api.store.reads(), rules, until, page).await?;
    Ok(HttpResponse::Ok().json(UpcomingPage {
        items: page.items.iter().map(UpcomingView::from).collect(),
        next_cursor: cursor::next(name, page.next.as_ref())?,
    }))
}
