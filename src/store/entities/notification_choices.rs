//! What people want to be told of, and how.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification_choices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    pub in_app_off: String,
    pub email_on: String,
    pub quiet_start: Option<i16>,
    pub quiet_end: Option<i16>,
    pub digest: String,
    pub digest_hour: i16,
    pub email_bounced_at: Option<DateTimeUtc>,
    pub email_confirmed_at: Option<DateTimeUtc>,
    pub confirmation_asked_at: Option<DateTimeUtc>,
    pub confirmations_asked: i16,
    pub version: i64,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
