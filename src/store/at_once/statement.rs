//! Many bookings in one statement.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::{CREATED, KeptAnswer, Prepared};
use crate::store::event_log::LogPosition;
use crate::store::given::Given;
use crate::store::transactions;
use crate::store::{NO_CATEGORY, StoreError, outbox};

/// What is given of a booking. Nothing may be null: no category is the nil uuid, no text is empty, and no
/// key either.
const COLUMNS: [&str; 20] = [
    "id",
    "user_id",
    "wallet_id",
    "type",
    "amount_minor",
    "currency",
    "date",
    "category_id",
    "description",
    "payee",
    "notes",
    "at",
    "signed_minor",
    "category",
    "event_id",
    "envelope",
    "key",
    "request_hash",
    "head",
    "tail",
];

/// A booking as the statement takes it.
#[derive(Debug)]
pub(super) struct Row {
    /// By which its place in the log is found.
    pub(super) event_id: Uuid,
    values: [Value; 20],
}

impl Row {
    pub(super) fn of(prepared: &Prepared, kept: Option<KeptAnswer>) -> Result<Self, StoreError> {
        let Prepared {
            transaction,
            act,
            category,
        } = prepared;
        let created = transactions::created(act, transaction, category.clone());
        let event = act.event(transaction.id, created);
        let text = |text: &Option<String>| text.clone().unwrap_or_default().into();
        let [key, request_hash, head, tail] = match kept {
            Some(kept) => [
                kept.request.key.into(),
                kept.request.request_hash.to_vec().into(),
                kept.head.into(),
                kept.tail.into(),
            ],
            None => ["".into(), Vec::<u8>::new().into(), "".into(), "".into()],
        };
        Ok(Self {
            event_id: event.id,
            values: [
                transaction.id.into(),
                act.user_id.into(),
                transaction.wallet_id.into(),
                transaction.transaction_type.as_str().into(),
                transaction.amount.minor().into(),
                transaction.amount.currency().code().into(),
                transaction.date.into(),
                transaction.category_id.unwrap_or(NO_CATEGORY).into(),
                text(&transaction.description),
                text(&transaction.payee),
                text(&transaction.notes),
                act.now.into(),
                transaction.signed_minor().into(),
                text(category),
                event.id.into(),
                event.to_json().map_err(StoreError::defect)?.into(),
                key,
                request_hash,
                head,
                tail,
            ],
        })
    }

    /// How long its texts are.
    pub(super) fn text_bytes(&self) -> usize {
        let text = |value: &Value| match value {
            Value::String(Some(text)) => text.len(),
            _ => 0,
        };
        self.values.iter().map(text).sum()
    }
}

/// Writes bookings; gives the places in the log of those that it did not pass over.
///
/// Wallets are held first, in the order of their ids, as by everybody who holds more than one.
pub(super) async fn run(
    db: &impl ConnectionTrait,
    rows: &[Row],
    relayed: bool,
) -> Result<HashMap<Uuid, LogPosition>, StoreError> {
    let columns = transactions::COLUMNS;
    let sent = if relayed { outbox::SENT } else { "" };
    // The answer's position is written as by `LogPosition`.
    let text = format!(
        ", held AS MATERIALIZED ( \
           SELECT id, user_id, currency FROM wallets WHERE id IN (SELECT wallet_id FROM given) \
           ORDER BY id FOR NO KEY UPDATE), \
         fit AS MATERIALIZED ( \
           SELECT given.* FROM given JOIN held ON held.id = given.wallet_id \
             AND held.user_id = given.user_id AND held.currency = given.currency \
           WHERE (given.category_id = $1 OR EXISTS (SELECT 1 FROM categories c \
             WHERE c.id = given.category_id AND c.user_id = given.user_id AND c.name = given.category)) \
           AND (given.key = '' OR NOT EXISTS (SELECT 1 FROM idempotency_keys k \
             WHERE k.user_id = given.user_id AND k.key = given.key))), \
         moved AS ( \
           UPDATE wallets SET balance_minor = balance_minor + sums.minor \
           FROM (SELECT wallet_id, SUM(signed_minor)::bigint AS minor FROM fit GROUP BY wallet_id) sums \
           WHERE wallets.id = sums.wallet_id), \
         booked AS ( \
           INSERT INTO transactions ({columns}) \
           SELECT id, user_id, wallet_id, type, amount_minor, currency, date, NULLIF(category_id, $1), \
             NULLIF(description, ''), NULLIF(payee, ''), NULLIF(notes, ''), 1, at, at FROM fit), \
         said AS ( \
           INSERT INTO event_log (event_id, type, user_id, envelope, created_at) \
           SELECT event_id, $2, user_id, envelope, at FROM fit RETURNING xid, position, event_id){sent}, \
         kept AS ( \
           INSERT INTO idempotency_keys (user_id, key, request_hash, answer, created_at) \
           SELECT user_id, key, request_hash, \
             convert_to(head || xid || '-' || position || tail, 'UTF8'), at \
           FROM said JOIN fit USING (event_id) WHERE key <> '') \
         SELECT event_id, xid, position FROM said"
    );
    let given = Given::new(COLUMNS, rows.iter().map(|row| row.values.clone()));
    let values = [NO_CATEGORY.into(), CREATED.as_str().into()];
    let found = given.run(db, &text, values).await?;
    let place =
        |row: &sea_orm::QueryResult| Ok((row.try_get_by_index(0)?, LogPosition::of(row, 1)?));
    found.iter().map(place).collect()
}
