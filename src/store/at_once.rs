//! Bookings the short way: on PostgreSQL in one statement, and so in one round trip, since the way to the
//! server and the flush of a commit cost more than the work; on SQLite in a few. Those that come at the
//! same time share it: the combiner writes them.
//!
//! What the statement needs to know beforehand is the wallet's currency, which never changes, and the
//! category's name, which it checks. Whatever is unusual (a wallet that is gone, a name that has
//! changed, a key that was used) makes it pass over the booking, which then takes the way with several
//! statements, [`transactions::book`], which can say what is wrong.

/// Writes together what comes at the same time.
pub(super) mod combiner;
/// The statement.
mod statement;

use moka::sync::Cache;
use uuid::Uuid;

use super::event_log::LogPosition;
use super::idempotency::KeyedRequest;
use super::sql::one;
use super::transactions::{self, Act, Draft, Transaction};
use super::{Conflict, Store, StoreError};
use crate::domain::money::Currency;
use crate::events::EventType;
use crate::telemetry::spans;
use statement::Row;

/// What a booking says.
const CREATED: EventType = EventType::TransactionCreated;

/// Wallets and categories that are remembered at the most.
const KNOWN_MAX: u64 = 100_000;

/// What was learnt of wallets and categories, by user and id.
#[derive(Debug, Clone)]
pub(super) struct Known {
    currencies: Cache<(Uuid, Uuid), Currency>,
    categories: Cache<(Uuid, Uuid), String>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            currencies: Cache::new(KNOWN_MAX),
            categories: Cache::new(KNOWN_MAX),
        }
    }
}

/// A booking that is ready to be written.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The booking.
    pub transaction: Transaction,
    act: Act,
    category: Option<String>,
}

/// An answer to be kept for a request with a key: what stands before the position, and after it.
#[derive(Debug, Clone)]
pub struct KeptAnswer {
    /// Whose answer it is.
    pub request: KeyedRequest,
    /// What stands before the position.
    pub head: String,
    /// What stands after it.
    pub tail: String,
}

/// Makes a booking ready; none where it must take the other way.
///
/// # Errors
/// The database cannot be read.
pub async fn prepare(
    store: &Store,
    act: Act,
    id: Uuid,
    draft: &Draft,
) -> Result<Option<Prepared>, StoreError> {
    if !draft.is_plain() {
        return Ok(None);
    }
    let Some((currency, category)) = look_up(store, act.user_id, draft).await? else {
        return Ok(None);
    };
    let transaction = transactions::drafted(act, id, draft.clone(), currency, None);
    Ok(transaction.ok().map(|transaction| Prepared {
        transaction,
        act,
        category,
    }))
}

/// The wallet's currency and the category's name: remembered, or read.
async fn look_up(
    store: &Store,
    user_id: Uuid,
    draft: &Draft,
) -> Result<Option<(Currency, Option<String>)>, StoreError> {
    let Known {
        currencies,
        categories,
    } = &store.known;
    let wallet = (user_id, draft.wallet_id);
    let category = draft.category_id.map(|id| (user_id, id));
    let currency = currencies.get(&wallet);
    let name = category.and_then(|key| categories.get(&key));
    if let Some(currency) = currency
        && name.is_some() == category.is_some()
    {
        return Ok(Some((currency, name)));
    }
    let text = "SELECT w.currency, c.name FROM wallets w \
         LEFT JOIN categories c ON c.id = $3 AND c.user_id = $1 WHERE w.id = $2 AND w.user_id = $1";
    let values = [
        user_id.into(),
        draft.wallet_id.into(),
        draft.category_id.into(),
    ];
    let Some(row) = one(store.reads(), text, values).await? else {
        return Ok(None);
    };
    let code: String = row.try_get_by_index(0)?;
    let currency = Currency::parse(&code).map_err(StoreError::defect)?;
    currencies.insert(wallet, currency);
    let name: Option<String> = row.try_get_by_index(1)?;
    match (category, &name) {
        (Some(key), Some(name)) => categories.insert(key, name.clone()),
        (Some(_), None) => return Ok(None),
        (None, _) => {}
    }
    Ok(Some((currency, name)))
}

/// Writes it: the row, the wallet's balance, the event, and the answer that is kept; none when
/// nothing was written, and it must take the other way.
///
/// # Errors
/// The database refuses, or cannot do it now.
pub async fn book(
    store: &Store,
    prepared: &Prepared,
    kept: Option<KeptAnswer>,
) -> Result<Option<LogPosition>, StoreError> {
    let (row, _waiting) = Row::of(prepared, kept)?;
    let span = store.span("book, with those that come at the same time");
    let booked = spans::told(span, store.combiner.book(row)).await;
    let place = match super::counted(booked) {
        // Another replica is just answering this request, or the category is gone: what to say is found
        // on the other way.
        Err(StoreError::Conflict(Conflict::KeyTaken | Conflict::InUse)) => None,
        place => place?,
    };
    if place.is_none()
        && let Some(id) = prepared.transaction.category_id
    {
        let category = (prepared.act.user_id, id);
        store.known.categories.invalidate(&category);
    }
    Ok(place)
}
