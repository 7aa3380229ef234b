//! What there is in several currencies, converted to one: each with the rate and its day. What has no rate is said, and is in
//! no sum.

use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Flow;
use crate::domain::exchange::{Exchange, Holding, RateSource};
use crate::domain::money::{Currency, Money};
use crate::domain::period::Month;
use crate::domain::rate::Rate;
use crate::store::dashboard as sums;
use crate::store::{Connection, StoreError, rates, wallets};

/// A month in all currencies, converted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConvertedView {
    /// The day whose rates are taken: the last of the month, or today before that.
    rates_on: NaiveDate,
    /// Of all currencies that have a rate.
    #[schema(format = "decimal", example = "5200.00")]
    income: String,
    /// Of all currencies that have a rate.
    #[schema(format = "decimal", example = "3350.25")]
    spending: String,
    /// Income less spending.
    #[schema(format = "decimal", example = "1849.75")]
    net: String,
    /// Each currency in which there were bookings.
    currencies: Vec<CurrencyFlow>,
    /// Currencies that have no rate of that day, and so are not in the sums.
    #[schema(value_type = Vec<Currency>)]
    without_rate: Vec<String>,
}

/// A month in a currency.
#[derive(Debug, Serialize, ToSchema)]
struct CurrencyFlow {
    /// ISO 4217.
    #[schema(value_type = Currency)]
    currency: String,
    #[schema(format = "decimal", example = "1000.00")]
    income: String,
    #[schema(format = "decimal", example = "200.00")]
    spending: String,
    /// Income less spending.
    #[schema(format = "decimal", example = "800.00")]
    net: String,
    /// Null where there is no rate.
    #[schema(required = true)]
    converted: Option<ConvertedFlow>,
}

/// The same converted.
#[derive(Debug, Serialize, ToSchema)]
struct ConvertedFlow {
    #[schema(format = "decimal", example = "1084.20")]
    income: String,
    #[schema(format = "decimal", example = "216.84")]
    spending: String,
    /// Income less spending.
    #[schema(format = "decimal", example = "867.36")]
    net: String,
    rate: Rate,
    /// The day that the rate is of.
    rate_date: NaiveDate,
    rate_source: RateSource,
}

/// What is in all wallets, converted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NetWorthView {
    /// The day whose rates are taken: today.
    rates_on: NaiveDate,
    /// Of all currencies that have a rate.
    #[schema(format = "decimal", example = "12345.67")]
    amount: String,
    /// Each currency of which something is there, or owed.
    currencies: Vec<CurrencyBalance>,
    /// Currencies that have no rate of that day, and so are not in the sum.
    #[schema(value_type = Vec<Currency>)]
    without_rate: Vec<String>,
}

/// What is in all wallets of a currency.
#[derive(Debug, Serialize, ToSchema)]
struct CurrencyBalance {
    /// ISO 4217.
    #[schema(value_type = Currency)]
    currency: String,
    #[schema(format = "decimal", example = "1000.00")]
    balance: String,
    /// Null where there is no rate.
    #[schema(required = true)]
    converted: Option<ConvertedBalance>,
}

/// The same converted.
#[derive(Debug, Serialize, ToSchema)]
struct ConvertedBalance {
    #[schema(format = "decimal", example = "1084.20")]
    balance: String,
    rate: Rate,
    /// The day that the rate is of.
    rate_date: NaiveDate,
    rate_source: RateSource,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) user_id: Uuid,
    /// What it is converted to.
    pub(super) currency: Currency,
    pub(super) month: Month,
    pub(super) today: NaiveDate,
}

impl Question {
    /// The day whose rates the month is converted by.
    fn rates_on(&self) -> NaiveDate {
        self.month.last_day().min(self.today)
    }
}

/// What is in the wallets, what came in and went out in other currencies than the one that is asked for, and what those
/// are worth in it. Who has no other currency costs no question more.
#[derive(Debug)]
pub(super) struct Worth {
    question: Question,
    balances: Vec<Money>,
    others: Vec<Flow>,
    /// The rates of today.
    of_today: Exchange,
    /// The rates of the month, where it is over.
    of_month: Option<Exchange>,
}

impl Worth {
    /// # Errors
    /// The database cannot be read.
    pub(super) async fn read(reads: &Connection, question: Question) -> Result<Self, StoreError> {
        let Question {
            user_id,
            currency,
            month,
            today,
        } = question;
        let balances = wallets::balances(reads, user_id).await?;
        let others = balances.iter().map(|it| it.currency());
        let others: Vec<Currency> = others.filter(|it| *it != currency).collect();
        let of_month = async {
            let on = question.rates_on();
            if on == today {
                return Ok(None);
            }
            let exchange = rates::exchange(reads, user_id, &others, currency, on).await?;
            Ok::<_, StoreError>(Some(exchange))
        };
        let (sums, of_today, of_month) = tokio::try_join!(
            sums::by_currency(reads, user_id, &others, month.first_day()),
            rates::exchange(reads, user_id, &others, currency, today),
            of_month,
        )?;
        let others = sums.iter().map(|it| Flow {
            income: it.income,
            spending: it.spending,
        });
        Ok(Self {
            question,
            balances,
            others: others.collect(),
            of_today,
            of_month,
        })
    }

    /// The month in all currencies; `own` is what it was in the one that is asked for.
    pub(super) fn month(&self, own: Flow) -> Result<ConvertedView, StoreError> {
        let mut flows: Vec<Flow> = self.others.iter().copied().chain([own]).collect();
        flows.sort_by_key(|flow| flow.income.currency());
        let exchange = self.of_month.as_ref().unwrap_or(&self.of_today);
        let Question { currency, .. } = self.question;
        month_view(self.question.rates_on(), currency, exchange, &flows)
    }

    /// What is in all wallets now.
    pub(super) fn now(&self) -> NetWorthView {
        let Question {
            currency, today, ..
        } = self.question;
        worth_view(today, currency, &self.of_today, &self.balances)
    }
}

fn month_view(
    rates_on: NaiveDate,
    currency: Currency,
    exchange: &Exchange,
    flows: &[Flow],
) -> Result<ConvertedView, StoreError> {
    let mut total = Flow::none(currency);
    let (mut currencies, mut without_rate) = (Vec::new(), Vec::new());
    for flow in flows.iter().filter(|flow| !flow.is_nothing()) {
        let of = flow.income.currency();
        // What is out of range when it is converted, is in no sum either.
        let converted = exchange.between(of, currency).and_then(|held| {
            let converted = flow.converted(&held, currency)?;
            let sum = total.plus(&converted)?;
            let view = ConvertedFlow::of(&converted, &held)?;
            sum.net().ok()?;
            total = sum;
            Some(view)
        });
        if converted.is_none() {
            without_rate.push(of.code().to_owned());
        }
        currencies.push(CurrencyFlow {
            currency: of.code().to_owned(),
            income: flow.income.to_string(),
            spending: flow.spending.to_string(),
            net: flow.net()?.to_string(),
            converted,
        });
    }
    Ok(ConvertedView {
        rates_on,
        income: total.income.to_string(),
        spending: total.spending.to_string(),
        net: total.net()?.to_string(),
        currencies,
        without_rate,
    })
}

impl Flow {
    fn is_nothing(&self) -> bool {
        self.income.minor() == 0 && self.spending.minor() == 0
    }

    fn converted(&self, held: &Holding, to: Currency) -> Option<Self> {
        Some(Self {
            income: held.rate.convert(self.income, to).ok()?,
            spending: held.rate.convert(self.spending, to).ok()?,
        })
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        Some(Self {
            income: self.income.checked_add(other.income).ok()?,
            spending: self.spending.checked_add(other.spending).ok()?,
        })
    }
}

impl ConvertedFlow {
    fn of(flow: &Flow, held: &Holding) -> Option<Self> {
        Some(Self {
            income: flow.income.to_string(),
            spending: flow.spending.to_string(),
            net: flow.net().ok()?.to_string(),
            rate: held.rate,
            rate_date: held.date,
            rate_source: held.source,
        })
    }
}

fn worth_view(
    rates_on: NaiveDate,
    currency: Currency,
    exchange: &Exchange,
    balances: &[Money],
) -> NetWorthView {
    let mut total = Money::zero(currency);
    let (mut currencies, mut without_rate) = (Vec::new(), Vec::new());
    for balance in balances.iter().filter(|it| it.minor() != 0) {
        let of = balance.currency();
        let converted = exchange.between(of, currency).and_then(|held| {
            let converted = held.rate.convert(*balance, currency).ok()?;
            total = total.checked_add(converted).ok()?;
            Some(ConvertedBalance {
                balance: converted.to_string(),
                rate: held.rate,
                rate_date: held.date,
                rate_source: held.source,
            })
        });
        if converted.is_none() {
            without_rate.push(of.code().to_owned());
        }
        currencies.push(CurrencyBalance {
            currency: of.code().to_owned(),
            balance: balance.to_string(),
            converted,
        });
    }
    NetWorthView {
        rates_on,
        amount: total.to_string(),
        currencies,
        without_rate,
    }
}
