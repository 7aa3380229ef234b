//! Rules by which bookings get their category, payee and tags; and their runs over what was booked before.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, date_null, small_integer, string_len, text, text_null, uuid, uuid_null,
};

use crate::columns::{drop_tables, id, index, moment_null, part_key, revision, used_key, user_id};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let rules = revision(
            Table::create()
                .table("rules")
                .col(id())
                .col(user_id())
                .col(string_len("name", 100))
                // Among the user's rules, the lower the earlier; then by the id.
                .col(small_integer("position"))
                // JSON, as the API shows them.
                .col(text("conditions"))
                .col(uuid_null("category_id"))
                .col(text_null("payee"))
                // A JSON array of texts.
                .col(text("tags"))
                .col(boolean("is_enabled"))
                .col(boolean("stops"))
                // The erasure of a user removes rules and runs by name: a key to users would hold a second table.
                .foreign_key(&mut used_key("rules", "category_id", "categories")),
        )
        .to_owned();
        manager.create_table(rules).await?;
        manager
            .create_index(index("rules", &["user_id", "position", "id"]))
            .await?;
        manager
            .create_index(index("rules", &["category_id"]))
            .await?;
        self.runs(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["rule_changes", "rule_runs", "rules"]).await
    }
}

impl Migration {
    async fn runs(&self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        let runs = revision(
            Table::create()
                .table("rule_runs")
                .col(id())
                .col(user_id())
                .col(string_len("state", 10))
                // The rules as they were when it began: JSON.
                .col(text("rules"))
                .col(uuid_null("rule_id"))
                .col(boolean("overwrite"))
                .col(date_null("from_date"))
                .col(date_null("to_date"))
                // The last booking that was looked at.
                .col(date_null("cursor_date"))
                .col(uuid_null("cursor_id"))
                // Counts what moves it: of two who take the same step one finds it moved.
                .col(big_integer("steps"))
                .col(big_integer("examined"))
                .col(big_integer("changed"))
                .col(big_integer("skipped"))
                .col(big_integer("restored"))
                .col(big_integer("kept"))
                .col(moment_null("finished_at")),
        )
        .to_owned();
        manager.create_table(runs).await?;
        manager
            .create_index(index("rule_runs", &["user_id", "id"]))
            .await?;
        // Those with something to do: the one that has waited longest is next.
        manager
            .create_index(index("rule_runs", &["state", "updated_at"]))
            .await?;
        let table = "rule_changes";
        let changes = Table::create()
            .table(table)
            .col(uuid("run_id"))
            // May be gone by now.
            .col(uuid("transaction_id"))
            .col(user_id())
            // What the booking had before: JSON.
            .col(text("labels"))
            // The booking's, as the run has left it.
            .col(big_integer("version"))
            .primary_key(Index::create().col("run_id").col("transaction_id"))
            .foreign_key(&mut part_key(table, "run_id", "rule_runs"))
            .to_owned();
        manager.create_table(changes).await?;
        manager.create_index(index(table, &["user_id"])).await
    }
}
