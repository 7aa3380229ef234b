//! What bookings refer to: by itself the database does not hold that it is of the same user.

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{Finding, Thing};
use crate::store::StoreError;
use crate::store::sql::all;

/// The user's bookings that refer to what is not the user's, or do not fit their wallet.
pub(super) async fn findings(
    db: &impl ConnectionTrait,
    user_id: Uuid,
) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    let rows = all(
        db,
        "SELECT t.id, t.wallet_id, w.user_id, t.category_id, c.user_id, t.currency, w.currency \
         FROM transactions t LEFT JOIN wallets w ON w.id = t.wallet_id \
         LEFT JOIN categories c ON c.id = t.category_id \
         WHERE t.user_id = $1 AND (w.user_id IS NULL OR w.user_id <> $1 OR w.currency <> t.currency \
         OR (t.category_id IS NOT NULL AND (c.user_id IS NULL OR c.user_id <> $1))) ORDER BY t.id",
        [user_id.into()],
    )
    .await?;
    for row in &rows {
        let transaction_id = row.try_get_by_index(0)?;
        let wallet_id: Uuid = row.try_get_by_index(1)?;
        let category_id: Option<Uuid> = row.try_get_by_index(3)?;
        let things = [
            (Thing::Wallet, Some(wallet_id), 2),
            (Thing::Category, category_id, 4),
        ];
        for (thing, thing_id, owner) in things {
            let owner_id: Option<Uuid> = row.try_get_by_index(owner)?;
            if let Some(thing_id) = thing_id.filter(|_| owner_id != Some(user_id)) {
                let found = Finding::Foreign {
                    user_id,
                    transaction_id,
                    thing,
                    thing_id,
                    owner_id,
                };
                findings.push(found);
            }
        }
        let currency: String = row.try_get_by_index(5)?;
        let wallet_currency: Option<String> = row.try_get_by_index(6)?;
        if let Some(wallet_currency) = wallet_currency.filter(|code| *code != currency) {
            findings.push(Finding::Currency {
                user_id,
                transaction_id,
                currency,
                wallet_id,
                wallet_currency,
            });
        }
    }
    Ok(findings)
}
