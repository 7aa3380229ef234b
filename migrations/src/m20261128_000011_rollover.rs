//! Budgets whose periods carry over what the ones before left, limits that a budget had before, and thresholds that
//! were crossed and are armed again.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{small_integer, text_null, uuid};

use crate::columns::{day, drop_tables, index, moment, part_key, user_id};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const PAST: &str = "budget_crossings_past";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut event_id = uuid("event_id");
        event_id.primary_key();
        manager
            .create_table(
                Table::create()
                    .table(PAST)
                    .col(event_id)
                    .col(uuid("budget_id"))
                    .col(day("period_start"))
                    .col(small_integer("threshold"))
                    .col(user_id())
                    .col(moment("crossed_at"))
                    .col(moment("rearmed_at"))
                    .foreign_key(&mut part_key(PAST, "budget_id", "budgets"))
                    .to_owned(),
            )
            .await?;
        manager.create_index(index(PAST, &["budget_id"])).await?;
        let mut rollover_from = ColumnDef::new("rollover_from");
        rollover_from.date().null();
        // SQLite adds one column at a time. The limits are a text of JSON, as the thresholds are.
        for column in [rollover_from, text_null("former_limits")] {
            let mut alter = Table::alter();
            alter.table("budgets").add_column(column);
            manager.alter_table(alter).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["rollover_from", "former_limits"] {
            let mut alter = Table::alter();
            alter.table("budgets").drop_column(column);
            manager.alter_table(alter).await?;
        }
        drop_tables(manager, &[PAST]).await
    }
}
