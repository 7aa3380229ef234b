//! Rows of one user, by their id: read one, read a page of them in the order in which they were made.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Page, PageRequest, StoreError};

/// A table of them: its columns of the id and of whose it is.
pub(super) struct Owned<E: EntityTrait> {
    pub(super) id: E::Column,
    pub(super) user_id: E::Column,
    /// What a row is, in words.
    pub(super) what: &'static str,
}

impl<E: EntityTrait> Owned<E> {
    /// The user's row of this id.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn get<T>(
        &self,
        db: &impl ConnectionTrait,
        user_id: Uuid,
        id: Uuid,
    ) -> Result<T, StoreError>
    where
        T: TryFrom<E::Model, Error = StoreError>,
    {
        E::find()
            .filter(self.id.eq(id))
            .filter(self.user_id.eq(user_id))
            .one(db)
            .await?
            .ok_or(StoreError::NotFound(self.what))?
            .try_into()
    }

    /// A page of the user's rows, oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(super) async fn list<T>(
        &self,
        db: &impl ConnectionTrait,
        user_id: Uuid,
        page: PageRequest<Uuid>,
        id_of: impl Fn(&T) -> Uuid,
    ) -> Result<Page<T, Uuid>, StoreError>
    where
        T: TryFrom<E::Model, Error = StoreError>,
    {
        let rows = E::find()
            .filter(self.user_id.eq(user_id))
            .filter(self.id.gt(page.after.unwrap_or_default()))
            .order_by_asc(self.id)
            .limit(page.fetch())
            .all(db)
            .await?;
        let items = rows.into_iter().map(T::try_from);
        let items = items.collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(items, page.limit, id_of))
    }
}
