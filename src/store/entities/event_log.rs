//! The log: what was said, in commit order.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_log")]
pub struct Model {
    pub xid: i64,
    #[sea_orm(primary_key)]
    pub position: i64,
    pub event_id: Uuid,
    pub r#type: String,
    pub user_id: Uuid,
    pub envelope: String,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
