//! Bookings that come again: rent, wages, what is saved each month.

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{AmountInput, DayInput, PageQuery, nullable, present};
use super::once::{self, Created, IdempotencyKey};
use super::session::Session;
use super::transactions::{TagInput, description, notes, payee, tags};
use super::{Api, answer};
use crate::domain::money::Currency;
use crate::domain::period;
use crate::domain::recurrence::Recurrence;
use crate::domain::transaction::TransactionType;
use crate::http::cursor;
use crate::http::etag::{self, IfMatch};
use crate::http::{Body, Checks, Problem, Query, RequestContext};
use crate::store::recurring::{self, Failure, Recurring, RecurringChange};
use crate::store::transactions::{Amendment, Draft};

/// The list that cursors name.
const LIST: &str = "recurring";

/// A rule begins at most so many years from now.
const YEARS_AHEAD_MAX: i32 = 10;

/// A booking that comes again.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecurringView {
    id: Uuid,
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
    /// In the order of the alphabet.
    tags: Vec<String>,
    /// On which days, as RFC 5545 says it.
    #[schema(example = "FREQ=MONTHLY;BYMONTHDAY=-1")]
    rrule: String,
    /// The first day on which it may come.
    starts_on: NaiveDate,
    /// The next day to be booked; null while it is paused, and at its end.
    #[schema(required = true)]
    next_on: Option<NaiveDate>,
    /// Whether nothing is booked for now.
    paused: bool,
    /// Where a day could not be booked: it is paused since then, and goes on with that day.
    #[schema(required = true)]
    failure: Option<FailureView>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A day that could not be booked.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureView {
    date: NaiveDate,
    /// Why.
    #[schema(example = "this wallet is archived: nothing is booked in it any more")]
    reason: String,
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self {
            date: failure.on,
            reason: failure.reason.clone(),
        }
    }
}

impl From<&Recurring> for RecurringView {
    fn from(rule: &Recurring) -> Self {
        let template = &rule.template;
        let transfer = template.parts.transfer;
        Self {
            id: template.id,
            wallet_id: template.wallet_id,
            transaction_type: template.transaction_type,
            amount: template.amount.to_string(),
            currency: template.amount.currency().code().to_owned(),
            category_id: template.category_id,
            description: template.description.clone(),
            payee: template.payee.clone(),
            notes: template.notes.clone(),
            to_wallet_id: transfer.map(|it| it.to_wallet_id),
            to_amount: transfer.map(|it| it.to_amount.to_string()),
            to_currency: transfer.map(|it| it.to_amount.currency().code().to_owned()),
            tags: template.parts.tags.clone(),
            rrule: rule.recurrence.text().to_owned(),
            starts_on: rule.recurrence.starts_on(),
            next_on: rule.next_on.filter(|_| !rule.paused),
            paused: rule.paused,
            failure: rule.failure.as_ref().map(FailureView::from),
            version: template.version,
            created_at: template.created_at,
            updated_at: template.updated_at,
        }
    }
}

/// A booking that comes again, to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "wallet_id": "01920000-0000-7000-8000-00000000000a", "type": "expense", "amount": "1250.00",
    "category_id": "01920000-0000-7000-8000-00000000000b", "description": "Rent", "payee": "The landlady",
    "rrule": "FREQ=MONTHLY;BYMONTHDAY=-1", "starts_on": "2031-01-31"
}))]
pub struct NewRecurring {
    /// One of your wallets.
    wallet_id: Uuid,
    #[serde(rename = "type")]
    transaction_type: TransactionType,
    /// More than zero, in the wallet's currency.
    amount: AmountInput,
    /// One of your categories.
    category_id: Option<Uuid>,
    /// What it is.
    #[schema(min_length = 1, max_length = 200)]
    description: Option<String>,
    /// Who is paid, or who pays.
    #[schema(min_length = 1, max_length = 100)]
    payee: Option<String>,
    /// Anything else.
    #[schema(min_length = 1, max_length = 2000)]
    notes: Option<String>,
    /// Of a transfer: another of your wallets.
    to_wallet_id: Option<Uuid>,
    /// Of a transfer between currencies: what arrives, in the other wallet's currency.
    to_amount: Option<AmountInput>,
    /// Words of your own, by which lists can be filtered.
    #[serde(default)]
    #[schema(max_items = 20)]
    tags: Vec<TagInput>,
    /// On which days, as RFC 5545 says it: `FREQ` from `DAILY` to `YEARLY`, with `INTERVAL`, `COUNT` or `UNTIL`, `BYDAY`,
    /// `BYMONTHDAY`, `BYMONTH`, `BYSETPOS`, `WKST`. A day that a month does not have is left out: the last day of each
    /// month is `FREQ=MONTHLY;BYMONTHDAY=-1`.
    #[schema(min_length = 1, max_length = 200, pattern = "^[A-Z0-9=;,+-]+$")]
    rrule: String,
    /// The first day on which it may come, and from which `INTERVAL` and `COUNT` count; today in your time zone if left
    /// out. What was before today is not booked.
    #[schema(value_type = Option<NaiveDate>)]
    starts_on: Option<DayInput>,
}

impl NewRecurring {
    fn check(self, today: NaiveDate) -> Result<(Draft, Recurrence), Problem> {
        let mut checks = Checks::new();
        let starts_on = self.starts_on.map_or(today, |day| day.0);
        let starts_on = checks.field("/starts_on", near(starts_on, today));
        let rrule = &self.rrule;
        let recurrence =
            starts_on.and_then(|day| checks.field("/rrule", coming(rrule, day, today)));
        let draft = Draft {
            category_id: self.category_id,
            description: checks
                .optional("/description", self.description, |text| description(&text)),
            payee: checks.optional("/payee", self.payee, |text| payee(&text)),
            notes: checks.optional("/notes", self.notes, |text| notes(&text)),
            to_wallet_id: self.to_wallet_id,
            to_amount: self.to_amount.map(|amount| amount.0),
            tags: tags(&mut checks, &self.tags),
            ..Draft::new(
                self.wallet_id,
                self.transaction_type,
                self.amount.0,
                starts_on.unwrap_or(today),
            )
        };
        let (recurrence,) = checks.all((recurrence,))?;
        Ok((draft, recurrence))
    }
}

/// A rule that comes at all: whether one ever does may take a while to see, so not in the unit of work.
fn coming(rrule: &str, starts_on: NaiveDate, today: NaiveDate) -> Result<Recurrence, String> {
    let rule = Recurrence::parse(rrule, starts_on).map_err(|error| error.to_string())?;
    if rule.days_from(today, 1).is_empty() {
        return Err(recurring::NEVER.to_owned());
    }
    Ok(rule)
}

fn near(starts_on: NaiveDate, today: NaiveDate) -> Result<NaiveDate, String> {
    if starts_on.year() <= today.year() + YEARS_AHEAD_MAX {
        Ok(starts_on)
    } else {
        Err(format!("a rule begins within {YEARS_AHEAD_MAX} years"))
    }
}

/// What to change from here on; what is left out stays, null removes. What was booked stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": "1310.00", "description": "Rent, as of this year"}))]
pub struct RecurringPatch {
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
    /// One of your categories.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Uuid>)]
    category_id: Option<Option<Uuid>>,
    /// What it is.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    description: Option<Option<String>>,
    /// Who is paid, or who pays.
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
    /// All tags; an empty list removes them.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 20)]
    tags: Option<Vec<TagInput>>,
    /// On which days from here on, as RFC 5545 says it.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 200,
        pattern = "^[A-Z0-9=;,+-]+$"
    )]
    rrule: Option<String>,
    /// The first day on which it may come, and from which `INTERVAL` and `COUNT` count.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<NaiveDate>)]
    starts_on: Option<DayInput>,
    /// True: nothing is booked until it is false again, and what comes meanwhile is passed by. After a failure it goes on
    /// with the day that could not be booked.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    paused: Option<bool>,
}

impl RecurringPatch {
    fn check(self, today: NaiveDate) -> Result<RecurringChange, Problem> {
        let mut checks = Checks::new();
        let change = RecurringChange {
            booking: Amendment {
                wallet_id: self.wallet_id,
                transaction_type: self.transaction_type,
                amount: self.amount.map(|amount| amount.0),
                category_id: self.category_id,
                description: checks
                    .removable("/description", self.description, |text| description(&text)),
                payee: checks.removable("/payee", self.payee, |text| payee(&text)),
                notes: checks.removable("/notes", self.notes, |text| notes(&text)),
                to_wallet_id: self.to_wallet_id,
                to_amount: self.to_amount.map(|amount| amount.map(|it| it.0)),
                tags: self.tags.map(|given| tags(&mut checks, &given)),
                ..Amendment::default()
            },
            rrule: self.rrule,
            starts_on: checks.optional("/starts_on", self.starts_on, |day| near(day.0, today)),
            paused: self.paused,
        };
        checks.finish()?;
        Ok(change)
    }
}

/// A day to be left out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"date": "2031-02-28"}))]
pub struct SkipInput {
    /// A day to come of the rule.
    #[schema(value_type = NaiveDate)]
    date: DayInput,
}

/// A page of bookings that come again, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecurringPage {
    items: Vec<RecurringView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Make a booking that comes again: each day is booked when it begins in your time zone, once.
#[utoipa::path(
    tag = "recurring",
    operation_id = "create_recurring",
    request_body = NewRecurring,
    responses((status = 201, description = "The recurring booking", body = RecurringView))
)]
#[post("/v1/recurring")]
pub(super) async fn create(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    key: IdempotencyKey,
    body: Body<NewRecurring>,
) -> Result<HttpResponse, Problem> {
    let act = answer::act(&api, &session, &context);
    let today = period::today(act.now, session.user.time_zone);
    let (draft, recurrence) = body.value.check(today)?;
    let id = api.ids.v7(act.now);
    once::create(&api, act.user_id, key, &body.bytes, move |tx| async move {
        let rule = recurring::create(&tx, act, id, draft, recurrence).await?;
        Ok(Created {
            location: format!("/v1/recurring/{id}"),
            version: rule.template.version,
            view: RecurringView::from(&rule),
            position: None,
        })
    })
    .await
}

/// List your bookings that come again.
#[utoipa::path(
    tag = "recurring",
    operation_id = "list_recurring",
    params(PageQuery),
    responses((status = 200, description = "A page", body = RecurringPage))
)]
#[get("/v1/recurring")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = recurring::list(api.store.reads(), session.user_id(), page).await?;
    Ok(HttpResponse::Ok().json(RecurringPage {
        items: page.items.iter().map(RecurringView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Read a booking that comes again.
#[utoipa::path(
    tag = "recurring",
    operation_id = "get_recurring",
    params(("id" = Uuid, Path, description = "The recurring booking")),
    responses((status = 200, description = "The recurring booking", body = RecurringView))
)]
#[get("/v1/recurring/{id}")]
pub(super) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let rule = recurring::get(api.store.reads(), session.user_id(), *id).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(rule.template.version))
        .json(RecurringView::from(&rule)))
}

/// Change a recurring booking from here on, pause it or let it go on.
#[utoipa::path(
    tag = "recurring",
    operation_id = "change_recurring",
    request_body = RecurringPatch,
    params(("id" = Uuid, Path, description = "The recurring booking")),
    responses((status = 200, description = "The recurring booking", body = RecurringView))
)]
#[patch("/v1/recurring/{id}")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    id: web::Path<Uuid>,
    expected: IfMatch,
    body: Body<RecurringPatch>,
) -> Result<HttpResponse, Problem> {
    let (act, id) = (answer::act(&api, &session, &context), *id);
    let today = period::today(act.now, session.user.time_zone);
    let change = body.value.check(today)?;
    let (rule, position) = answer::write(&api, act.user_id, move |tx| async move {
        let rule = recurring::change(&tx, act, id, expected.0, change).await?;
        Ok((rule, None))
    })
    .await?;
    Ok(answer::changed(
        rule.template.version,
        position,
        &RecurringView::from(&rule),
    ))
}

/// Delete a recurring booking. What it has booked stays.
#[utoipa::path(
    tag = "recurring",
    operation_id = "delete_recurring",
    params(("id" = Uuid, Path, description = "The recurring booking")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/recurring/{id}")]
pub(super) async fn delete(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (user_id, id) = (session.user_id(), *id);
    let ((), position) = answer::write(&api, user_id, move |tx| async move {
        recurring::delete(&tx, user_id, id, expected.0).await?;
        Ok(((), None))
    })
    .await?;
    Ok(answer::deleted(position))
}

/// Leave a day to come out. One that is left out already stays so.
#[utoipa::path(
    tag = "recurring",
    operation_id = "skip_recurring",
    request_body = SkipInput,
    params(("id" = Uuid, Path, description = "The recurring booking")),
    responses((status = 200, description = "The recurring booking", body = RecurringView))
)]
#[post("/v1/recurring/{id}/skip")]
pub(super) async fn skip(
    api: web::Data<Api>,
    session: Session,
    context: RequestContext,
    id: web::Path<Uuid>,
    body: Body<SkipInput>,
) -> Result<HttpResponse, Problem> {
    let (act, id) = (answer::act(&api, &session, &context), *id);
    let day = body.value.date.0;
    let (rule, position) = answer::write(&api, act.user_id, move |tx| async move {
        Ok((recurring::skip(&tx, act, id, day).await?, None))
    })
    .await?;
    Ok(answer::changed(
        rule.template.version,
        position,
        &RecurringView::from(&rule),
    ))
}
