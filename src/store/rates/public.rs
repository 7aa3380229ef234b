//! Public exchange rates: what a euro was worth, day by day. Operators bring them in.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::ConnectionTrait;
use serde::Serialize;

use super::{public_rate, rate};
use crate::domain::exchange::PublicRate;
use crate::domain::rate::Rate;
use crate::store::given::Given;
use crate::store::sql::all;
use crate::store::{StoreError, Tx};

/// What became of rates that were brought in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BroughtIn {
    /// Those that were not there.
    pub new: u64,
    /// Those that were something else.
    pub changed: u64,
    /// Those that were there.
    pub same: u64,
}

impl BroughtIn {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            new: self.new + other.new,
            changed: self.changed + other.changed,
            same: self.same + other.same,
        }
    }
}

/// Brings rates in, of each currency and day one. What is there already is not written again.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn bring_in(
    tx: &Tx,
    rates: &[PublicRate],
    now: DateTime<Utc>,
) -> Result<BroughtIn, StoreError> {
    let keys = rates
        .iter()
        .map(|it| [it.currency.code().into(), it.date.into()]);
    let text = "SELECT r.currency, r.date, r.rate FROM given JOIN exchange_rates r \
         ON r.currency = given.currency AND r.date = given.date";
    let rows = Given::new(["currency", "date"], keys)
        .run(&**tx, text, [])
        .await?;
    let mut kept: HashMap<_, Rate> = HashMap::new();
    for row in &rows {
        let it = public_rate(row)?;
        kept.insert((it.currency, it.date), it.rate);
    }
    let mut done = BroughtIn::default();
    let mut writes = Vec::new();
    for it in rates {
        match kept.get(&(it.currency, it.date)) {
            Some(rate) if *rate == it.rate => {
                done.same += 1;
                continue;
            }
            Some(_) => done.changed += 1,
            None => done.new += 1,
        }
        writes.push([
            it.currency.code().into(),
            it.date.into(),
            it.rate.to_string().into(),
        ]);
    }
    let text = "INSERT INTO exchange_rates (currency, date, rate, imported_at) \
         SELECT currency, date, rate, $1 FROM given WHERE true \
         ON CONFLICT (currency, date) DO UPDATE SET rate = excluded.rate, imported_at = excluded.imported_at";
    let writes = Given::new(["currency", "date", "rate"], writes);
    writes.run(&**tx, text, [now.into()]).await?;
    Ok(done)
}

/// What there is of a currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The currency.
    pub currency: String,
    /// The first day of which there is a rate.
    pub first: NaiveDate,
    /// The last one.
    pub last: NaiveDate,
    /// How many days there are.
    pub days: i64,
    /// What a euro was worth on the last one.
    pub rate: Rate,
}

/// What there is, by currency.
///
/// # Errors
/// The database cannot be read.
pub async fn kept(db: &impl ConnectionTrait) -> Result<Vec<Kept>, StoreError> {
    let text = "SELECT k.currency, k.first_day, k.last_day, k.days, r.rate FROM \
         (SELECT currency, MIN(date) AS first_day, MAX(date) AS last_day, COUNT(*) AS days \
         FROM exchange_rates GROUP BY currency) k \
         JOIN exchange_rates r ON r.currency = k.currency AND r.date = k.last_day ORDER BY k.currency";
    let rows = all(db, text, []).await?;
    rows.iter()
        .map(|row| {
            Ok(Kept {
                currency: row.try_get_by_index(0)?,
                first: row.try_get_by_index(1)?,
                last: row.try_get_by_index(2)?,
                days: row.try_get_by_index(3)?,
                rate: rate(&row.try_get_by_index::<String>(4)?)?,
            })
        })
        .collect()
}
