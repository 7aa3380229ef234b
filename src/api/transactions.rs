//! Bookings: income and expenses.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::input::{AmountInput, DayInput, nullable, present};
use super::once::{self, Created, IdempotencyKey};
use super::session::Session;
use super::{Api, answer};
use crate::domain::money::{AmountText, Currency};
use crate::domain::period;
use crate::domain::text::{check_long_text, check_text};
use crate::domain::transaction::TransactionType;
use crate::http::cursor;
use crate::http::etag::{self, IfMatch};
use crate::http::{Body, Checks, Problem, Query, RequestContext};
use crate::store::at_once;
use crate::store::event_log::LogPosition;
use crate::store::transactions::{self, Act, Amendment, Draft, Filter, Transaction};

/// The list that cursors name.
const LIST: &str = "transactions";
use crate::store::wallets;

/// A booking.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransactionView {
    id: Uuid,
    wallet_id: Uuid,
    #[serde(rename = "type")]
    transaction_type: TransactionType,
    /// Above zero; the type tells the direction.
    #[schema(format = "decimal", example = "12.34")]
    amount: String,
    /// ISO 4217, the wallet's.
    #[schema(value_type = Currency)]
    currency: String,
    date: NaiveDate,
    #[schema(required = true)]
    category_id: Option<Uuid>,
    #[schema(required = true)]
    description: Option<String>,
    #[schema(required = true)]
    payee: Option<String>,
    #[schema(required = true)]
    notes: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Transaction> for TransactionView {
    fn from(transaction: &Transaction) -> Self {
        Self {
            id: transaction.id,
            wallet_id: transaction.wallet_id,
            transaction_type: transaction.transaction_type,
            amount: transaction.amount.to_string(),
            currency: transaction.amount.currency().code().to_owned(),
            date: transaction.date,
            category_id: transaction.category_id,
            description: transaction.description.clone(),
            payee: transaction.payee.clone(),
            notes: transaction.notes.clone(),
            version: transaction.version,
            created_at: transaction.created_at,
            updated_at: transaction.updated_at,
        }
    }
}

/// A booking to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "wallet_id": "01920000-0000-7000-8000-00000000000a", "type": "expense", "amount": "12.34",
    "date": "2026-02-10", "category_id": "01920000-0000-7000-8000-00000000000b",
    "description": "Weekly shopping", "payee": "Corner shop"
}))]
pub struct NewTransaction {
    /// One of your wallets.
    wallet_id: Uuid,
    #[serde(rename = "type")]
    transaction_type: TransactionType,
    /// More than zero, in the wallet's currency.
    amount: AmountInput,
    /// The day; today in your time zone if left out.
    #[schema(value_type = Option<NaiveDate>)]
    date: Option<DayInput>,
    /// One of your categories.
    category_id: Option<Uuid>,
    /// What it was.
    #[schema(max_length = 200)]
    description: Option<String>,
    /// Who was paid, or who paid.
    #[schema(max_length = 100)]
    payee: Option<String>,
    /// Anything else.
    #[schema(max_length = 2000)]
    notes: Option<String>,
}

impl NewTransaction {
    fn check(self, today: NaiveDate) -> Result<Draft, Problem> {
        let mut checks = Checks::new();
        let draft = Draft {
            wallet_id: self.wallet_id,
            transaction_type: self.transaction_type,
            amount: self.amount.0,
            date: self.date.map_or(today, |day| day.0),
            category_id: self.category_id,
            description: checks
                .optional("/description", self.description, |text| description(&text)),
            payee: checks.optional("/payee", self.payee, |text| payee(&text)),
            notes: checks.optional("/notes", self.notes, |text| notes(&text)),
        };
        checks.finish()?;
        Ok(draft)
    }
}

fn description(text: &str) -> Result<String, crate::domain::text::TextError> {
    check_text(text, 1..=200)
}

fn payee(text: &str) -> Result<String, crate::domain::text::TextError> {
    check_text(text, 1..=100)
}

fn notes(text: &str) -> Result<String, crate::domain::text::TextError> {
    check_long_text(text, 1..=2000)
}

/// What to change; what is left out stays, null removes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": "13.50", "description": "Weekly shopping, with milk"}))]
pub struct TransactionPatch {
    /// One of your wallets.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    wallet_id: Option<Uuid>,
    #[serde(default, rename = "type", deserialize_with = "present")]
    #[schema(nullable = false)]
    transaction_type: Option<TransactionType>,
    /// More than zero, in the wallet's currency.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    amount: Option<AmountInput>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<NaiveDate>)]
    date: Option<DayInput>,
    /// One of your categories.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Uuid>)]
    category_id: Option<Option<Uuid>>,
    /// What it was.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 200)]
    description: Option<Option<String>>,
    /// Who was paid, or who paid.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 100)]
    payee: Option<Option<String>>,
    /// Anything else.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 2000)]
    notes: Option<Option<String>>,
}

impl TransactionPatch {
    fn check(self) -> Result<Amendment, Problem> {
        let mut checks = Checks::new();
        let amendment = Amendment {
            wallet_id: self.wallet_id,
            transaction_type: self.transaction_type,
            amount: self.amount.map(|amount| amount.0),
            date: self.date.map(|day| day.0),
            category_id: self.category_id,
            description: checks
                .removable("/description", self.description, |text| description(&text)),
            payee: checks.removable("/payee", self.payee, |text| payee(&text)),
            notes: checks.removable("/notes", self.notes, |text| notes(&text)),
        };
        checks.finish()?;
        Ok(amendment)
    }
}

/// Which bookings, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TransactionQuery {
    /// Items on the page, 1 to 200; 50 if left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// In this wallet.
    wallet_id: Option<Uuid>,
    /// In this category.
    category_id: Option<Uuid>,
    /// Income or expense.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    transaction_type: Option<TransactionType>,
    /// On or after this day.
    #[param(value_type = Option<NaiveDate>, example = "2026-02-01")]
    from: Option<DayInput>,
    /// On or before this day.
    #[param(value_type = Option<NaiveDate>, example = "2026-02-28")]
    to: Option<DayInput>,
    /// Of at least this amount, in the wallet's currency, or without a wallet in yours.
    #[param(format = "decimal", example = "10.00")]
    min_amount: Option<String>,
    /// Of at most this amount, in the wallet's currency, or without a wallet in yours.
    #[param(format = "decimal", example = "99.99")]
    max_amount: Option<String>,
}

impl TransactionQuery {
    /// Amounts say nothing without a currency: that of the wallet, or the user's.
    async fn filter(self, api: &Api, session: &Session) -> Result<Filter, Problem> {
        let mut filter = Filter {
            wallet_id: self.wallet_id,
            category_id: self.category_id,
            transaction_type: self.transaction_type,
            from: self.from.map(|day| day.0),
            to: self.to.map(|day| day.0),
            ..Filter::default()
        };
        if self.min_amount.is_none() && self.max_amount.is_none() {
            return Ok(filter);
        }
        let currency = match self.wallet_id {
            None => session.user.currency,
            Some(id) => wallets::get(api.store.reads(), session.user_id(), id)
                .await?
                .currency(),
        };
        let mut checks = Checks::new();
        filter.currency = Some(currency);
        filter.min_minor =
            checks.optional("?min_amount", self.min_amount, |text| minor(text, currency));
        filter.max_minor =
            checks.optional("?max_amount", self.max_amount, |text| minor(text, currency));
        checks.finish()?;
        Ok(filter)
    }
}

fn minor(text: String, currency: Currency) -> Result<i64, crate::domain::money::MoneyError> {
    Ok(AmountText::Text(text).amount(currency)?.minor())
}

/// A page of bookings, the newest day first.
#[derive(Debug, Serialize, ToSchema)]
pub struct TransactionPage {
    items: Vec<TransactionView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

fn act(api: &Api, session: &Session, context: &RequestContext) -> Act {
    Act {
        user_id: session.user_id(),
        now: api.clock.now(),
        event_id: api.ids.v4(),
        cause: context.cause(),
    }
}

/// Book income or an expense.
#[utoipa::path(
    tag = "transactions",
    operation_id = "create_transaction",
    request_body = NewTransaction,
    responses((status = 201, description = "The booking", body = TransactionView))
)]
#[post("/v1/transactions")]
pub(super) async fn create(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    key: IdempotencyKey,
    body: Body<NewTransaction>,
) -> Result<HttpResponse, Problem> {
    let act = act(&api, &session, &context);
    let draft = body
        .value
        .check(period::today(act.now, session.user.time_zone))?;
    let id = api.ids.v7(act.now);
    let ready = at_once::prepare(&api.store, act, id, &draft).await?;
    let ready = ready.map(|booking| {
        let created = created(&booking.transaction, None);
        (booking, created)
    });
    let unit = move |tx| async move {
        let (transaction, position) = transactions::book(&tx, act, id, draft).await?;
        Ok(created(&transaction, position))
    };
    once::book(&api, act.user_id, key, &body.bytes, ready, unit).await
}

fn created(transaction: &Transaction, position: Option<LogPosition>) -> Created<TransactionView> {
    Created {
        location: format!("/v1/transactions/{}", transaction.id),
        version: transaction.version,
        view: TransactionView::from(transaction),
        position,
    }
}

/// List your bookings.
#[utoipa::path(
    tag = "transactions",
    operation_id = "list_transactions",
    params(TransactionQuery),
    responses((status = 200, description = "A page", body = TransactionPage))
)]
#[get("/v1/transactions")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<TransactionQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let filter = query.0.filter(&api, &session).await?;
    let page = transactions::list(api.store.reads(), session.user_id(), &filter, page).await?;
    Ok(HttpResponse::Ok().json(TransactionPage {
        items: page.items.iter().map(TransactionView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Read a booking.
#[utoipa::path(
    tag = "transactions",
    operation_id = "get_transaction",
    params(("id" = Uuid, Path, description = "The booking")),
    responses((status = 200, description = "The booking", body = TransactionView))
)]
#[get("/v1/transactions/{id}")]
pub(super) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let transaction = transactions::get(api.store.reads(), session.user_id(), *id).await?;
    let view = TransactionView::from(&transaction);
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(transaction.version))
        .json(view))
}

/// Change a booking; balances, sums and budgets follow.
#[utoipa::path(
    tag = "transactions",
    operation_id = "change_transaction",
    request_body = TransactionPatch,
    params(("id" = Uuid, Path, description = "The booking")),
    responses((status = 200, description = "The booking", body = TransactionView))
)]
#[patch("/v1/transactions/{id}")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    id: web::Path<Uuid>,
    expected: IfMatch,
    body: Body<TransactionPatch>,
) -> Result<HttpResponse, Problem> {
    let amendment = body.value.check()?;
    let (act, id) = (act(&api, &session, &context), *id);
    let (transaction, position) = answer::write(&api, act.user_id, move |tx| async move {
        transactions::amend(&tx, act, id, expected.0, amendment).await
    })
    .await?;
    Ok(answer::changed(
        transaction.version,
        position,
        &TransactionView::from(&transaction),
    ))
}

/// Delete a booking; balances, sums and budgets follow.
#[utoipa::path(
    tag = "transactions",
    operation_id = "delete_transaction",
    params(("id" = Uuid, Path, description = "The booking")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/transactions/{id}")]
pub(super) async fn delete(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (act, id) = (act(&api, &session, &context), *id);
    let ((), position) = answer::write(&api, act.user_id, move |tx| async move {
        Ok(((), transactions::delete(&tx, act, id, expected.0).await?))
    })
    .await?;
    Ok(answer::deleted(position))
}
