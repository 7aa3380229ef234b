//! Bookings: income, expenses and transfers.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::input::{AmountInput, DayInput, nullable, present};
use super::once::{self, Created, IdempotencyKey};
use super::rules::filling;
use super::session::Session;
use super::{Api, answer, books};
use crate::domain::money::{AmountText, Currency};
use crate::domain::period;
use crate::domain::search;
use crate::domain::text::{check_long_text, check_text};
use crate::domain::transaction::TransactionType;
use crate::http::cursor;
use crate::http::etag::{self, IfMatch};
use crate::http::{Body, Checks, Problem, Query, RequestContext};
use crate::store::event_log::LogPosition;
use crate::store::transactions::{self, Amendment, Draft, Filter, Split, SplitDraft, Transaction};
use crate::store::{self, PageRequest, at_once, wallets};

/// The list that cursors name.
const LIST: &str = "transactions";

/// Characters of a search at the most.
const QUESTION_CHARS_MAX: usize = 200;

/// Characters of a tag at the most.
const TAG_CHARS_MAX: usize = 50;

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
    /// Of a transfer: the wallet that the money goes to.
    #[schema(required = true)]
    to_wallet_id: Option<Uuid>,
    /// Of a transfer: what arrives there, in that wallet's currency.
    #[schema(required = true, format = "decimal", example = "13.70")]
    to_amount: Option<String>,
    /// Of a transfer: ISO 4217, the other wallet's.
    #[schema(required = true, value_type = Option<Currency>)]
    to_currency: Option<String>,
    /// Parts in categories of their own, which make the amount; or none.
    splits: Vec<SplitView>,
    /// In the order of the alphabet.
    tags: Vec<String>,
    /// The recurring booking that has made it; that may be gone by now.
    #[schema(required = true)]
    recurring_id: Option<Uuid>,
    /// The day on which the recurring booking was due, wherever this one is now.
    #[schema(required = true)]
    occurs_on: Option<NaiveDate>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Transaction> for TransactionView {
    fn from(transaction: &Transaction) -> Self {
        let transfer = transaction.parts.transfer;
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
            to_wallet_id: transfer.map(|it| it.to_wallet_id),
            to_amount: transfer.map(|it| it.to_amount.to_string()),
            to_currency: transfer.map(|it| it.to_amount.currency().code().to_owned()),
            splits: transaction
                .parts
                .splits
                .iter()
                .map(SplitView::from)
                .collect(),
            tags: transaction.parts.tags.clone(),
            recurring_id: transaction.occurrence.map(|it| it.recurring_id),
            occurs_on: transaction.occurrence.map(|it| it.on),
            version: transaction.version,
            created_at: transaction.created_at,
            updated_at: transaction.updated_at,
        }
    }
}

/// A part of a booking.
#[derive(Debug, Serialize, ToSchema)]
pub struct SplitView {
    #[schema(required = true)]
    category_id: Option<Uuid>,
    /// Above zero, in the wallet's currency.
    #[schema(format = "decimal", example = "12.34")]
    amount: String,
    #[schema(required = true)]
    description: Option<String>,
}

impl From<&Split> for SplitView {
    fn from(split: &Split) -> Self {
        Self {
            category_id: split.category_id,
            amount: split.amount.to_string(),
            description: split.description.clone(),
        }
    }
}

/// A word of your own.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(min_length = 1, max_length = 50, example = "holiday")]
pub struct TagInput(String);

/// A part of a booking to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSplit {
    /// One of your categories.
    category_id: Option<Uuid>,
    /// More than zero, in the wallet's currency.
    amount: AmountInput,
    /// What it was.
    #[schema(max_length = 200)]
    description: Option<String>,
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
    #[schema(min_length = 1, max_length = 200)]
    description: Option<String>,
    /// Who was paid, or who paid.
    #[schema(min_length = 1, max_length = 100)]
    payee: Option<String>,
    /// Anything else.
    #[schema(min_length = 1, max_length = 2000)]
    notes: Option<String>,
    /// Of a transfer: another of your wallets.
    to_wallet_id: Option<Uuid>,
    /// Of a transfer between currencies: what arrives, in the other wallet's currency.
    to_amount: Option<AmountInput>,
    /// Two or more parts in categories of their own. They make the amount, to the last digit.
    #[serde(default)]
    #[schema(max_items = 50)]
    splits: Vec<NewSplit>,
    /// Words of your own, by which lists can be filtered.
    #[serde(default)]
    #[schema(max_items = 20)]
    tags: Vec<TagInput>,
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
            to_wallet_id: self.to_wallet_id,
            to_amount: self.to_amount.map(|amount| amount.0),
            splits: split_drafts(&mut checks, self.splits),
            tags: tags(&mut checks, &self.tags),
        };
        checks.finish()?;
        Ok(draft)
    }
}

pub(super) fn description(text: &str) -> Result<String, crate::domain::text::TextError> {
    check_text(text, 1..=200)
}

pub(super) fn payee(text: &str) -> Result<String, crate::domain::text::TextError> {
    check_text(text, 1..=100)
}

pub(super) fn notes(text: &str) -> Result<String, crate::domain::text::TextError> {
    check_long_text(text, 1..=2000)
}

fn split_drafts(checks: &mut Checks, splits: Vec<NewSplit>) -> Vec<SplitDraft> {
    let mut checked = |(place, split): (usize, NewSplit)| SplitDraft {
        category_id: split.category_id,
        amount: split.amount.0,
        description: checks.optional(
            &format!("/splits/{place}/description"),
            split.description,
            |text| description(&text),
        ),
    };
    splits.into_iter().enumerate().map(&mut checked).collect()
}

pub(super) fn tags(checks: &mut Checks, tags: &[TagInput]) -> Vec<String> {
    let checked = |(place, tag): (usize, &TagInput)| {
        checks.field(
            &format!("/tags/{place}"),
            check_text(&tag.0, 1..=TAG_CHARS_MAX),
        )
    };
    tags.iter().enumerate().filter_map(checked).collect()
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
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    description: Option<Option<String>>,
    /// Who was paid, or who paid.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    payee: Option<Option<String>>,
    /// Anything else.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000)]
    notes: Option<Option<String>>,
    /// Of a transfer: another of your wallets.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Uuid>)]
    to_wallet_id: Option<Option<Uuid>>,
    /// Of a transfer between currencies: what arrives, in the other wallet's currency.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<AmountInput>)]
    to_amount: Option<Option<AmountInput>>,
    /// All parts; an empty list removes them.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 50)]
    splits: Option<Vec<NewSplit>>,
    /// All tags; an empty list removes them.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 20)]
    tags: Option<Vec<TagInput>>,
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
            to_wallet_id: self.to_wallet_id,
            to_amount: self.to_amount.map(|amount| amount.map(|it| it.0)),
            splits: self.splits.map(|splits| split_drafts(&mut checks, splits)),
            tags: self.tags.map(|given| tags(&mut checks, &given)),
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
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// In this wallet, on either side of a transfer.
    wallet_id: Option<Uuid>,
    /// In this category, whole or by a split.
    category_id: Option<Uuid>,
    /// With this tag.
    #[param(min_length = 1, max_length = 50, example = "holiday")]
    tag: Option<String>,
    /// Words that description, payee, notes or tags have; their beginnings are enough. What was just written is found
    /// a moment later, or with `wait_for`. A page may be shorter than asked for, and still have a next one.
    #[param(min_length = 1, max_length = 200, example = "corner groc")]
    q: Option<String>,
    /// With `q`: the `X-Log-Position` of a write that what is found should show; it waits up to two seconds.
    #[param(pattern = "^[0-9]+(-[0-9]+)?$")]
    wait_for: Option<String>,
    /// Income, expenses or transfers.
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
    #[param(
        format = "decimal",
        pattern = r"^[0-9]+(\.[0-9]+)?$",
        example = "10.00"
    )]
    min_amount: Option<String>,
    /// Of at most this amount, in the wallet's currency, or without a wallet in yours.
    #[param(
        format = "decimal",
        pattern = r"^[0-9]+(\.[0-9]+)?$",
        example = "99.99"
    )]
    max_amount: Option<String>,
}

impl TransactionQuery {
    /// Amounts say nothing without a currency: that of the wallet, or the user's.
    async fn filter(self, api: &Api, session: &Session) -> Result<Filter, Problem> {
        let mut checks = Checks::new();
        let mut filter = Filter {
            wallet_id: self.wallet_id,
            category_id: self.category_id,
            transaction_type: self.transaction_type,
            from: self.from.map(|day| day.0),
            to: self.to.map(|day| day.0),
            tag: checks.optional("?tag", self.tag, |tag| check_text(&tag, 1..=TAG_CHARS_MAX)),
            ..Filter::default()
        };
        checks.finish()?;
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

/// Book income, an expense or a transfer. Your rules fill in the category and the payee if they are left out, and
/// add tags.
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
    let act = answer::act(&api, &session, &context);
    let mut draft = body
        .value
        .check(period::today(act.now, session.user.time_zone))?;
    filling::fill(&api, &session, &mut draft).await?;
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
    // A day that no booking can have may be none that the database knows.
    let page: PageRequest<(DayInput, Uuid)> =
        cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = PageRequest {
        limit: page.limit,
        after: page.after.map(|(day, id)| (day.0, id)),
    };
    let mut query = query.0;
    let (question, wait_for) = (query.q.take(), query.wait_for.take());
    let filter = query.filter(&api, &session).await?;
    let (reads, user_id) = (api.store.reads(), session.user_id());
    let mut checks = Checks::new();
    let question = checks.optional("?q", question, |text| {
        check_text(&text, 1..=QUESTION_CHARS_MAX)
    });
    let words = checks.optional("?q", question.as_deref(), search::wanted);
    checks.finish()?;
    let mut answer = HttpResponse::Ok();
    // Only what is searched may be behind.
    if words.is_some() || wait_for.is_some() {
        let reached = books::reached(&api, user_id, wait_for.as_deref()).await?;
        answer.insert_header((books::X_LOG_POSITION, reached.to_string()));
    }
    let page = match words {
        None => transactions::list(reads, user_id, &filter, page).await?,
        Some(words) => store::search::find(reads, user_id, &words, &filter, page).await?,
    };
    Ok(answer.json(TransactionPage {
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
    let (act, id) = (answer::act(&api, &session, &context), *id);
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
    let (act, id) = (answer::act(&api, &session, &context), *id);
    let ((), position) = answer::write(&api, act.user_id, move |tx| async move {
        Ok(((), transactions::delete(&tx, act, id, expected.0).await?))
    })
    .await?;
    Ok(answer::deleted(position))
}
