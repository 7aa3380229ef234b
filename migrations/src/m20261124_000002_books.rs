//! What people keep: wallets, categories, transactions, budgets.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    string, string_len, string_len_null, string_null, uuid, uuid_null,
};

use crate::columns::{
    currency, day, drop_tables, id, index, minor, minor_sum, part_key, revision, unique, used_key,
    user_id, user_key,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        wallets(manager).await?;
        categories(manager).await?;
        transactions(manager).await?;
        budgets(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &[
                "budget_categories",
                "budgets",
                "transactions",
                "categories",
                "wallets",
            ],
        )
        .await
    }
}

async fn wallets(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut wallets = Table::create();
    wallets
        .table("wallets")
        .col(id())
        .col(user_id())
        .col(string_len("name", 100))
        .col(string_len("type", 16))
        .col(currency())
        .col(minor_sum("opening_balance_minor"))
        .col(minor_sum("balance_minor"))
        .foreign_key(&mut user_key("wallets"));
    revision(&mut wallets);
    manager.create_table(wallets).await?;
    manager
        .create_index(unique("wallets", &["user_id", "name"]))
        .await
}

async fn categories(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut categories = Table::create();
    categories
        .table("categories")
        .col(id())
        .col(user_id())
        .col(string_len("name", 100))
        .col(string_len("kind", 16))
        .col(uuid_null("parent_id"))
        .col(string_len_null("color", 7))
        .col(string_len_null("icon", 16))
        .foreign_key(&mut user_key("categories"))
        .foreign_key(&mut used_key("categories", "parent_id", "categories"));
    revision(&mut categories);
    manager.create_table(categories).await?;
    manager
        .create_index(index("categories", &["parent_id"]))
        .await?;
    manager
        .create_index(unique("categories", &["user_id", "kind", "name"]))
        .await
}

async fn transactions(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut transactions = Table::create();
    transactions
        .table("transactions")
        .col(id())
        .col(user_id())
        .col(uuid("wallet_id"))
        .col(string_len("type", 16))
        .col(minor("amount_minor"))
        .col(currency())
        .col(day("date"))
        .col(uuid_null("category_id"))
        .col(string_null("description"))
        .col(string_null("payee"))
        .col(string_null("notes"))
        .foreign_key(&mut user_key("transactions"))
        .foreign_key(&mut used_key("transactions", "wallet_id", "wallets"))
        .foreign_key(&mut used_key("transactions", "category_id", "categories"));
    revision(&mut transactions);
    manager.create_table(transactions).await?;
    // Each list walks one of these from its end; the last two also serve the checks of the foreign keys.
    // What it may be filtered by besides stands behind the order, so that what does not fit is passed over
    // in the index. A wallet has one currency.
    for (of, columns) in [
        (
            "ix_transactions_of_user",
            &["user_id", "date", "id", "type", "currency", "amount_minor"][..],
        ),
        (
            "ix_transactions_of_wallet",
            &["wallet_id", "date", "id", "type", "amount_minor"],
        ),
        (
            "ix_transactions_of_category",
            &[
                "category_id",
                "date",
                "id",
                "wallet_id",
                "type",
                "currency",
                "amount_minor",
            ],
        ),
    ] {
        let index = index("transactions", columns).name(of).to_owned();
        manager.create_index(index).await?;
    }
    Ok(())
}

async fn budgets(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut budgets = Table::create();
    budgets
        .table("budgets")
        .col(id())
        .col(user_id())
        .col(string_len("name", 100))
        .col(minor("amount_minor"))
        .col(currency())
        .col(string_len("period", 16))
        .col(ColumnDef::new("starts_on").date().null())
        .col(string("alert_at"))
        .foreign_key(&mut user_key("budgets"));
    revision(&mut budgets);
    manager.create_table(budgets).await?;
    manager
        .create_index(index("budgets", &["user_id", "id"]))
        .await?;

    manager
        .create_table(
            Table::create()
                .table("budget_categories")
                .col(uuid("budget_id"))
                .col(uuid("category_id"))
                .primary_key(Index::create().col("budget_id").col("category_id"))
                .foreign_key(&mut part_key("budget_categories", "budget_id", "budgets"))
                .foreign_key(&mut used_key(
                    "budget_categories",
                    "category_id",
                    "categories",
                ))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(index("budget_categories", &["category_id"]))
        .await
}
