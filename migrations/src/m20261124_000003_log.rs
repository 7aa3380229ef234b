//! The event log, the cursors of those who read it, the inbox of each consumer, the dead letters.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string_len, string_null, text, uuid, uuid_null};

use crate::columns::{drop_tables, id, index, moment, unique, user_id};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The position is never used twice, even after the newest rows were trimmed.
        let mut position = ColumnDef::new("position");
        position
            .big_integer()
            .not_null()
            .auto_increment()
            .primary_key();
        manager
            .create_table(
                Table::create()
                    .table("event_log")
                    .col(position)
                    .col(uuid("event_id"))
                    .col(string_len("type", 64))
                    .col(user_id())
                    .col(text("envelope"))
                    .col(moment("created_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(unique("event_log", &["event_id"]))
            .await?;

        let mut name = string_len("name", 64);
        name.primary_key();
        manager
            .create_table(
                Table::create()
                    .table("log_cursors")
                    .col(name)
                    .col(big_integer("position"))
                    .col(moment("updated_at"))
                    .to_owned(),
            )
            .await?;

        manager
            .create_table(
                Table::create()
                    .table("inbox")
                    .col(string_len("consumer", 64))
                    .col(uuid("event_id"))
                    .col(moment("handled_at"))
                    .primary_key(Index::create().col("consumer").col("event_id"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index("inbox", &["handled_at"]))
            .await?;

        manager
            .create_table(
                Table::create()
                    .table("dead_letters")
                    .col(id())
                    .col(string_len("consumer", 64))
                    .col(string_len("topic", 64))
                    .col(uuid_null("event_id"))
                    .col(text("payload"))
                    .col(string_null("reason"))
                    .col(moment("created_at"))
                    .to_owned(),
            )
            .await?;
        // One letter for each failed event and consumer, however often it is delivered.
        manager
            .create_index(unique("dead_letters", &["consumer", "event_id"]))
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &["dead_letters", "inbox", "log_cursors", "event_log"],
        )
        .await
    }
}
