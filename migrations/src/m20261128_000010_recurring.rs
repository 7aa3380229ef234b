//! Bookings that come again: what is to be booked, the rule of when, and each day that was booked or left out.
//!
//! A booking says which rule has made it, and for which day: the rule may be gone by now, and the day of the booking
//! another one.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer_null, boolean, date_null, string_len, string_len_null, string_null, text_null,
    uuid, uuid_null,
};

use crate::columns::{
    currency, day, drop_tables, id, index, minor, moment_null, part_key, revision, used_key,
    user_id, user_key,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        recurring(manager).await?;
        occurrences(manager).await?;
        for column in [uuid_null("recurring_id"), date_null("occurs_on")] {
            let mut alter = Table::alter();
            alter.table("transactions").add_column(column);
            manager.alter_table(alter).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["occurs_on", "recurring_id"] {
            let mut alter = Table::alter();
            alter.table("transactions").drop_column(column);
            manager.alter_table(alter).await?;
        }
        drop_tables(manager, &["recurring_occurrences", "recurring"]).await
    }
}

async fn recurring(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let name = "recurring";
    let mut table = Table::create();
    table
        .table(name)
        .col(id())
        .col(user_id())
        // As of a booking.
        .col(uuid("wallet_id"))
        .col(string_len("type", 16))
        .col(minor("amount_minor"))
        .col(currency())
        .col(uuid_null("category_id"))
        .col(string_null("description"))
        .col(string_null("payee"))
        .col(string_null("notes"))
        .col(text_null("tags"))
        .col(uuid_null("to_wallet_id"))
        .col(big_integer_null("to_amount_minor"))
        .col(string_len_null("to_currency", 3))
        .col(string_len("rrule", 200))
        .col(day("starts_on"))
        // The next day to be booked, and when that begins for the user: neither when there is none.
        .col(date_null("next_on"))
        .col(moment_null("due_at"))
        .col(boolean("paused"))
        // The day that could not be booked, and why.
        .col(date_null("failed_on"))
        .col(text_null("failure"))
        .foreign_key(&mut user_key(name))
        .foreign_key(&mut used_key(name, "wallet_id", "wallets"))
        .foreign_key(&mut used_key(name, "to_wallet_id", "wallets"))
        .foreign_key(&mut used_key(name, "category_id", "categories"));
    revision(&mut table);
    manager.create_table(table).await?;
    for columns in [
        &["user_id", "id"][..],
        &["due_at", "id"],
        &["wallet_id"],
        &["to_wallet_id"],
        &["category_id"],
    ] {
        manager.create_index(index(name, columns)).await?;
    }
    Ok(())
}

async fn occurrences(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let name = "recurring_occurrences";
    let table = Table::create()
        .table(name)
        .col(uuid("recurring_id"))
        .col(day("date"))
        .col(user_id())
        .col(string_len("outcome", 16))
        .primary_key(Index::create().col("recurring_id").col("date"))
        .foreign_key(&mut part_key(name, "recurring_id", "recurring"))
        .to_owned();
    manager.create_table(table).await
}
