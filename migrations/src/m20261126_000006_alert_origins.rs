//! Where an alert comes from: the span in which it was made, and when its chain of events began.
//! Alerts from before have neither.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_len_null;

use crate::columns::moment_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// A version 00 `traceparent`.
const TRACEPARENT_CHARS: u32 = 55;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for column in [
            string_len_null("traceparent", TRACEPARENT_CHARS),
            moment_null("chain_begun_at"),
        ] {
            let mut alter = Table::alter();
            alter.table("alerts").add_column(column);
            manager.alter_table(alter).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["traceparent", "chain_begun_at"] {
            let mut alter = Table::alter();
            alter.table("alerts").drop_column(column);
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
