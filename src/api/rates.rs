//! Exchange rates: those that hold, and those that users set for themselves.

use std::borrow::Cow;

use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use super::input::{DayInput, Digits, PageQuery, digits, digits_schema, present};
use super::once::{self, Created, IdempotencyKey};
use super::session::Session;
use super::{Api, answer};
use crate::domain::exchange::{BASE, OwnRate, RateSource};
use crate::domain::money::Currency;
use crate::domain::period;
use crate::domain::rate::{Rate, RateText};
use crate::http::cursor;
use crate::http::etag::{self, IfMatch};
use crate::http::{Body, Checks, Problem, Query};
use crate::store::rates::{self, UserRate};

/// The list that cursors name.
const LIST: &str = "rates";

/// A rate that you have set.
#[derive(Debug, Serialize, ToSchema)]
pub struct RateView {
    id: Uuid,
    /// ISO 4217: one unit of this currency
    #[schema(value_type = Currency)]
    from: String,
    /// was worth so much of this one.
    #[schema(value_type = Currency)]
    to: String,
    /// On this day.
    date: NaiveDate,
    rate: Rate,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&UserRate> for RateView {
    fn from(rate: &UserRate) -> Self {
        Self {
            id: rate.id,
            from: rate.of.from.code().to_owned(),
            to: rate.of.to.code().to_owned(),
            date: rate.of.date,
            rate: rate.of.rate,
            version: rate.version,
            created_at: rate.created_at,
            updated_at: rate.updated_at,
        }
    }
}

/// A rate: a decimal string, or a JSON number whose digits are read exactly.
#[derive(Debug, Clone)]
pub struct RateInput(RateText);

impl<'de> Deserialize<'de> for RateInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match digits(
            deserializer,
            "a rate is a decimal string such as \"1.0842\"",
        )? {
            Digits::Text(text) => Ok(Self(RateText::Text(text))),
            Digits::Number(number) => Ok(Self(RateText::Number(number))),
        }
    }
}

impl PartialSchema for RateInput {
    fn schema() -> RefOr<Schema> {
        digits_schema(
            r"^[0-9]+(\.[0-9]+)?$",
            "A decimal of at most 12 digits, not counting zeros before and behind them.",
            "1.0842",
        )
    }
}

impl ToSchema for RateInput {
    fn name() -> Cow<'static, str> {
        "RateInput".into()
    }
}

/// A rate to be set: it holds on its day, and until a later one is known, for 31 days at the most.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "USD", "to": "ARS", "rate": "1052.5"}))]
pub struct NewRate {
    /// ISO 4217: one unit of this currency
    #[schema(pattern = "^[A-Z]{3}$")]
    from: String,
    /// is worth so much of this one, which is another.
    #[schema(pattern = "^[A-Z]{3}$")]
    to: String,
    /// More than zero.
    rate: RateInput,
    /// `YYYY-MM-DD`, no later than today, which it is if left out. There is one for two currencies and a day.
    #[schema(value_type = Option<NaiveDate>)]
    date: Option<DayInput>,
}

impl NewRate {
    fn check(self, id: Uuid, today: NaiveDate, now: DateTime<Utc>) -> Result<UserRate, Problem> {
        let mut checks = Checks::new();
        let from = checks.field("/from", Currency::parse(&self.from));
        let to = checks.field("/to", Currency::parse(&self.to));
        if to.is_some() && from == to {
            checks.wrong("/to", "a rate is between two currencies");
        }
        let rate = checks.field("/rate", self.rate.0.rate());
        let date = self.date.map_or(today, |day| day.0);
        let date = checks.field("/date", that_has_come(date, today));
        let (from, to, rate, date) = checks.all((from, to, rate, date))?;
        Ok(UserRate {
            id,
            of: OwnRate {
                from,
                to,
                date,
                rate,
            },
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }
}

/// Nobody knows the rates of tomorrow.
fn that_has_come(day: NaiveDate, today: NaiveDate) -> Result<NaiveDate, &'static str> {
    if day <= today {
        Ok(day)
    } else {
        Err("this day has not come: a rate is of today or before")
    }
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rate": "1060"}))]
pub struct RatePatch {
    /// More than zero.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    rate: Option<RateInput>,
}

/// A page of your rates, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct RatePage {
    items: Vec<RateView>,
    /// Where the next page begins; null on the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which rate.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExchangeRateQuery {
    /// ISO 4217, of what is converted; EUR if left out.
    #[param(pattern = "^[A-Z]{3}$", example = "USD")]
    from: Option<String>,
    /// ISO 4217, to what it is converted; your currency if left out.
    #[param(pattern = "^[A-Z]{3}$", example = "ARS")]
    to: Option<String>,
    /// `YYYY-MM-DD`; today in your time zone if left out.
    #[param(value_type = Option<NaiveDate>)]
    date: Option<DayInput>,
}

/// The rate that holds on a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExchangeRateView {
    /// ISO 4217: one unit of this currency
    #[schema(value_type = Currency)]
    from: String,
    /// is worth so much of this one.
    #[schema(value_type = Currency)]
    to: String,
    rate: Rate,
    /// The day that the rate is of: the one asked for, or the latest before it.
    date: NaiveDate,
    source: RateSource,
}

/// Set a rate of your own.
#[utoipa::path(
    tag = "rates",
    operation_id = "create_rate",
    request_body = NewRate,
    responses((status = 201, description = "The rate", body = RateView))
)]
#[post("/v1/rates")]
pub(super) async fn create(
    api: web::Data<Api>,
    session: Session,
    key: IdempotencyKey,
    body: Body<NewRate>,
) -> Result<HttpResponse, Problem> {
    let now = api.clock.now();
    let user_id = session.user_id();
    let today = period::today(now, session.user.time_zone);
    let rate = body.value.check(api.ids.v7(now), today, now)?;
    once::create(&api, user_id, key, &body.bytes, move |tx| async move {
        rates::create(&tx, user_id, &rate).await?;
        Ok(Created {
            location: format!("/v1/rates/{}", rate.id),
            version: rate.version,
            view: RateView::from(&rate),
            position: None,
        })
    })
    .await
}

/// List the rates that you have set.
#[utoipa::path(
    tag = "rates",
    operation_id = "list_rates",
    params(PageQuery),
    responses((status = 200, description = "A page", body = RatePage))
)]
#[get("/v1/rates")]
pub(super) async fn list(
    api: web::Data<Api>,
    session: Session,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let page = cursor::page(LIST, query.0.limit, query.0.cursor.as_deref())?;
    let page = rates::list(api.store.reads(), session.user_id(), page).await?;
    Ok(HttpResponse::Ok().json(RatePage {
        items: page.items.iter().map(RateView::from).collect(),
        next_cursor: cursor::next(LIST, page.next.as_ref())?,
    }))
}

/// Look up the rate that holds on a day: yours or a public one, whichever is of the latest day.
#[utoipa::path(
    tag = "rates",
    operation_id = "get_exchange_rate",
    params(ExchangeRateQuery),
    responses((status = 200, description = "The rate", body = ExchangeRateView))
)]
#[get("/v1/exchange-rate")]
pub(super) async fn holding(
    api: web::Data<Api>,
    session: Session,
    query: Query<ExchangeRateQuery>,
) -> Result<HttpResponse, Problem> {
    let today = period::today(api.clock.now(), session.user.time_zone);
    let query = query.0;
    let mut checks = Checks::new();
    let from = query.from.unwrap_or_else(|| BASE.to_owned());
    let from = checks.field("?from", Currency::parse(&from));
    let to = match query.to {
        Some(code) => checks.field("?to", Currency::parse(&code)),
        None => Some(session.user.currency),
    };
    let (from, to) = checks.all((from, to))?;
    let day = query.date.map_or(today, |day| day.0);
    let exchange = rates::exchange(api.store.reads(), session.user_id(), &[from], to, day).await?;
    let held = exchange.between(from, to).ok_or_else(|| {
        Problem::not_found(format!(
            "no rate from {from} to {to} holds on {day}: set one of your own, or ask the operator to bring public ones in"
        ))
    })?;
    Ok(HttpResponse::Ok().json(ExchangeRateView {
        from: from.code().to_owned(),
        to: to.code().to_owned(),
        rate: held.rate,
        date: held.date,
        source: held.source,
    }))
}

/// Read a rate that you have set.
#[utoipa::path(
    tag = "rates",
    operation_id = "get_rate",
    params(("id" = Uuid, Path, description = "The rate")),
    responses((status = 200, description = "The rate", body = RateView))
)]
#[get("/v1/rates/{id}")]
pub(super) async fn get(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let rate = rates::get(api.store.reads(), session.user_id(), *id).await?;
    Ok(HttpResponse::Ok()
        .insert_header(etag::header(rate.version))
        .json(RateView::from(&rate)))
}

/// Change a rate that you have set.
#[utoipa::path(
    tag = "rates",
    operation_id = "change_rate",
    request_body = RatePatch,
    params(("id" = Uuid, Path, description = "The rate")),
    responses((status = 200, description = "The rate", body = RateView))
)]
#[patch("/v1/rates/{id}")]
pub(super) async fn amend(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
    body: Body<RatePatch>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::new();
    let rate = checks.optional("/rate", body.value.rate, |rate| rate.0.rate());
    checks.finish()?;
    let (user_id, id, now) = (session.user_id(), *id, api.clock.now());
    let (rate, position) = answer::write(&api, user_id, move |tx| async move {
        let rate = rates::change(&tx, user_id, id, expected.0, rate, now).await?;
        Ok((rate, None))
    })
    .await?;
    Ok(answer::changed(
        rate.version,
        position,
        &RateView::from(&rate),
    ))
}

/// Delete a rate that you have set.
#[utoipa::path(
    tag = "rates",
    operation_id = "delete_rate",
    params(("id" = Uuid, Path, description = "The rate")),
    responses((status = 204, description = "It is gone"))
)]
#[delete("/v1/rates/{id}")]
pub(super) async fn delete(
    api: web::Data<Api>,
    session: Session,
    id: web::Path<Uuid>,
    expected: IfMatch,
) -> Result<HttpResponse, Problem> {
    let (user_id, id) = (session.user_id(), *id);
    let ((), position) = answer::write(&api, user_id, move |tx| async move {
        rates::delete(&tx, user_id, id, expected.0).await?;
        Ok(((), None))
    })
    .await?;
    Ok(answer::deleted(position))
}
