//! Columns and keys that many tables share, so that each table's file shows what is special to it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, date, string_len, timestamp_with_time_zone, uuid};

/// Bound of a wallet's balance and of sums, in minor units: far from `i64::MAX`, so that no
/// addition of one booking can overflow before the check refuses it.
const SUM_MINOR_MAX: i64 = 4_000_000_000_000_000_000;

/// `id uuid primary key`.
pub(crate) fn id() -> ColumnDef {
    let mut column = uuid("id");
    column.primary_key();
    column
}

/// `user_id uuid not null`.
pub(crate) fn user_id() -> ColumnDef {
    uuid("user_id")
}

/// Deleting a user deletes what is theirs.
pub(crate) fn user_key(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{table}_user"))
        .from(table, "user_id")
        .to("users", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}

/// A reference that must not be left dangling: the row it names cannot be deleted while it is used.
pub(crate) fn used_key(
    table: &'static str,
    column: &'static str,
    to: &'static str,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{table}_{column}"))
        .from(table, column)
        .to(to, "id")
        .to_owned()
}

/// A reference to the whole of which this row is a part.
pub(crate) fn part_key(
    table: &'static str,
    column: &'static str,
    to: &'static str,
) -> ForeignKeyCreateStatement {
    used_key(table, column, to)
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}

/// Whole minor units of a currency.
pub(crate) fn minor(name: &'static str) -> ColumnDef {
    big_integer(name)
}

/// A sum of minor units, checked against overflow.
pub(crate) fn minor_sum(name: &'static str) -> ColumnDef {
    let mut column = big_integer(name);
    column.check(Expr::col(name).between(-SUM_MINOR_MAX, SUM_MINOR_MAX));
    column
}

/// An ISO 4217 code.
pub(crate) fn currency() -> ColumnDef {
    string_len("currency", 3)
}

/// A moment, to the microsecond.
pub(crate) fn moment(name: &'static str) -> ColumnDef {
    timestamp_with_time_zone(name)
}

/// A moment that may not have come.
pub(crate) fn moment_null(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.timestamp_with_time_zone().null();
    column
}

/// A day in the user's calendar.
pub(crate) fn day(name: &'static str) -> ColumnDef {
    date(name)
}

/// `version`, `created_at`, `updated_at` of a resource that clients change.
pub(crate) fn revision(table: &mut TableCreateStatement) -> &mut TableCreateStatement {
    table
        .col(big_integer("version"))
        .col(moment("created_at"))
        .col(moment("updated_at"))
}

/// An index, named after its table and columns.
pub(crate) fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index
        .name(format!("ix_{table}_{}", columns.join("_")))
        .table(table);
    for column in columns {
        index.col(*column);
    }
    index
}

/// A unique index, named after its table and columns.
pub(crate) fn unique(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    index(table, columns)
        .name(format!("ux_{table}_{}", columns.join("_")))
        .unique()
        .to_owned()
}

/// Drops the tables in this order.
pub(crate) async fn drop_tables(
    manager: &SchemaManager<'_>,
    tables: &[&'static str],
) -> Result<(), DbErr> {
    for table in tables {
        manager
            .drop_table(Table::drop().table(*table).to_owned())
            .await?;
    }
    Ok(())
}
