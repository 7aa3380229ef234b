//! Insights: what was found worth knowing of somebody's books, and what it is looked for in.
//!
//! What is read for a look is bounded, however long a history is: the latest expenses, and the sums of months and days
//! that the projector keeps.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Value,
};
use uuid::Uuid;

use super::entities::{insight_looks, insights};
use super::event_log::LogPosition;
use super::given::Given;
use super::sql::{all, execute, one};
use super::{NO_CATEGORY, Page, PageRequest, StoreError, Tx};
use crate::domain::insight::wording::WordedBy;
use crate::domain::insight::{Expense, Insight, Kind, Payee, Thing};
use crate::domain::money::Currency;
use crate::domain::period::Month;
use crate::domain::transaction::TransactionType;

/// Expenses that a look reads at the most, and from how long ago.
const EXPENSES_MAX: i64 = 2_000;
const EXPENSE_DAYS: u64 = 400;

/// An insight that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredInsight {
    /// Its id.
    pub id: Uuid,
    /// What was found.
    pub insight: Insight,
    /// Whose words its title and message are.
    pub worded_by: WordedBy,
    /// When it was put away.
    pub dismissed_at: Option<DateTime<Utc>>,
    /// Counts changes.
    pub version: i64,
    /// When it was found.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl TryFrom<insights::Model> for StoredInsight {
    type Error = StoreError;

    fn try_from(row: insights::Model) -> Result<Self, StoreError> {
        let related: Vec<(String, Uuid)> =
            serde_json::from_str(&row.related).map_err(StoreError::defect)?;
        let related = related.into_iter().map(|(thing, id)| {
            let thing: Thing = thing.parse().map_err(StoreError::defect)?;
            Ok((thing, id))
        });
        Ok(Self {
            id: row.id,
            insight: Insight {
                kind: row.kind.parse().map_err(StoreError::defect)?,
                key: row.key,
                title: row.title,
                message: row.message,
                facts: serde_json::from_str(&row.facts).map_err(StoreError::defect)?,
                confidence: u8::try_from(row.confidence).map_err(StoreError::defect)?,
                related: related.collect::<Result<_, StoreError>>()?,
                expires_on: row.expires_on,
            },
            worded_by: row.worded_by.parse().map_err(StoreError::defect)?,
            dismissed_at: row.dismissed_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Keeps what was not found before, of a user who is held; gives that.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn keep(
    tx: &Tx,
    user_id: Uuid,
    found: Vec<(Insight, WordedBy)>,
    mut id: impl FnMut() -> Uuid,
    now: DateTime<Utc>,
) -> Result<Vec<StoredInsight>, StoreError> {
    let keys = found.iter().map(|(it, _)| it.key.as_str());
    let mut seen = known(&**tx, user_id, keys).await?;
    let mut new = Vec::new();
    for (insight, worded_by) in found {
        if !seen.insert(insight.key.clone()) {
            continue;
        }
        let kept = StoredInsight {
            id: id(),
            insight,
            worded_by,
            dismissed_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        insert(tx, user_id, &kept).await?;
        new.push(kept);
    }
    Ok(new)
}

/// Which of these keys the user has insights of already.
///
/// # Errors
/// The database cannot be read.
pub async fn known(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    keys: impl IntoIterator<Item = &str>,
) -> Result<BTreeSet<String>, StoreError> {
    let text = "SELECT key FROM insights WHERE user_id = $1 AND key IN (SELECT key FROM given)";
    let given = Given::new(["key"], keys.into_iter().map(|key| [key.into()]));
    let rows = given.run(db, text, [user_id.into()]).await?;
    let keys = rows.iter().map(|row| row.try_get_by_index(0));
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Whether the user has an insight with a key from the first of these up to the second.
///
/// # Errors
/// The database cannot be read.
pub async fn is_known_between(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    [first, last]: [String; 2],
) -> Result<bool, StoreError> {
    let text = "SELECT 1 FROM insights WHERE user_id = $1 AND key >= $2 AND key <= $3 LIMIT 1";
    let found = one(db, text, [user_id.into(), first.into(), last.into()]).await?;
    Ok(found.is_some())
}

async fn insert(tx: &Tx, user_id: Uuid, kept: &StoredInsight) -> Result<(), StoreError> {
    let insight = &kept.insight;
    let related: Vec<(&str, Uuid)> = insight
        .related
        .iter()
        .map(|(thing, id)| (thing.as_str(), *id))
        .collect();
    let values: [Value; 14] = [
        kept.id.into(),
        user_id.into(),
        insight.kind.as_str().into(),
        insight.key.clone().into(),
        insight.title.clone().into(),
        insight.message.clone().into(),
        insight.facts.to_string().into(),
        i16::from(insight.confidence).into(),
        serde_json::to_string(&related)
            .map_err(StoreError::defect)?
            .into(),
        insight.expires_on.into(),
        kept.worded_by.as_str().into(),
        kept.version.into(),
        kept.created_at.into(),
        kept.updated_at.into(),
    ];
    execute(
        &**tx,
        "INSERT INTO insights (id, user_id, kind, key, title, message, facts, confidence, related, expires_on, worded_by, \
         version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        values,
    )
    .await?;
    Ok(())
}

/// Which insights are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only those that were not dismissed, and are of interest on this day still.
    pub of_interest_on: Option<NaiveDate>,
}

/// The user's insights, newest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    wanted: Wanted,
    page: PageRequest<Uuid>,
) -> Result<Page<StoredInsight, Uuid>, StoreError> {
    let mut query = insights::Entity::find().filter(insights::Column::UserId.eq(user_id));
    if let Some(kind) = wanted.kind {
        query = query.filter(insights::Column::Kind.eq(kind.as_str()));
    }
    if let Some(today) = wanted.of_interest_on {
        let expires_on = insights::Column::ExpiresOn;
        let of_interest = Condition::any()
            .add(expires_on.is_null())
            .add(expires_on.gte(today));
        query = query
            .filter(insights::Column::DismissedAt.is_null())
            .filter(of_interest);
    }
    if let Some(before) = page.after {
        query = query.filter(insights::Column::Id.lt(before));
    }
    let rows = query
        .order_by_desc(insights::Column::Id)
        .limit(page.fetch())
        .all(db)
        .await?;
    let insights = rows
        .into_iter()
        .map(StoredInsight::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(insights, page.limit, |it| it.id))
}

/// Puts an insight away; a second time changes nothing.
///
/// # Errors
/// No such insight.
pub async fn dismiss(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<StoredInsight, StoreError> {
    execute(
        &**tx,
        "UPDATE insights SET dismissed_at = $3, updated_at = $3, version = version + 1 \
         WHERE id = $1 AND user_id = $2 AND dismissed_at IS NULL",
        [id.into(), user_id.into(), now.into()],
    )
    .await?;
    insights::Entity::find_by_id(id)
        .filter(insights::Column::UserId.eq(user_id))
        .one(&**tx)
        .await?
        .ok_or(StoreError::NotFound("insight"))?
        .try_into()
}

/// Up to where in the log the user's books were looked at, and when; none: never.
///
/// # Errors
/// The database cannot be read.
pub async fn last_look(
    db: &impl ConnectionTrait,
    user_id: Uuid,
) -> Result<Option<(LogPosition, DateTime<Utc>)>, StoreError> {
    let row = insight_looks::Entity::find_by_id(user_id).one(db).await?;
    Ok(row.map(|row| (LogPosition::from_row(row.xid, row.position), row.looked_at)))
}

/// Notes a look.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn note_look(
    tx: &Tx,
    user_id: Uuid,
    reached: LogPosition,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let [xid, position] = reached.values();
    execute(
        &**tx,
        "INSERT INTO insight_looks (user_id, xid, position, looked_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (user_id) DO UPDATE SET xid = excluded.xid, position = excluded.position, \
         looked_at = excluded.looked_at",
        [user_id.into(), xid, position, now.into()],
    )
    .await?;
    Ok(())
}

/// Users whose read models have moved since their books were looked at, across users: for the projector, which may
/// have been away.
///
/// # Errors
/// The database cannot be read.
pub async fn overlooked(db: &impl ConnectionTrait, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let text = "SELECT r.user_id FROM read_model_positions r LEFT JOIN insight_looks l ON l.user_id = r.user_id \
         WHERE l.user_id IS NULL OR (r.xid, r.position) > (l.xid, l.position) LIMIT $1";
    let rows = all(db, text, [limit.into()]).await?;
    let ids = rows.iter().map(|row| row.try_get_by_index(0));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The latest expenses of the user up to today, by currency.
///
/// # Errors
/// The database cannot be read.
pub async fn expenses(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    today: NaiveDate,
) -> Result<BTreeMap<Currency, Vec<Expense>>, StoreError> {
    let since = today
        .checked_sub_days(Days::new(EXPENSE_DAYS))
        .unwrap_or(today);
    let text = "SELECT id, date, amount_minor, wallet_id, category_id, COALESCE(payee, description), currency, type \
         FROM transactions WHERE user_id = $1 AND date >= $2 AND date <= $3 ORDER BY date DESC, id DESC LIMIT $4";
    let values = [
        user_id.into(),
        since.into(),
        today.into(),
        EXPENSES_MAX.into(),
    ];
    let mut expenses: BTreeMap<Currency, Vec<Expense>> = BTreeMap::new();
    for row in all(db, text, values).await? {
        let kind: String = row.try_get_by_index(7)?;
        if kind != TransactionType::Expense.as_str() {
            continue;
        }
        let code: String = row.try_get_by_index(6)?;
        let currency = Currency::parse(&code).map_err(StoreError::defect)?;
        let payee: Option<String> = row.try_get_by_index(5)?;
        expenses.entry(currency).or_default().push(Expense {
            id: row.try_get_by_index(0)?,
            date: row.try_get_by_index(1)?,
            minor: row.try_get_by_index(2)?,
            wallet_id: row.try_get_by_index(3)?,
            category_id: row.try_get_by_index(4)?,
            payee: payee.map(Payee::new),
        });
    }
    Ok(expenses)
}

/// What was spent in each category from a month on, by category and month.
///
/// # Errors
/// The database cannot be read.
pub async fn category_months(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    currency: Currency,
    (from, to): (Month, Month),
) -> Result<BTreeMap<Uuid, BTreeMap<NaiveDate, i64>>, StoreError> {
    let text = "SELECT category_id, month, CAST(SUM(amount_minor) AS BIGINT) FROM monthly_totals \
         WHERE user_id = $1 AND currency = $2 AND month >= $3 AND month <= $4 AND type = $5 \
         GROUP BY category_id, month";
    let rows = all(
        db,
        text,
        [
            user_id.into(),
            currency.code().into(),
            from.first_day().into(),
            to.first_day().into(),
            TransactionType::Expense.as_str().into(),
        ],
    )
    .await?;
    let mut months: BTreeMap<Uuid, BTreeMap<NaiveDate, i64>> = BTreeMap::new();
    for row in &rows {
        let category: Uuid = row.try_get_by_index(0)?;
        if category != NO_CATEGORY {
            let of_category = months.entry(category).or_default();
            of_category.insert(row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        }
    }
    Ok(months)
}

/// What was spent on each day of a span.
///
/// # Errors
/// The database cannot be read.
pub async fn days(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    currency: Currency,
    (from, to): (NaiveDate, NaiveDate),
) -> Result<BTreeMap<NaiveDate, i64>, StoreError> {
    let text = "SELECT date, CAST(SUM(amount_minor) AS BIGINT) FROM daily_spending \
         WHERE user_id = $1 AND currency = $2 AND date >= $3 AND date <= $4 GROUP BY date";
    let values = [
        user_id.into(),
        currency.code().into(),
        from.into(),
        to.into(),
    ];
    let rows = all(db, text, values).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}
