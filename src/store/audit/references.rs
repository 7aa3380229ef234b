//! What bookings refer to, and the parts that they have: by itself the database does not hold that all of it is of the
//! same user, nor that it fits.

use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::{Finding, Thing, recurring};
use crate::store::StoreError;
use crate::store::sql::all;

/// The user's bookings that refer to what is not the user's, do not fit their wallets, or have parts that do not
/// fit them.
pub(super) async fn findings(
    db: &impl ConnectionTrait,
    user_id: Uuid,
) -> Result<Vec<Finding>, StoreError> {
    let mut findings = foreign(db, user_id).await?;
    findings.extend(currencies(db, user_id).await?);
    findings.extend(splits(db, user_id).await?);
    findings.extend(stray_parts(db, user_id).await?);
    findings.extend(recurring::findings(db, user_id).await?);
    Ok(findings)
}

async fn foreign(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Vec<Finding>, StoreError> {
    let text = "SELECT id, is_category, thing_id, owner_id FROM ( \
           SELECT t.id, 0 AS is_category, t.wallet_id AS thing_id, w.user_id AS owner_id \
             FROM transactions t LEFT JOIN wallets w ON w.id = t.wallet_id WHERE t.user_id = $1 \
           UNION ALL SELECT x.transaction_id, 0, x.to_wallet_id, w.user_id \
             FROM transfers x LEFT JOIN wallets w ON w.id = x.to_wallet_id WHERE x.user_id = $1 \
           UNION ALL SELECT t.id, 1, t.category_id, c.user_id \
             FROM transactions t LEFT JOIN categories c ON c.id = t.category_id \
             WHERE t.user_id = $1 AND t.category_id IS NOT NULL \
           UNION ALL SELECT s.transaction_id, 1, s.category_id, c.user_id \
             FROM transaction_splits s LEFT JOIN categories c ON c.id = s.category_id \
             WHERE s.user_id = $1 AND s.category_id IS NOT NULL) things \
         WHERE owner_id IS NULL OR owner_id <> $1 ORDER BY id, is_category, thing_id";
    let rows = all(db, text, [user_id.into()]).await?;
    rows.iter()
        .map(|row| {
            let is_category: i32 = row.try_get_by_index(1)?;
            let thing = if is_category == 1 {
                Thing::Category
            } else {
                Thing::Wallet
            };
            Ok(Finding::Foreign {
                user_id,
                transaction_id: row.try_get_by_index(0)?,
                thing,
                thing_id: row.try_get_by_index(2)?,
                owner_id: row.try_get_by_index(3)?,
            })
        })
        .collect()
}

async fn currencies(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Vec<Finding>, StoreError> {
    let text = "SELECT b.id, b.currency, b.wallet_id, w.currency FROM ( \
           SELECT id, currency, wallet_id FROM transactions WHERE user_id = $1 \
           UNION ALL SELECT transaction_id, currency, to_wallet_id FROM transfers WHERE user_id = $1) b \
         JOIN wallets w ON w.id = b.wallet_id WHERE w.currency <> b.currency ORDER BY b.id, b.wallet_id";
    let rows = all(db, text, [user_id.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Finding::Currency {
                user_id,
                transaction_id: row.try_get_by_index(0)?,
                currency: row.try_get_by_index(1)?,
                wallet_id: row.try_get_by_index(2)?,
                wallet_currency: row.try_get_by_index(3)?,
            })
        })
        .collect()
}

async fn splits(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Vec<Finding>, StoreError> {
    let text = "SELECT t.id, t.amount_minor, CAST(SUM(s.amount_minor) AS BIGINT) \
         FROM transaction_splits s JOIN transactions t ON t.id = s.transaction_id \
         WHERE t.user_id = $1 GROUP BY t.id, t.amount_minor \
         HAVING SUM(s.amount_minor) <> t.amount_minor ORDER BY t.id";
    let rows = all(db, text, [user_id.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Finding::Splits {
                user_id,
                transaction_id: row.try_get_by_index(0)?,
                amount_minor: row.try_get_by_index(1)?,
                splits_minor: row.try_get_by_index(2)?,
            })
        })
        .collect()
}

/// Lists go by the days that parts say, and sums by what is a transfer.
async fn stray_parts(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Vec<Finding>, StoreError> {
    let tags = match db.get_database_backend() {
        DbBackend::Postgres => "t.tags::json",
        _ => "t.tags",
    };
    let text = format!(
        "SELECT DISTINCT t.id FROM transactions t JOIN ( \
           SELECT transaction_id, user_id, date, 1 AS of_transfer, 0 AS of_other FROM transfers WHERE user_id = $1 \
           UNION ALL SELECT transaction_id, user_id, date, 0, 1 FROM transaction_splits WHERE user_id = $1 \
           UNION ALL SELECT transaction_id, user_id, date, 0, 0 FROM transaction_tags WHERE user_id = $1) p \
         ON p.transaction_id = t.id WHERE t.user_id <> p.user_id OR t.date <> p.date \
         OR (p.of_transfer = 1 AND t.type <> 'transfer') OR (p.of_other = 1 AND t.type = 'transfer') \
         UNION SELECT t.id FROM transactions t WHERE t.user_id = $1 AND t.type = 'transfer' \
         AND NOT EXISTS (SELECT 1 FROM transfers x WHERE x.transaction_id = t.id) \
         UNION SELECT t.id FROM transactions t WHERE t.user_id = $1 AND COALESCE(json_array_length({tags}), 0) <> \
         (SELECT COUNT(*) FROM transaction_tags g WHERE g.transaction_id = t.id) ORDER BY 1"
    );
    let rows = all(db, text, [user_id.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Finding::StrayPart {
                user_id,
                transaction_id: row.try_get_by_index(0)?,
            })
        })
        .collect()
}
