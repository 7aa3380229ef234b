//! Wallets: where the money is. The balance is moved by bookings, in their unit of work.
//!
//! `version` counts what people change (name, type, opening balance), not bookings: somebody who
//! renames a wallet need not race with every purchase.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::entities::wallets;
use super::owned::Owned;
use super::sql::{all, execute, held, one};
use super::users::check_version;
use super::{Page, PageRequest, StoreError, Tx, users};
use crate::domain::money::{Currency, Money};
use crate::domain::wallet::WalletType;

const OWNED: Owned<wallets::Entity> = Owned {
    id: wallets::Column::Id,
    user_id: wallets::Column::UserId,
    what: "wallet",
};

/// A wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wallet {
    /// The wallet's id.
    pub id: Uuid,
    /// Unique among the user's wallets.
    pub name: String,
    /// What kind of wallet.
    pub wallet_type: WalletType,
    /// What was in it before the first booking.
    pub opening_balance: Money,
    /// What is in it now.
    pub balance: Money,
    /// Since when it is put away: nothing is booked in it any more.
    pub archived_at: Option<DateTime<Utc>>,
    /// Counts changes by people.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When people last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Wallet {
    /// A new one.
    #[must_use]
    pub const fn new(
        id: Uuid,
        name: String,
        wallet_type: WalletType,
        opening_balance: Money,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            name,
            wallet_type,
            opening_balance,
            balance: opening_balance,
            archived_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The currency of the wallet and of all its bookings.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.balance.currency()
    }
}

impl TryFrom<wallets::Model> for Wallet {
    type Error = StoreError;

    fn try_from(row: wallets::Model) -> Result<Self, StoreError> {
        let currency = Currency::parse(&row.currency).map_err(StoreError::defect)?;
        Ok(Self {
            id: row.id,
            name: row.name,
            wallet_type: row.r#type.parse().map_err(StoreError::defect)?,
            opening_balance: Money::new(row.opening_balance_minor, currency),
            balance: Money::new(row.balance_minor, currency),
            archived_at: row.archived_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Adds a wallet.
///
/// # Errors
/// [`super::Conflict::WalletName`] when the user has one of this name.
pub async fn create(tx: &Tx, user_id: Uuid, wallet: &Wallet) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    execute(
        &**tx,
        "INSERT INTO wallets (id, user_id, name, type, currency, opening_balance_minor, balance_minor, \
         version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        [
            wallet.id.into(),
            user_id.into(),
            wallet.name.clone().into(),
            wallet.wallet_type.as_str().into(),
            wallet.currency().code().into(),
            wallet.opening_balance.minor().into(),
            wallet.balance.minor().into(),
            wallet.version.into(),
            wallet.created_at.into(),
            wallet.updated_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The user's wallet of this id.
///
/// # Errors
/// There is none.
pub async fn get(db: &impl ConnectionTrait, user_id: Uuid, id: Uuid) -> Result<Wallet, StoreError> {
    OWNED.get(db, user_id, id).await
}

/// The user's wallets, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<Uuid>,
) -> Result<Page<Wallet, Uuid>, StoreError> {
    OWNED.list(db, user_id, page, |it: &Wallet| it.id).await
}

/// What is in all of the user's wallets together, by currency.
///
/// # Errors
/// The database cannot be read.
pub async fn balances(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Vec<Money>, StoreError> {
    let rows = all(
        db,
        "SELECT currency, CAST(SUM(balance_minor) AS BIGINT) FROM wallets WHERE user_id = $1 \
         GROUP BY currency ORDER BY currency",
        [user_id.into()],
    )
    .await?;
    rows.iter()
        .map(|row| {
            let code: String = row.try_get_by_index(0)?;
            let currency = Currency::parse(&code).map_err(StoreError::defect)?;
            Ok(Money::new(row.try_get_by_index(1)?, currency))
        })
        .collect()
}

/// What people may change of a wallet; what is none stays.
#[derive(Debug, Clone)]
pub struct WalletChange {
    /// The name.
    pub name: Option<String>,
    /// The kind.
    pub wallet_type: Option<WalletType>,
    /// The opening balance, as written: read in the wallet's currency. The balance moves with it.
    pub opening_balance: Option<crate::domain::money::AmountText>,
    /// Whether it is put away.
    pub archived: Option<bool>,
}

/// Changes a wallet.
///
/// # Errors
/// No such wallet, a stale version, a name that is taken, an opening balance that does not fit.
pub async fn change(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
    change: WalletChange,
    now: DateTime<Utc>,
) -> Result<Wallet, StoreError> {
    users::hold(tx, user_id).await?;
    // The balance is read and written back: bookings, which move it, wait until it is.
    hold(tx, user_id, [id]).await?;
    let mut wallet = get(&**tx, user_id, id).await?;
    check_version(expected, wallet.version)?;
    if let Some(text) = change.opening_balance {
        let opening = text
            .balance(wallet.currency())
            .map_err(|error| StoreError::invalid("opening_balance", error.to_string()))?;
        let out_of_range = |_| {
            StoreError::invalid(
                "opening_balance",
                "the balance would leave the range of amounts",
            )
        };
        let moved = opening
            .checked_sub(wallet.opening_balance)
            .map_err(out_of_range)?;
        wallet.balance = wallet.balance.checked_add(moved).map_err(out_of_range)?;
        wallet.opening_balance = opening;
    }
    wallet.name = change.name.unwrap_or(wallet.name);
    wallet.wallet_type = change.wallet_type.unwrap_or(wallet.wallet_type);
    wallet.archived_at = match change.archived {
        Some(true) => wallet.archived_at.or(Some(now)),
        Some(false) => None,
        None => wallet.archived_at,
    };
    wallet.version += 1;
    wallet.updated_at = now;
    execute(
        &**tx,
        "UPDATE wallets SET name = $3, type = $4, opening_balance_minor = $5, balance_minor = $6, \
         version = $7, updated_at = $8, archived_at = $9 WHERE id = $1 AND user_id = $2",
        [
            id.into(),
            user_id.into(),
            wallet.name.clone().into(),
            wallet.wallet_type.as_str().into(),
            wallet.opening_balance.minor().into(),
            wallet.balance.minor().into(),
            wallet.version.into(),
            now.into(),
            wallet.archived_at.into(),
        ],
    )
    .await?;
    Ok(wallet)
}

/// Removes a wallet that has no bookings.
///
/// # Errors
/// No such wallet, a stale version, [`super::Conflict::InUse`] when it has bookings.
pub async fn delete(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    let wallet = get(&**tx, user_id, id).await?;
    check_version(expected, wallet.version)?;
    execute(
        &**tx,
        "DELETE FROM wallets WHERE id = $1 AND user_id = $2",
        [id.into(), user_id.into()],
    )
    .await?;
    Ok(())
}

/// Holds all wallets of a user who is held already ([`users::hold`]) until the unit of work ends: no
/// booking is made meanwhile, and those that were being made are through.
pub(super) async fn hold_all(tx: &Tx, user_id: Uuid) -> Result<(), StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let text = "SELECT 1 FROM wallets WHERE user_id = $1 ORDER BY id FOR NO KEY UPDATE";
        all(&**tx, text, [user_id.into()]).await?;
    }
    Ok(())
}

/// Wallets that are held, and what a booking must know of them.
#[derive(Debug)]
pub(super) struct Held(BTreeMap<Uuid, (Currency, bool)>);

impl Held {
    /// The currency of a wallet that money is booked in; `field` is what names it.
    pub(super) fn open(&self, field: &'static str, id: Uuid) -> Result<Currency, StoreError> {
        match self.0.get(&id) {
            None => Err(StoreError::invalid(field, "there is no such wallet")),
            Some((_, true)) => {
                let detail = "this wallet is archived: nothing is booked in it any more";
                Err(StoreError::invalid(field, detail))
            }
            Some((currency, false)) => Ok(*currency),
        }
    }
}

/// Holds wallets of the user until the unit of work ends, before anything else of a booking is written; in the order
/// of their ids, as everybody does who holds more than one.
pub(super) async fn hold(
    tx: &Tx,
    user_id: Uuid,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Held, StoreError> {
    let mut wallets = BTreeMap::new();
    for id in ids.into_iter().collect::<BTreeSet<_>>() {
        let held = held(&**tx);
        let text = format!(
            "SELECT currency, archived_at IS NOT NULL FROM wallets WHERE id = $1 AND user_id = $2{held}"
        );
        if let Some(row) = one(&**tx, text, [id.into(), user_id.into()]).await? {
            let code: String = row.try_get_by_index(0)?;
            let currency = Currency::parse(&code).map_err(StoreError::defect)?;
            wallets.insert(id, (currency, row.try_get_by_index(1)?));
        }
    }
    Ok(Held(wallets))
}

/// Moves the balances of wallets of the user by minor units of their currencies, in the order of their ids.
pub(super) async fn move_balances(
    tx: &Tx,
    user_id: Uuid,
    moves: impl IntoIterator<Item = (Uuid, i64)>,
) -> Result<(), StoreError> {
    let mut sums: BTreeMap<Uuid, i64> = BTreeMap::new();
    for (id, minor) in moves {
        // Each is an amount, and there are four of them at the most.
        *sums.entry(id).or_default() += minor;
    }
    for (id, minor) in sums.into_iter().filter(|(_, minor)| *minor != 0) {
        let text =
            "UPDATE wallets SET balance_minor = balance_minor + $3 WHERE id = $1 AND user_id = $2";
        let done = execute(&**tx, text, [id.into(), user_id.into(), minor.into()]).await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound("wallet"));
        }
    }
    Ok(())
}
