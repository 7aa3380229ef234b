//! The event log, the cursors of those who read it, the inbox of each consumer, the dead letters.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string_len, string_null, text, uuid, uuid_null};
use sea_orm_migration::sea_orm::DbBackend;

use crate::columns::{drop_tables, id, index, moment, unique, user_id};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        event_log(manager).await?;
        outbox(manager).await?;

        let mut name = string_len("name", 64);
        name.primary_key();
        manager
            .create_table(
                Table::create()
                    .table("log_cursors")
                    .col(name)
                    .col(big_integer("xid"))
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
            &[
                "dead_letters",
                "inbox",
                "log_cursors",
                "outbox",
                "event_log",
            ],
        )
        .await
    }
}

/// Positions count on, and are never used twice, even after the newest rows were trimmed. They are
/// given out in the order of writing, which on SQLite, with its one writer, is the order of commits.
/// On PostgreSQL it is not: there the transaction that wrote a row stands in front, so that a reader
/// can stop before the oldest one that is still open. On SQLite it is always zero.
async fn event_log(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
    let mut xid = big_integer("xid");
    let mut position = ColumnDef::new("position");
    position.big_integer().not_null().auto_increment();
    let mut log = Table::create();
    log.table("event_log");
    if is_postgres {
        xid.default(Expr::cust("(pg_current_xact_id()::text::bigint)"));
        log.col(&mut xid).col(&mut position);
        log.primary_key(Index::create().col("xid").col("position"));
    } else {
        xid.default(0);
        position.primary_key();
        log.col(&mut xid).col(&mut position);
    }
    log.col(uuid("event_id"))
        .col(string_len("type", 64))
        .col(user_id())
        .col(text("envelope"))
        .col(moment("created_at"));
    manager.create_table(log).await?;
    manager
        .create_index(unique("event_log", &["event_id"]))
        .await
}

/// What of the log is still to be published on a bus outside of the database. Whoever publishes
/// takes rows away in a transaction that ends when the bus has them.
async fn outbox(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_table(
            Table::create()
                .table("outbox")
                .col(big_integer("xid"))
                .col(big_integer("position"))
                .primary_key(Index::create().col("position").col("xid"))
                .to_owned(),
        )
        .await
}
