//! What people save for, and what they put aside.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{date_null, string_len, text_null, uuid, uuid_null};

use crate::columns::{
    currency, day, drop_tables, id, index, minor, minor_sum, moment_null, part_key, revision,
    used_key, user_id, user_key,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let goals = revision(
            Table::create()
                .table("goals")
                .col(id())
                .col(user_id())
                .col(string_len("name", 100))
                .col(minor("target_minor"))
                .col(currency())
                .col(date_null("target_date"))
                .col(uuid_null("wallet_id"))
                // The sum of the contributions.
                .col(minor_sum("contributed_minor"))
                .col(moment_null("achieved_at"))
                .foreign_key(&mut user_key("goals"))
                .foreign_key(&mut used_key("goals", "wallet_id", "wallets")),
        )
        .to_owned();
        manager.create_table(goals).await?;
        manager
            .create_index(index("goals", &["user_id", "id"]))
            .await?;
        manager.create_index(index("goals", &["wallet_id"])).await?;
        let table = "goal_contributions";
        let contributions = revision(
            Table::create()
                .table(table)
                .col(id())
                .col(user_id())
                .col(uuid("goal_id"))
                // Below zero where something was taken out.
                .col(minor("amount_minor"))
                .col(day("date"))
                .col(text_null("note"))
                .foreign_key(&mut part_key(table, "goal_id", "goals")),
        )
        .to_owned();
        manager.create_table(contributions).await?;
        manager
            .create_index(index(table, &["goal_id", "id"]))
            .await?;
        manager
            .create_index(index(table, &["goal_id", "date"]))
            .await?;
        manager.create_index(index(table, &["user_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["goal_contributions", "goals"]).await
    }
}
