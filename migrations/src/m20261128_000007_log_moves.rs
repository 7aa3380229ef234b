//! A log that was restored on another server goes on: what transactions are counted by there is raised by
//! an offset, which stands in these two functions. See docs/adr/0011.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_server(
            manager,
            &[
                "CREATE FUNCTION log_xid() RETURNS bigint LANGUAGE sql STABLE PARALLEL RESTRICTED \
                 AS 'SELECT pg_current_xact_id()::text::bigint + 0'",
                "CREATE FUNCTION log_horizon() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE \
                 AS 'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + 0'",
                "ALTER TABLE event_log ALTER COLUMN xid SET DEFAULT log_xid()",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_server(
            manager,
            &[
                "ALTER TABLE event_log ALTER COLUMN xid SET DEFAULT (pg_current_xact_id()::text::bigint)",
                "DROP FUNCTION log_horizon()",
                "DROP FUNCTION log_xid()",
            ],
        )
        .await
    }
}

async fn on_server(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        for statement in statements {
            manager
                .get_connection()
                .execute_unprepared(statement)
                .await?;
        }
    }
    Ok(())
}
