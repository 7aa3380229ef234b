//! Whether people have shown that their address is theirs, and how often they were asked by mail.

use sea_orm_migration::prelude::*;

use crate::columns::moment_null;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "notification_choices";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut asked = ColumnDef::new("confirmations_asked");
        asked.small_integer().not_null().default(0);
        // Of the address that the account has: whoever lets people change it takes this back.
        for column in [
            moment_null("email_confirmed_at"),
            moment_null("confirmation_asked_at"),
            asked,
        ] {
            let mut alter = Table::alter();
            alter.table(TABLE).add_column(column);
            manager.alter_table(alter).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            "confirmations_asked",
            "confirmation_asked_at",
            "email_confirmed_at",
        ] {
            let mut alter = Table::alter();
            alter.table(TABLE).drop_column(column);
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
