//! The database schema, written once for SQLite and PostgreSQL.
//!
//! Migrations only expand in one release and contract in a later one: during a rolling update two
//! releases run beside each other on one schema. Instants are stored as `timestamptz` (text in
//! SQLite), money as whole minor units in `bigint`, and every table that holds a user's data
//! carries `user_id`.

mod columns;
mod m20261124_000001_people;
mod m20261124_000002_books;
mod m20261124_000003_log;
mod m20261124_000004_read_models;
mod m20261124_000005_alerts;
mod m20261126_000006_alert_origins;

use sea_orm_migration::prelude::*;

pub use sea_orm_migration::MigratorTrait;

/// Runs the migrations in order.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_people::Migration),
            Box::new(m20261124_000002_books::Migration),
            Box::new(m20261124_000003_log::Migration),
            Box::new(m20261124_000004_read_models::Migration),
            Box::new(m20261124_000005_alerts::Migration),
            Box::new(m20261126_000006_alert_origins::Migration),
        ]
    }
}
