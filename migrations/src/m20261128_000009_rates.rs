//! Exchange rates: the public ones, which are nobody's, and those that people set for themselves. A rate is a decimal
//! text: exact, whatever its digits.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_len;

use crate::columns::{
    currency, day, drop_tables, id, index, moment, revision, unique, user_id, user_key,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// A point, and 23 digits behind it, before twelve of which stand zeros.
const RATE_CHARS: u32 = 32;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What a euro was worth.
        manager
            .create_table(
                Table::create()
                    .table("exchange_rates")
                    .col(currency())
                    .col(day("date"))
                    .col(string_len("rate", RATE_CHARS))
                    .col(moment("imported_at"))
                    .primary_key(Index::create().col("currency").col("date"))
                    .to_owned(),
            )
            .await?;

        let mut own = Table::create();
        own.table("user_rates")
            .col(id())
            .col(user_id())
            .col(string_len("from_currency", 3))
            .col(string_len("to_currency", 3))
            .col(day("date"))
            .col(string_len("rate", RATE_CHARS))
            .foreign_key(&mut user_key("user_rates"));
        revision(&mut own);
        manager.create_table(own).await?;
        manager
            .create_index(unique(
                "user_rates",
                &["user_id", "from_currency", "to_currency", "date"],
            ))
            .await?;
        manager
            .create_index(index("user_rates", &["user_id", "id"]))
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["user_rates", "exchange_rates"]).await
    }
}
