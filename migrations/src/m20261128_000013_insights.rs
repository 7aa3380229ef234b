//! What was found worth knowing, and how far in the log somebody's books were looked at for it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, date_null, small_integer, string_len, text};

use crate::columns::{
    drop_tables, id, index, moment, moment_null, revision, unique, user_id, user_key,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = "insights";
        let insights = revision(
            Table::create()
                .table(table)
                .col(id())
                .col(user_id())
                .col(string_len("kind", 32))
                // What tells it from all others of its user: it is said once.
                .col(string_len("key", 200))
                .col(string_len("title", 100))
                .col(string_len("message", 500))
                .col(text("facts"))
                .col(small_integer("confidence"))
                .col(text("related"))
                .col(date_null("expires_on"))
                .col(moment_null("dismissed_at"))
                .foreign_key(&mut user_key(table)),
        )
        .to_owned();
        manager.create_table(insights).await?;
        manager
            .create_index(unique(table, &["user_id", "key"]))
            .await?;
        manager
            .create_index(index(table, &["user_id", "id"]))
            .await?;
        let table = "insight_looks";
        let mut user = user_id();
        user.primary_key();
        manager
            .create_table(
                Table::create()
                    .table(table)
                    .col(user)
                    .col(big_integer("xid"))
                    .col(big_integer("position"))
                    .col(moment("looked_at"))
                    .foreign_key(&mut user_key(table))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["insight_looks", "insights"]).await
    }
}
