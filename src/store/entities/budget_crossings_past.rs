//! Thresholds that were reached, and armed again since: one row, one alert.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "budget_crossings_past")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: Uuid,
    pub budget_id: Uuid,
    pub period_start: Date,
    pub threshold: i16,
    pub user_id: Uuid,
    pub crossed_at: DateTimeUtc,
    pub rearmed_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
