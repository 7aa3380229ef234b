//! Many bookings in one statement; on SQLite, where nothing but the number of statements counts and a
//! statement cannot write to several tables, in four or five.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use super::{CREATED, KeptAnswer, Prepared};
use crate::store::categories::Names;
use crate::store::event_log::LogPosition;
use crate::store::given::{self, Given};
use crate::store::transactions;
use crate::store::{NO_CATEGORY, Signal, StoreError, Tx, outbox};

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

/// Places in the log, by the event's id.
pub(super) type Places = HashMap<Uuid, LogPosition>;

/// A booking as the statement takes it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    event_id: Uuid,
    /// Of which no two batches are written at once.
    pub(super) wallet_id: Uuid,
    has_key: bool,
    /// Ends when nobody waits for it any more.
    alive: Weak<()>,
    values: [Value; 20],
}

impl Row {
    /// Of a booking for which somebody waits as long as they keep the other half.
    pub(super) fn of(
        prepared: &Prepared,
        kept: Option<KeptAnswer>,
    ) -> Result<(Self, Arc<()>), StoreError> {
        let alive = Arc::new(());
        let Prepared {
            transaction,
            act,
            category,
        } = prepared;
        let names = Names::known(transaction.category_id, category.clone());
        let created = transactions::created(act, transaction, &names);
        let event = act.event(transaction.id, created);
        let text = |text: &Option<String>| text.clone().unwrap_or_default().into();
        let has_key = kept.is_some();
        let [key, request_hash, head, tail] = match kept {
            Some(kept) => [
                kept.request.key.into(),
                kept.request.request_hash.to_vec().into(),
                kept.head.into(),
                kept.tail.into(),
            ],
            None => ["".into(), Vec::<u8>::new().into(), "".into(), "".into()],
        };
        let row = Self {
            event_id: event.id,
            wallet_id: transaction.wallet_id,
            has_key,
            alive: Arc::downgrade(&alive),
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
        };
        Ok((row, alive))
    }

    /// Whoever was told that time ran out may ask again: it should not happen twice.
    pub(super) fn is_abandoned(&self) -> bool {
        self.alive.strong_count() == 0
    }

    /// Its place among those of its batch; none when it was passed over.
    pub(super) fn place_in(&self, places: &Places) -> Option<LogPosition> {
        places.get(&self.event_id).copied()
    }

    /// How long it is on the way to a server.
    pub(super) fn bytes(&self) -> usize {
        given::bytes_of(&self.values)
    }
}

/// Which of the given bookings are as usual: the wallet and the category are as they were known, and the
/// key was not used. Follows what is called `wallet` for each. The category and the key are asked for as
/// values: PostgreSQL answers EXISTS by reading a whole table that it knows as a small one, and knows it as
/// such for a minute after it has grown.
const AS_USUAL: &str = "wallet.id = given.wallet_id AND wallet.user_id = given.user_id \
     AND wallet.currency = given.currency AND wallet.archived_at IS NULL \
     AND (given.category_id = $1 OR given.category = (SELECT c.name FROM categories c \
       WHERE c.id = given.category_id AND c.user_id = given.user_id)) \
     AND (given.key = '' OR (SELECT k.key FROM idempotency_keys k \
       WHERE k.user_id = given.user_id AND k.key = given.key) IS NULL)";

/// A booking's row, as `transactions::COLUMNS` says; one with tags comes the other way.
const BOOKED: &str = "id, user_id, wallet_id, type, amount_minor, currency, date, NULLIF(category_id, $1), \
     NULLIF(description, ''), NULLIF(payee, ''), NULLIF(notes, ''), 1, at, at, NULL";

/// Moves the balances of the wallets of what is called so.
fn moved(of: &str) -> String {
    format!(
        "UPDATE wallets SET balance_minor = balance_minor + sums.minor FROM (SELECT wallet_id, \
         CAST(SUM(signed_minor) AS BIGINT) AS minor FROM {of} GROUP BY wallet_id) AS sums \
         WHERE wallets.id = sums.wallet_id"
    )
}

/// Writes bookings; gives the places in the log of those that it did not pass over.
///
/// Wallets are held first, in the order of their ids, as by everybody who holds more than one. One that
/// somebody else holds is not waited for, or those who hold it would stop everybody: its bookings are
/// passed over, and wait on the other way.
pub(super) async fn on_server(
    db: &impl ConnectionTrait,
    rows: &[Row],
    relayed: bool,
) -> Result<Places, StoreError> {
    let (columns, moved) = (transactions::COLUMNS, moved("fit"));
    let sent = if relayed { outbox::SENT } else { "" };
    // The answer's position is written as by `LogPosition`.
    let text = format!(
        ", held AS MATERIALIZED ( \
           SELECT id, user_id, currency, archived_at FROM wallets WHERE id IN (SELECT wallet_id FROM given) \
           ORDER BY id FOR NO KEY UPDATE SKIP LOCKED), \
         fit AS MATERIALIZED (SELECT given.* FROM given JOIN held wallet ON {AS_USUAL}), \
         moved AS ({moved}), \
         booked AS (INSERT INTO transactions ({columns}) SELECT {BOOKED} FROM fit), \
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
    places(&given.run(db, &text, values).await?)
}

/// The same in a unit of work of an embedded database: nobody else writes meanwhile.
pub(super) async fn embedded(tx: &Tx, rows: &[Row]) -> Result<Places, StoreError> {
    let wanted: Vec<&Row> = rows.iter().filter(|row| !row.is_abandoned()).collect();
    let text = format!("SELECT event_id FROM given JOIN wallets AS wallet ON {AS_USUAL}");
    let none = [NO_CATEGORY.into()];
    let columns = [
        "event_id",
        "user_id",
        "wallet_id",
        "currency",
        "category_id",
        "category",
        "key",
    ];
    let found = given(&wanted, columns)
        .run(&**tx, &text, none.clone())
        .await?;
    let fit = found.iter().map(|row| row.try_get_by_index(0));
    let fit: HashSet<Uuid> = fit.collect::<Result<_, _>>()?;
    let fit: Vec<&Row> = (wanted.into_iter())
        .filter(|row| fit.contains(&row.event_id))
        .collect();

    let columns = [
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
    ];
    let booked = transactions::COLUMNS;
    let text = format!("INSERT INTO transactions ({booked}) SELECT {BOOKED} FROM given WHERE true");
    given(&fit, columns).run(&**tx, &text, none).await?;
    let sums = given(&fit, ["wallet_id", "signed_minor"]);
    sums.run(&**tx, &moved("given"), []).await?;
    let text = "INSERT INTO event_log (event_id, type, user_id, envelope, created_at) \
         SELECT event_id, $1, user_id, envelope, at FROM given WHERE true \
         RETURNING event_id, xid, position";
    let events = given(&fit, ["event_id", "user_id", "envelope", "at"]);
    let places = places(&events.run(&**tx, text, [CREATED.as_str().into()]).await?)?;
    let keyed: Vec<&Row> = fit.into_iter().filter(|row| row.has_key).collect();
    // The answer's position is written as by `LogPosition`.
    let text = "INSERT INTO idempotency_keys (user_id, key, request_hash, answer, created_at) \
         SELECT given.user_id, key, request_hash, CAST(head || position || tail AS BLOB), at \
         FROM given JOIN event_log USING (event_id)";
    let columns = [
        "event_id",
        "user_id",
        "key",
        "request_hash",
        "head",
        "tail",
        "at",
    ];
    given(&keyed, columns).run(&**tx, text, []).await?;
    if !places.is_empty() {
        tx.after_commit(Signal::Logged);
    }
    Ok(places)
}

/// Some of the columns of these rows.
fn given<const N: usize>(rows: &[&Row], columns: [&'static str; N]) -> Given<N> {
    let place = |name| COLUMNS.iter().position(|column| *column == name);
    let places = columns.map(|name| place(name).expect("one of the columns"));
    let some = |row: &&Row| places.map(|place| row.values[place].clone());
    Given::new(columns, rows.iter().map(some))
}

fn places(rows: &[QueryResult]) -> Result<Places, StoreError> {
    let place = |row: &QueryResult| Ok((row.try_get_by_index(0)?, LogPosition::of(row, 1)?));
    rows.iter().map(place).collect()
}
