//! Changes of large tables beside those who write: docs/adr/0010.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::columns::index;

/// Creates an index, named after its table and columns, while others go on writing.
///
/// On PostgreSQL no transaction may be open: the migration says `Some(false)` by `use_transaction`, and does
/// nothing else. What an earlier try has left half-built is built anew.
///
/// # Errors
/// The database refuses.
pub async fn create_index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: &[&'static str],
) -> Result<(), DbErr> {
    let mut index = index(table, columns);
    if manager.get_database_backend() == DbBackend::Postgres {
        let name = format!("ix_{table}_{}", columns.join("_"));
        let left = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
        manager.get_connection().execute_unprepared(&left).await?;
        index.concurrently();
    }
    manager.create_index(index).await
}
