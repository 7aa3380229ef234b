//! Bookings that come again.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recurring")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub wallet_id: Uuid,
    pub r#type: String,
    pub amount_minor: i64,
    pub currency: String,
    pub category_id: Option<Uuid>,
    pub description: Option<String>,
    pub payee: Option<String>,
    pub notes: Option<String>,
    pub tags: Option<String>,
    pub to_wallet_id: Option<Uuid>,
    pub to_amount_minor: Option<i64>,
    pub to_currency: Option<String>,
    pub rrule: String,
    pub starts_on: Date,
    pub next_on: Option<Date>,
    pub due_at: Option<DateTimeUtc>,
    pub paused: bool,
    pub failed_on: Option<Date>,
    pub failure: Option<String>,
    pub version: i64,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
