//! A booking in one statement, and so in one round trip: on PostgreSQL, where the way to the server
//! costs more than the work.
//!
//! What the statement needs to know beforehand is the wallet's currency, which never changes, and the
//! category's name, which it checks. Whatever is unusual (a wallet that is gone, a name that has
//! changed, a key that was used) makes it write nothing, and the booking takes the way with several
//! statements, [`transactions::book`], which can say what is wrong.

use moka::sync::Cache;
use sea_orm::Value;
use uuid::Uuid;

use super::event_log::LogPosition;
use super::idempotency::KeyedRequest;
use super::sql::{list, one};
use super::transactions::{self, Act, Draft, Transaction};
use super::{Conflict, Signal, Store, StoreError, Writes, outbox};
use crate::domain::money::Currency;
use crate::events::EventType;
use crate::telemetry::metrics::names;

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
    if !matches!(store.writes, Writes::Postgres { .. }) {
        return Ok(None);
    }
    let Some((currency, category)) = look_up(store, act.user_id, draft).await? else {
        return Ok(None);
    };
    let transaction = transactions::drafted(act, id, draft.clone(), currency);
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
    kept: Option<&KeptAnswer>,
) -> Result<Option<LogPosition>, StoreError> {
    let Writes::Postgres { pool, relayed } = &store.writes else {
        return Ok(None);
    };
    let (text, values) = statement(prepared, kept, *relayed)?;
    let db = super::Connection::Postgres(pool.clone());
    let row = match one(&db, text, values).await.map_err(StoreError::from) {
        // Another replica is just answering this request: what it says is found on the other way.
        Err(StoreError::Conflict(Conflict::KeyTaken)) => None,
        row => row?,
    };
    let Some(row) = row else {
        let transaction = &prepared.transaction;
        if let Some(id) = transaction.category_id {
            store
                .known
                .categories
                .invalidate(&(prepared.act.user_id, id));
        }
        return Ok(None);
    };
    metrics::counter!(names::LOG_EVENTS_APPENDED_TOTAL, "type" => CREATED.as_str()).increment(1);
    store.signals.send(Signal::Logged as u8);
    Ok(Some(LogPosition::of(&row, 0)?))
}

fn statement(
    prepared: &Prepared,
    kept: Option<&KeptAnswer>,
    relayed: bool,
) -> Result<(String, Vec<Value>), StoreError> {
    let Prepared {
        transaction,
        act,
        category,
    } = prepared;
    let created = transactions::created(act, transaction, category.clone());
    let event = act.event(transaction.id, created);
    let row = transactions::row_of(act.user_id, transaction);
    let columns = transactions::COLUMNS;
    let places = list(row.len(), 1);
    let mut values: Vec<Value> = row.into();
    values.extend([
        transaction.signed_minor().into(),
        category.clone().into(),
        event.id.into(),
        CREATED.as_str().into(),
        event.to_json().map_err(StoreError::defect)?.into(),
    ]);
    let unused_key = match kept {
        Some(_) => {
            " AND NOT EXISTS (SELECT 1 FROM idempotency_keys WHERE user_id = $2 AND key = $20)"
        }
        None => "",
    };
    let mut text = format!(
        "WITH wallet AS (UPDATE wallets SET balance_minor = balance_minor + $15 \
         WHERE id = $3 AND user_id = $2 AND currency = $6 AND ($8 IS NULL OR EXISTS ( \
         SELECT 1 FROM categories WHERE id = $8 AND user_id = $2 AND name = $16)){unused_key} RETURNING id), \
         booking AS (INSERT INTO transactions ({columns}) SELECT {places} FROM wallet RETURNING id), \
         said AS (INSERT INTO event_log (event_id, type, user_id, envelope, created_at) \
         SELECT $17, $18, $2, $19, $13 FROM booking RETURNING xid, position)"
    );
    if relayed {
        text.push_str(outbox::SENT);
    }
    if let Some(kept) = kept {
        values.extend([
            kept.request.key.clone().into(),
            kept.request.request_hash.to_vec().into(),
            kept.head.clone().into(),
            kept.tail.clone().into(),
        ]);
        // As a position is written, see `LogPosition`.
        text.push_str(
            ", kept AS (INSERT INTO idempotency_keys (user_id, key, request_hash, answer, created_at) \
             SELECT $2, $20, $21, convert_to($22 || xid || '-' || position || $23, 'UTF8'), $13 FROM said)",
        );
    }
    text.push_str(" SELECT xid, position FROM said");
    Ok((text, values))
}
