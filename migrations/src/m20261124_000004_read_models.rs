//! What the projector keeps: sums of deltas, so that the order of events does not matter.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, small_integer, string_len, uuid};

use crate::columns::{currency, day, drop_tables, minor_sum, moment, part_key, user_id, user_key};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // In both sums the nil uuid stands for "no category": a key column cannot be null.
        manager
            .create_table(
                Table::create()
                    .table("monthly_totals")
                    .col(user_id())
                    .col(currency())
                    .col(day("month"))
                    .col(string_len("type", 16))
                    .col(uuid("category_id"))
                    .col(uuid("wallet_id"))
                    .col(minor_sum("amount_minor"))
                    .col(big_integer("bookings"))
                    .primary_key(
                        Index::create()
                            .col("user_id")
                            .col("currency")
                            .col("month")
                            .col("type")
                            .col("category_id")
                            .col("wallet_id"),
                    )
                    .foreign_key(&mut user_key("monthly_totals"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("daily_spending")
                    .col(user_id())
                    .col(currency())
                    .col(day("date"))
                    .col(uuid("category_id"))
                    .col(minor_sum("amount_minor"))
                    .primary_key(
                        Index::create()
                            .col("user_id")
                            .col("currency")
                            .col("date")
                            .col("category_id"),
                    )
                    .foreign_key(&mut user_key("daily_spending"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("budget_periods")
                    .col(uuid("budget_id"))
                    .col(day("period_start"))
                    .col(day("period_end"))
                    .col(user_id())
                    .col(minor_sum("spent_minor"))
                    .col(moment("updated_at"))
                    .primary_key(Index::create().col("budget_id").col("period_start"))
                    .foreign_key(&mut part_key("budget_periods", "budget_id", "budgets"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("budget_crossings")
                    .col(uuid("budget_id"))
                    .col(day("period_start"))
                    .col(small_integer("threshold"))
                    .col(user_id())
                    .col(uuid("event_id"))
                    .col(moment("crossed_at"))
                    .primary_key(
                        Index::create()
                            .col("budget_id")
                            .col("period_start")
                            .col("threshold"),
                    )
                    .foreign_key(&mut part_key("budget_crossings", "budget_id", "budgets"))
                    .to_owned(),
            )
            .await?;
        let mut user = user_id();
        user.primary_key();
        manager
            .create_table(
                Table::create()
                    .table("read_model_positions")
                    .col(user)
                    .col(big_integer("xid"))
                    .col(big_integer("position"))
                    .foreign_key(&mut user_key("read_model_positions"))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &[
                "read_model_positions",
                "budget_crossings",
                "budget_periods",
                "daily_spending",
                "monthly_totals",
            ],
        )
        .await
    }
}
