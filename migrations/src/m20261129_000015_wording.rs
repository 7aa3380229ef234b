//! Who may have the figures of insights worded by somebody outside, and who has worded an insight.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Nothing leaves before the user says so.
        let mut allowed = ColumnDef::new("ai_enabled");
        allowed.boolean().not_null().default(false);
        let mut worded_by = ColumnDef::new("worded_by");
        worded_by.string_len(10).not_null().default("rules");
        for (table, column) in [("users", allowed), ("insights", worded_by)] {
            let mut alter = Table::alter();
            alter.table(table).add_column(column);
            manager.alter_table(alter).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [("insights", "worded_by"), ("users", "ai_enabled")] {
            let mut alter = Table::alter();
            alter.table(table).drop_column(column);
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
