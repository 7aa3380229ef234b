//! Exchange rates: the public ones, which are nobody's, and those that people set for themselves. They are looked up when
//! something is shown; no sum that is kept depends on them.

/// Public rates.
pub mod public;

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

use super::entities::user_rates;
use super::given::Given;
use super::owned::Owned;
use super::sql::{count, execute};
use super::users::check_version;
use super::{Page, PageRequest, StoreError, Tx, users};
use crate::domain::exchange::{self, Exchange, OWN_DAYS, OwnRate, PUBLIC_DAYS, PublicRate};
use crate::domain::money::Currency;
use crate::domain::rate::Rate;

const OWNED: Owned<user_rates::Entity> = Owned {
    id: user_rates::Column::Id,
    user_id: user_rates::Column::UserId,
    what: "rate",
};

/// Rates of one user at the most.
pub const OWN_RATES_MAX: u64 = 2_000;

/// A rate that a user has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRate {
    /// The rate's id.
    pub id: Uuid,
    /// What was worth how much on which day: one for each two currencies and day.
    pub of: OwnRate,
    /// Counts changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl TryFrom<user_rates::Model> for UserRate {
    type Error = StoreError;

    fn try_from(row: user_rates::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            of: OwnRate {
                from: currency(&row.from_currency)?,
                to: currency(&row.to_currency)?,
                date: row.date,
                rate: rate(&row.rate)?,
            },
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn currency(code: &str) -> Result<Currency, StoreError> {
    Currency::parse(code).map_err(StoreError::defect)
}

fn rate(text: &str) -> Result<Rate, StoreError> {
    Rate::parse(text).map_err(StoreError::defect)
}

/// Adds a rate.
///
/// # Errors
/// [`super::Conflict::Rate`]; there are too many.
pub async fn create(tx: &Tx, user_id: Uuid, rate: &UserRate) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    let text = "SELECT COUNT(*) FROM user_rates WHERE user_id = $1";
    if count(&**tx, text, [user_id.into()]).await? >= OWN_RATES_MAX {
        let detail = format!("you have {OWN_RATES_MAX} rates, no more fit");
        return Err(StoreError::invalid("rate", detail));
    }
    execute(
        &**tx,
        "INSERT INTO user_rates (id, user_id, from_currency, to_currency, date, rate, version, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [
            rate.id.into(),
            user_id.into(),
            rate.of.from.code().into(),
            rate.of.to.code().into(),
            rate.of.date.into(),
            rate.of.rate.to_string().into(),
            rate.version.into(),
            rate.created_at.into(),
            rate.updated_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The user's rate of this id.
///
/// # Errors
/// There is none.
pub async fn get(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    id: Uuid,
) -> Result<UserRate, StoreError> {
    OWNED.get(db, user_id, id).await
}

/// The user's rates, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<Uuid>,
) -> Result<Page<UserRate, Uuid>, StoreError> {
    OWNED.list(db, user_id, page, |it: &UserRate| it.id).await
}

/// Changes how much it is; none leaves it.
///
/// # Errors
/// No such rate, a stale version.
pub async fn change(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
    rate: Option<Rate>,
    now: DateTime<Utc>,
) -> Result<UserRate, StoreError> {
    users::hold(tx, user_id).await?;
    let mut changed = get(&**tx, user_id, id).await?;
    check_version(expected, changed.version)?;
    changed.of.rate = rate.unwrap_or(changed.of.rate);
    changed.version += 1;
    changed.updated_at = now;
    execute(
        &**tx,
        "UPDATE user_rates SET rate = $3, version = $4, updated_at = $5 WHERE id = $1 AND user_id = $2",
        [
            id.into(),
            user_id.into(),
            changed.of.rate.to_string().into(),
            changed.version.into(),
            now.into(),
        ],
    )
    .await?;
    Ok(changed)
}

/// Removes a rate.
///
/// # Errors
/// No such rate, a stale version.
pub async fn delete(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    let rate = get(&**tx, user_id, id).await?;
    check_version(expected, rate.version)?;
    execute(
        &**tx,
        "DELETE FROM user_rates WHERE id = $1 AND user_id = $2",
        [id.into(), user_id.into()],
    )
    .await?;
    Ok(())
}

/// The rates that hold on a day between each of these currencies and another: those of the days before it as well, so
/// that what is read is bounded by the currencies.
///
/// # Errors
/// The database cannot be read.
pub async fn exchange(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    from: &[Currency],
    to: Currency,
    day: NaiveDate,
) -> Result<Exchange, StoreError> {
    let from: BTreeSet<Currency> = from.iter().copied().filter(|it| *it != to).collect();
    if from.is_empty() {
        return Ok(Exchange::new(day, [], []));
    }
    let codes = from.iter().copied().chain([to]);
    let codes = codes.map(|it| [it.code().into()]);
    let text = "SELECT r.currency, r.date, r.rate FROM given JOIN exchange_rates r \
         ON r.currency = given.currency AND r.date >= $1 AND r.date <= $2";
    let first = exchange::since(day, PUBLIC_DAYS);
    let public = Given::new(["currency"], codes).run(db, text, [first.into(), day.into()]);

    let pairs = from.iter().flat_map(|it| [(*it, to), (to, *it)]);
    let pairs = pairs.map(|(from, to)| [from.code().into(), to.code().into()]);
    let text = "SELECT r.from_currency, r.to_currency, r.date, r.rate FROM given JOIN user_rates r \
         ON r.user_id = $1 AND r.from_currency = given.from_currency AND r.to_currency = given.to_currency \
         AND r.date >= $2 AND r.date <= $3";
    let first = exchange::since(day, OWN_DAYS);
    let own = Given::new(["from_currency", "to_currency"], pairs);
    let own = own.run(db, text, [user_id.into(), first.into(), day.into()]);

    let (public, own) = tokio::try_join!(public, own)?;
    let public = public
        .iter()
        .map(public_rate)
        .collect::<Result<Vec<_>, _>>()?;
    let own = own.iter().map(own_rate).collect::<Result<Vec<_>, _>>()?;
    Ok(Exchange::new(day, public, own))
}

fn public_rate(row: &QueryResult) -> Result<PublicRate, StoreError> {
    let text = |index| row.try_get_by_index::<String>(index);
    Ok(PublicRate {
        currency: currency(&text(0)?)?,
        date: row.try_get_by_index(1)?,
        rate: rate(&text(2)?)?,
    })
}

fn own_rate(row: &QueryResult) -> Result<OwnRate, StoreError> {
    let text = |index| row.try_get_by_index::<String>(index);
    Ok(OwnRate {
        from: currency(&text(0)?)?,
        to: currency(&text(1)?)?,
        date: row.try_get_by_index(2)?,
        rate: rate(&text(3)?)?,
    })
}
