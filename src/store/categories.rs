//! Categories: what money was earned by or spent on. A usual set exists from registration on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel};
use uuid::Uuid;

use super::entities::categories;
use super::given::Given;
use super::owned::Owned;
use super::sql::{all, execute, one};
use super::users::check_version;
use super::{Page, PageRequest, StoreError, Tx, users};
use crate::domain::category::CategoryKind;

const OWNED: Owned<categories::Entity> = Owned {
    id: categories::Column::Id,
    user_id: categories::Column::UserId,
    what: "category",
};

/// A category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// The category's id.
    pub id: Uuid,
    /// Unique among the user's categories of this kind.
    pub name: String,
    /// Of income or of expenses; never changes.
    pub kind: CategoryKind,
    /// The category above it, of the same kind.
    pub parent_id: Option<Uuid>,
    /// `#rrggbb`.
    pub color: Option<String>,
    /// An emoji or a short name.
    pub icon: Option<String>,
    /// Counts changes.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl TryFrom<categories::Model> for Category {
    type Error = StoreError;

    fn try_from(row: categories::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            name: row.name,
            kind: row.kind.parse().map_err(StoreError::defect)?,
            parent_id: row.parent_id,
            color: row.color,
            icon: row.icon,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn row_of(user_id: Uuid, category: Category) -> categories::Model {
    categories::Model {
        id: category.id,
        user_id,
        name: category.name,
        kind: category.kind.as_str().to_owned(),
        parent_id: category.parent_id,
        color: category.color,
        icon: category.icon,
        version: category.version,
        created_at: category.created_at,
        updated_at: category.updated_at,
    }
}

/// Adds a category.
///
/// # Errors
/// [`super::Conflict::CategoryName`]; a parent that is not the user's or of another kind.
pub async fn create(tx: &Tx, user_id: Uuid, category: &Category) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    check_parent(tx, user_id, category).await?;
    create_many(tx, user_id, vec![category.clone()]).await
}

/// Adds categories that have no parents, in one statement.
///
/// # Errors
/// [`super::Conflict::CategoryName`].
pub async fn create_many(
    tx: &Tx,
    user_id: Uuid,
    categories: Vec<Category>,
) -> Result<(), StoreError> {
    let rows = categories
        .into_iter()
        .map(|category| row_of(user_id, category).into_active_model());
    categories::Entity::insert_many(rows)
        .exec_without_returning(&**tx)
        .await?;
    Ok(())
}

/// The user's category of this id.
///
/// # Errors
/// There is none.
pub async fn get(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    id: Uuid,
) -> Result<Category, StoreError> {
    OWNED.get(db, user_id, id).await
}

/// The user's categories, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    page: PageRequest<Uuid>,
) -> Result<Page<Category, Uuid>, StoreError> {
    OWNED.list(db, user_id, page, |it: &Category| it.id).await
}

/// What may change of a category; what is none stays, `Some(None)` removes.
#[derive(Debug, Clone)]
pub struct CategoryChange {
    /// The name.
    pub name: Option<String>,
    /// The category above it.
    pub parent_id: Option<Option<Uuid>>,
    /// The colour.
    pub color: Option<Option<String>>,
    /// The icon.
    pub icon: Option<Option<String>>,
}

/// Changes a category.
///
/// # Errors
/// No such category, a stale version, a name that is taken, a parent that does not fit.
pub async fn change(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
    change: CategoryChange,
    now: DateTime<Utc>,
) -> Result<Category, StoreError> {
    users::hold(tx, user_id).await?;
    let mut category = get(&**tx, user_id, id).await?;
    check_version(expected, category.version)?;
    category.name = change.name.unwrap_or(category.name);
    category.parent_id = change.parent_id.unwrap_or(category.parent_id);
    category.color = change.color.unwrap_or(category.color);
    category.icon = change.icon.unwrap_or(category.icon);
    category.version += 1;
    category.updated_at = now;
    check_parent(tx, user_id, &category).await?;
    row_of(user_id, category.clone())
        .into_active_model()
        .reset_all()
        .update(&**tx)
        .await?;
    Ok(category)
}

/// Two levels are enough for a household: a parent has no parent, so there can be no ring.
async fn check_parent(tx: &Tx, user_id: Uuid, category: &Category) -> Result<(), StoreError> {
    let Some(parent_id) = category.parent_id else {
        return Ok(());
    };
    let refuse = |detail| Err(StoreError::invalid("parent_id", detail));
    let parent = match get(&**tx, user_id, parent_id).await {
        Ok(parent) => parent,
        Err(StoreError::NotFound(_)) => return refuse("there is no such category"),
        Err(error) => return Err(error),
    };
    if parent.kind != category.kind {
        return refuse("the parent must be of the same kind");
    }
    if parent.id == category.id || parent.parent_id.is_some() {
        return refuse("the parent must be a top-level category");
    }
    let has_children = one(
        &**tx,
        "SELECT 1 FROM categories WHERE parent_id = $1 LIMIT 1",
        [category.id.into()],
    )
    .await?
    .is_some();
    if has_children {
        return refuse("a category with categories below it cannot have a parent");
    }
    Ok(())
}

/// Removes a category that nothing refers to.
///
/// # Errors
/// No such category, a stale version, [`super::Conflict::InUse`].
pub async fn delete(
    tx: &Tx,
    user_id: Uuid,
    id: Uuid,
    expected: Option<i64>,
) -> Result<(), StoreError> {
    users::hold(tx, user_id).await?;
    let category = get(&**tx, user_id, id).await?;
    check_version(expected, category.version)?;
    execute(
        &**tx,
        "DELETE FROM categories WHERE id = $1 AND user_id = $2",
        [id.into(), user_id.into()],
    )
    .await?;
    Ok(())
}

/// The names of categories, as events tell them.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(BTreeMap<Uuid, String>);

impl Names {
    /// Of one that is known already.
    pub(super) fn known(id: Option<Uuid>, name: Option<String>) -> Self {
        Self(id.zip(name).into_iter().collect())
    }

    pub(super) fn of(&self, id: Option<Uuid>) -> Option<String> {
        self.0.get(&id?).cloned()
    }
}

/// The names of the user's categories, for a booking; each is wanted by a field.
pub(super) async fn names_for_booking(
    tx: &Tx,
    user_id: Uuid,
    wanted: impl IntoIterator<Item = (String, Uuid)>,
) -> Result<Names, StoreError> {
    let wanted: Vec<(String, Uuid)> = wanted.into_iter().collect();
    let ids: BTreeSet<Uuid> = wanted.iter().map(|(_, id)| *id).collect();
    let text =
        "SELECT id, name FROM categories WHERE user_id = $1 AND id IN (SELECT id FROM given)";
    let given = Given::new(["id"], ids.into_iter().map(|id| [id.into()]));
    let mut names = BTreeMap::new();
    for row in given.run(&**tx, text, [user_id.into()]).await? {
        names.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    }
    match wanted.into_iter().find(|(_, id)| !names.contains_key(id)) {
        Some((field, _)) => Err(StoreError::invalid(field, "there is no such category")),
        None => Ok(Names(names)),
    }
}

/// What the user's categories are called.
///
/// # Errors
/// The database cannot be read.
pub async fn names(
    db: &impl ConnectionTrait,
    user_id: Uuid,
) -> Result<HashMap<Uuid, String>, StoreError> {
    let text = "SELECT id, name FROM categories WHERE user_id = $1";
    let rows = all(db, text, [user_id.into()]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
        .collect()
}
