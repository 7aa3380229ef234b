//! Alerts: what the notifier has to say. `seq` is the cursor of the live streams.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{boolean, string_len, text, uuid, uuid_null};

use crate::columns::{drop_tables, index, moment_null, revision, unique, user_id, user_key};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut seq = ColumnDef::new("seq");
        seq.big_integer().not_null().auto_increment().primary_key();
        let mut alerts = Table::create();
        alerts
            .table("alerts")
            .col(seq)
            .col(uuid("id"))
            .col(user_id())
            .col(string_len("kind", 32))
            .col(string_len("title", 100))
            .col(string_len("message", 500))
            .col(text("details"))
            .col(string_len("source_event", 64))
            .col(uuid("source_event_id"))
            .col(uuid_null("budget_id"))
            .col(boolean("historic"))
            .col(moment_null("read_at"))
            .foreign_key(&mut user_key("alerts"));
        revision(&mut alerts);
        manager.create_table(alerts).await?;
        manager.create_index(unique("alerts", &["id"])).await?;
        manager
            .create_index(index("alerts", &["user_id", "seq"]))
            .await?;
        manager
            .create_index(unique("alerts", &["user_id", "source_event_id"]))
            .await?;
        manager
            .create_index(
                index("alerts", &["user_id", "seq"])
                    .name("ix_alerts_unread")
                    .and_where(Expr::col("read_at").is_null())
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["alerts"]).await
    }
}
