//! Rules by which bookings get their category, payee and tags.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value};
use uuid::Uuid;

use super::entities::rules;
use super::sql::{all, execute, one};
use super::transactions::{Amendment, Transaction};
use super::users::check_version;
use super::{Page, PageRequest, StoreError, Tx, categories, users, wallets};
use crate::domain::rule::{Booked, Condition, Labelled, Labels, Mode, Rule, Ruleset};

/// Rules of one user at the most: each booking is asked about by all of them.
pub const RULES_MAX: i64 = 100;
/// The last place that a rule can have.
pub const POSITION_MAX: i16 = 10_000;

/// A rule of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRule {
    /// What it asks, and what it sets.
    pub rule: Rule,
    /// Whose it is.
    pub user_id: Uuid,
    /// What it is called.
    pub name: String,
    /// The lower the earlier; then the older.
    pub position: i16,
    /// Whether it is asked of new bookings, and by runs of all rules.
    pub is_enabled: bool,
    /// Counts changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl TryFrom<rules::Model> for StoredRule {
    type Error = StoreError;

    fn try_from(row: rules::Model) -> Result<Self, StoreError> {
        Ok(Self {
            rule: Rule {
                id: row.id,
                conditions: serde_json::from_str(&row.conditions).map_err(StoreError::defect)?,
                category_id: row.category_id,
                payee: row.payee,
                tags: serde_json::from_str(&row.tags).map_err(StoreError::defect)?,
                stops: row.stops,
            },
            user_id: row.user_id,
            name: row.name,
            position: row.position,
            is_enabled: row.is_enabled,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl StoredRule {
    fn values(&self) -> Result<[Value; 13], StoreError> {
        let rule = &self.rule;
        let json = serde_json::to_string(&rule.conditions).map_err(StoreError::defect)?;
        let tags = serde_json::to_string(&rule.tags).map_err(StoreError::defect)?;
        Ok([
            rule.id.into(),
            self.user_id.into(),
            self.name.clone().into(),
            self.position.into(),
            json.into(),
            rule.category_id.into(),
            rule.payee.clone().into(),
            tags.into(),
            self.is_enabled.into(),
            rule.stops.into(),
            self.version.into(),
            self.created_at.into(),
            self.updated_at.into(),
        ])
    }
}

fn read(rows: &[QueryResult]) -> Result<Vec<StoredRule>, StoreError> {
    rows.iter()
        .map(|row| rules::Model::from_query_result(row, "")?.try_into())
        .collect()
}

/// Adds a rule; without a place it is the last.
///
/// # Errors
/// A category or a wallet that is not the user's, too many rules.
pub async fn create(
    tx: &Tx,
    mut rule: StoredRule,
    position: Option<i16>,
) -> Result<StoredRule, StoreError> {
    let user_id = rule.user_id;
    if !users::hold(tx, user_id).await? {
        return Err(StoreError::NotFound("user"));
    }
    let text = "SELECT COUNT(*), MAX(position) FROM rules WHERE user_id = $1";
    let (count, last): (i64, Option<i16>) = match one(&**tx, text, [user_id.into()]).await? {
        Some(row) => (row.try_get_by_index(0)?, row.try_get_by_index(1)?),
        None => (0, None),
    };
    if count >= RULES_MAX {
        let detail = format!("you have {RULES_MAX} rules, no more fit");
        return Err(StoreError::invalid("name", detail));
    }
    let next = last.map_or(1, |last| last.saturating_add(1).min(POSITION_MAX));
    rule.position = position.unwrap_or(next);
    check(tx, user_id, &rule.rule).await?;
    execute(
        &**tx,
        "INSERT INTO rules (id, user_id, name, position, conditions, category_id, payee, tags, is_enabled, stops, \
         version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        rule.values()?,
    )
    .await?;
    Ok(rule)
}

/// It sets something, and names what is the user's.
async fn check(tx: &Tx, user_id: Uuid, rule: &Rule) -> Result<(), StoreError> {
    if rule.category_id.is_none() && rule.payee.is_none() && rule.tags.is_empty() {
        let detail = "a rule sets a category, a payee or tags";
        return Err(StoreError::invalid("category_id", detail));
    }
    if let Some(id) = rule.category_id {
        named("category_id", categories::get(&**tx, user_id, id).await)?;
    }
    for (place, condition) in rule.conditions.iter().enumerate() {
        if let Some(id) = condition.wallet_id() {
            let field = format!("conditions/{place}/value");
            named(field, wallets::get(&**tx, user_id, id).await)?;
        }
    }
    Ok(())
}

fn named<T>(field: impl Into<String>, found: Result<T, StoreError>) -> Result<(), StoreError> {
    match found {
        Err(StoreError::NotFound(what)) => {
            let detail = format!("there is no such {what}");
            Err(StoreError::invalid(field.into(), detail))
        }
        found => found.map(drop),
    }
}

/// The user's rule of this id.
///
/// # Errors
/// There is none.
pub async fn get(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    id: Uuid,
) -> Result<StoredRule, StoreError> {
    let text = "SELECT * FROM rules WHERE id = $1 AND user_id = $2";
    let row = one(db, text, [id.into(), user_id.into()]).await?;
    let row = row.ok_or(StoreError::NotFound("rule"))?;
    rules::Model::from_query_result(&row, "")?.try_into()
}

/// The key of the list of rules: in the order in which they are asked.
pub type ByPosition = (i16, Uuid);

/// The user's rules, in the order in which they are asked.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<ByPosition>,
) -> Result<Page<StoredRule, ByPosition>, StoreError> {
    let text = "SELECT * FROM rules WHERE user_id = $1 AND (position, id) > ($2, $3) ORDER BY position, id LIMIT $4";
    let (position, id) = page.after.unwrap_or((-1, Uuid::nil()));
    let fetch = i64::try_from(page.fetch()).map_err(StoreError::defect)?;
    let values = [user_id.into(), position.into(), id.into(), fetch.into()];
    let rules = read(&all(db, text, values).await?)?;
    Ok(Page::cut(rules, page.limit, |it| (it.position, it.rule.id)))
}

/// Those of the user's rules that are enabled, in their order; or the one that is named, enabled or not.
///
/// # Errors
/// The one that is named is not there.
pub async fn wanted(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    rule_id: Option<Uuid>,
) -> Result<Vec<Rule>, StoreError> {
    if let Some(id) = rule_id {
        return Ok(vec![get(db, user_id, id).await?.rule]);
    }
    let text = "SELECT * FROM rules WHERE user_id = $1 ORDER BY position, id";
    let rules = read(&all(db, text, [user_id.into()]).await?)?;
    let enabled = rules.into_iter().filter(|it| it.is_enabled);
    Ok(enabled.map(|it| it.rule).collect())
}

/// What may change of a rule; what is none stays, `Some(None)` removes.
#[derive(Debug, Clone, Default)]
pub struct RuleChange {
    /// What it is called.
    pub name: Option<String>,
    /// Its place.
    pub position: Option<i16>,
    /// All conditions.
    pub conditions: Option<Vec<Condition>>,
    /// The category that it sets.
    pub category_id: Option<Option<Uuid>>,
    /// The payee that it sets.
    pub payee: Option<Option<String>>,
    /// All tags that it adds.
    pub tags: Option<Vec<String>>,
    /// Whether it is asked.
    pub is_enabled: Option<bool>,
    /// Whether it is the last where it holds.
    pub stops: Option<bool>,
}

/// Changes a rule. What it has set stays.
///
/// # Errors
/// No such rule, a stale version, and whatever [`create`] refuses.
pub async fn change(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
    change: RuleChange,
    now: DateTime<Utc>,
) -> Result<StoredRule, StoreError> {
    users::hold(tx, user_id).await?;
    let mut stored = get(&**tx, user_id, id).await?;
    check_version(expected, stored.version)?;
    let rule = &mut stored.rule;
    rule.conditions = change
        .conditions
        .unwrap_or(std::mem::take(&mut rule.conditions));
    rule.category_id = change.category_id.unwrap_or(rule.category_id);
    rule.payee = change.payee.unwrap_or(rule.payee.take());
    rule.tags = change.tags.unwrap_or(std::mem::take(&mut rule.tags));
    rule.stops = change.stops.unwrap_or(rule.stops);
    stored.name = change.name.unwrap_or(stored.name);
    stored.position = change.position.unwrap_or(stored.position);
    stored.is_enabled = change.is_enabled.unwrap_or(stored.is_enabled);
    stored.version += 1;
    stored.updated_at = now;
    check(tx, user_id, &stored.rule).await?;
    execute(
        &**tx,
        "UPDATE rules SET name = $3, position = $4, conditions = $5, category_id = $6, payee = $7, tags = $8, \
         is_enabled = $9, stops = $10, version = $11, created_at = $12, updated_at = $13 \
         WHERE id = $1 AND user_id = $2",
        stored.values()?,
    )
    .await?;
    Ok(stored)
}

/// Removes a rule. What it has set stays.
///
/// # Errors
/// No such rule, a stale version.
pub async fn delete(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    check_version(expected, get(&**tx, user_id, id).await?.version)?;
    let text = "DELETE FROM rules WHERE id = $1 AND user_id = $2";
    execute(&**tx, text, [id.into(), user_id.into()]).await?;
    Ok(())
}

/// What a booking has of what rules set.
#[must_use]
pub fn labels(transaction: &Transaction) -> Labels {
    Labels {
        category_id: transaction.category_id,
        payee: transaction.payee.clone(),
        tags: transaction.parts.tags.clone(),
    }
}

/// What rules make of a booking, whose labels these are; none where nothing changes.
#[must_use]
pub fn apply(
    rules: &Ruleset,
    transaction: &Transaction,
    labels: &Labels,
    mode: Mode,
) -> Option<Labelled> {
    let booked = Booked {
        transaction_type: transaction.transaction_type,
        wallet_id: transaction.wallet_id,
        to_wallet_id: transaction.parts.transfer.map(|to| to.to_wallet_id),
        amount: transaction.amount,
        description: transaction.description.as_deref(),
        is_split: !transaction.parts.splits.is_empty(),
        labels,
    };
    rules.apply(booked, mode)
}

/// The change that gives a booking these labels.
pub(super) fn amendment(labels: Labels) -> Amendment {
    Amendment {
        category_id: Some(labels.category_id),
        payee: Some(labels.payee),
        tags: Some(labels.tags),
        ..Amendment::default()
    }
}
