//! Runs of rules over what was booked before.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rule_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub state: String,
    pub rules: String,
    pub rule_id: Option<Uuid>,
    pub overwrite: bool,
    pub from_date: Option<Date>,
    pub to_date: Option<Date>,
    pub cursor_date: Option<Date>,
    pub cursor_id: Option<Uuid>,
    pub steps: i64,
    pub examined: i64,
    pub changed: i64,
    pub skipped: i64,
    pub restored: i64,
    pub kept: i64,
    pub finished_at: Option<DateTimeUtc>,
    pub version: i64,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
