//! Recurring bookings, and the rows that say which of their days are done.

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::Finding;
use crate::store::StoreError;
use crate::store::sql::all;

/// The user's recurring bookings that have booked a day twice, or without the row that says so; whose next day is done
/// already; or that refer to what is not the user's.
pub(super) async fn findings(
    db: &impl ConnectionTrait,
    user_id: Uuid,
) -> Result<Vec<Finding>, StoreError> {
    let text = "SELECT recurring_id AS id, occurs_on AS day FROM transactions \
           WHERE user_id = $1 AND recurring_id IS NOT NULL GROUP BY recurring_id, occurs_on HAVING COUNT(*) > 1 \
         UNION SELECT r.id, t.occurs_on FROM transactions t JOIN recurring r ON r.id = t.recurring_id \
           WHERE t.user_id = $1 AND (r.user_id <> t.user_id OR NOT EXISTS (SELECT 1 FROM recurring_occurrences o \
             WHERE o.recurring_id = r.id AND o.date = t.occurs_on AND o.outcome = 'booked')) \
         UNION SELECT r.id, o.date FROM recurring r JOIN recurring_occurrences o ON o.recurring_id = r.id \
           WHERE r.user_id = $1 AND (o.date = r.next_on OR o.user_id <> r.user_id) \
         UNION SELECT r.id, r.starts_on FROM recurring r JOIN wallets w ON w.id = r.wallet_id OR w.id = r.to_wallet_id \
           WHERE r.user_id = $1 AND w.user_id <> r.user_id \
         UNION SELECT r.id, r.starts_on FROM recurring r JOIN categories c ON c.id = r.category_id \
           WHERE r.user_id = $1 AND c.user_id <> r.user_id ORDER BY id, day";
    let rows = all(db, text, [user_id.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Finding::Recurring {
                user_id,
                recurring_id: row.try_get_by_index(0)?,
                day: row.try_get_by_index(1)?,
            })
        })
        .collect()
}
