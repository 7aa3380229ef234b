//! What a booking may have besides: the other side of a transfer, splits, tags. The words by which bookings are found,
//! which the projector keeps. And wallets that are put away.
//!
//! Each is a table of its own: most bookings have none of it. The day stands in each as well, since lists by wallet,
//! category and tag are walked from the newest day on.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    small_integer, string_len, string_null, text_null, uuid, uuid_null,
};
use sea_orm_migration::sea_orm::DbBackend;

use crate::columns::{
    currency, day, drop_tables, index, minor, moment_null, part_key, used_key, user_id, user_key,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        transfers(manager).await?;
        splits(manager).await?;
        tags(manager).await?;
        words(manager).await?;
        let mut alter = Table::alter();
        alter
            .table("wallets")
            .add_column(moment_null("archived_at"));
        manager.alter_table(alter).await?;
        // As lists show them: a text of JSON, so that not each row of a page is looked up.
        let mut alter = Table::alter();
        alter.table("transactions").add_column(text_null("tags"));
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut alter = Table::alter();
        alter.table("transactions").drop_column("tags");
        manager.alter_table(alter).await?;
        let mut alter = Table::alter();
        alter.table("wallets").drop_column("archived_at");
        manager.alter_table(alter).await?;
        drop_tables(
            manager,
            &[
                "transaction_words",
                "transaction_tags",
                "transaction_splits",
                "transfers",
            ],
        )
        .await
    }
}

async fn transfers(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut transaction_id = uuid("transaction_id");
    transaction_id.primary_key();
    manager
        .create_table(
            Table::create()
                .table("transfers")
                .col(transaction_id)
                .col(user_id())
                .col(uuid("to_wallet_id"))
                .col(minor("amount_minor"))
                .col(currency())
                .col(day("date"))
                .foreign_key(&mut part_key("transfers", "transaction_id", "transactions"))
                .foreign_key(&mut used_key("transfers", "to_wallet_id", "wallets"))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(index(
            "transfers",
            &["to_wallet_id", "date", "transaction_id"],
        ))
        .await?;
    manager.create_index(index("transfers", &["user_id"])).await
}

async fn splits(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = "transaction_splits";
    manager
        .create_table(
            Table::create()
                .table(table)
                .col(uuid("transaction_id"))
                .col(small_integer("place"))
                .col(user_id())
                .col(uuid_null("category_id"))
                .col(minor("amount_minor"))
                .col(string_null("description"))
                .col(day("date"))
                .primary_key(Index::create().col("transaction_id").col("place"))
                .foreign_key(&mut part_key(table, "transaction_id", "transactions"))
                .foreign_key(&mut used_key(table, "category_id", "categories"))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(index(table, &["category_id", "date", "transaction_id"]))
        .await?;
    manager.create_index(index(table, &["user_id"])).await
}

async fn tags(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = "transaction_tags";
    manager
        .create_table(
            Table::create()
                .table(table)
                .col(user_id())
                .col(string_len("tag", 50))
                .col(day("date"))
                .col(uuid("transaction_id"))
                .primary_key(
                    Index::create()
                        .col("user_id")
                        .col("tag")
                        .col("date")
                        .col("transaction_id"),
                )
                .foreign_key(&mut part_key(table, "transaction_id", "transactions"))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(index(table, &["transaction_id"]))
        .await
}

/// A row for each word of each booking. The booking may be gone before its events are heard, so none refers to it.
async fn words(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = "transaction_words";
    let mut word = string_len("word", 32);
    if manager.get_database_backend() == DbBackend::Postgres {
        // Words that begin alike stand beside each other, whatever language the database speaks.
        word.extra("COLLATE \"C\"");
    }
    manager
        .create_table(
            Table::create()
                .table(table)
                .col(user_id())
                .col(word)
                .col(day("date"))
                .col(uuid("transaction_id"))
                .col(small_integer("times"))
                .primary_key(
                    Index::create()
                        .col("user_id")
                        .col("word")
                        .col("date")
                        .col("transaction_id"),
                )
                .foreign_key(&mut user_key(table))
                .to_owned(),
        )
        .await
}
