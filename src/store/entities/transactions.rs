//! Bookings.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "transactions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub wallet_id: Uuid,
    pub r#type: String,
    pub amount_minor: i64,
    pub currency: String,
    pub date: Date,
    pub category_id: Option<Uuid>,
    pub description: Option<String>,
    pub payee: Option<String>,
    pub notes: Option<String>,
    pub version: i64,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub tags: Option<String>,
    pub recurring_id: Option<Uuid>,
    pub occurs_on: Option<Date>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
