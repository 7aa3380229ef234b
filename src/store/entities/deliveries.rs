//! Alerts on their way to people outside of the application.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub alert_id: Uuid,
    pub channel: String,
    pub kind: String,
    pub title: String,
    pub message: String,
    pub source_event: String,
    pub source_event_id: Uuid,
    pub correlation_id: Uuid,
    pub traceparent: String,
    pub chain_begun_at: DateTimeUtc,
    pub status: String,
    pub due_at: DateTimeUtc,
    pub next_at: DateTimeUtc,
    pub attempts: i16,
    pub mail_id: Option<Uuid>,
    pub last_cause: Option<String>,
    pub created_at: DateTimeUtc,
    pub finished_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
