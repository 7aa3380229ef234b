//! The database schema, written once for SQLite and PostgreSQL.
//!
//! Migrations only expand in one release and contract in a later one: during a rolling update two
//! releases run beside each other on one schema. How to write one: docs/adr/0010. Instants are stored as `timestamptz` (text in
//! SQLite), money as whole minor units in `bigint`, and every table that holds a user's data
//! carries `user_id`.

/// Changes of large tables beside those who write.
pub mod beside;
mod columns;
mod m20261124_000001_people;
mod m20261124_000002_books;
mod m20261124_000003_log;
mod m20261124_000004_read_models;
mod m20261124_000005_alerts;
mod m20261126_000006_alert_origins;
mod m20261128_000007_log_moves;
mod m20261128_000008_parts;
mod m20261128_000009_rates;
mod m20261128_000010_recurring;
mod m20261128_000011_rollover;
mod m20261128_000012_goals;
mod m20261128_000013_insights;
mod m20261128_000014_rules;
mod m20261129_000015_wording;
mod m20261129_000016_personal_tokens;
mod m20261129_000017_notifications;
mod m20261129_000018_confirming;

use sea_orm_migration::prelude::*;
use sea_orm_migration::{IntoSchemaManagerConnection, MigratorTraitSelf};

pub use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// The migrations of a release, in order.
pub type Migrations = fn() -> Vec<Box<dyn MigrationTrait>>;

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
            Box::new(m20261128_000007_log_moves::Migration),
            Box::new(m20261128_000008_parts::Migration),
            Box::new(m20261128_000009_rates::Migration),
            Box::new(m20261128_000010_recurring::Migration),
            Box::new(m20261128_000011_rollover::Migration),
            Box::new(m20261128_000012_goals::Migration),
            Box::new(m20261128_000013_insights::Migration),
            Box::new(m20261128_000014_rules::Migration),
            Box::new(m20261129_000015_wording::Migration),
            Box::new(m20261129_000016_personal_tokens::Migration),
            Box::new(m20261129_000017_notifications::Migration),
            Box::new(m20261129_000018_confirming::Migration),
        ]
    }
}

/// The migrations of a release, for a database that may have been migrated by a newer one.
#[derive(Debug)]
pub struct Known {
    /// Those of the release.
    pub migrations: Migrations,
    /// The names of those that the database has, and the release does not know.
    pub newer: Vec<String>,
}

impl Known {
    /// Applies what is pending, or only the next so many.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn up<'c>(
        &self,
        db: impl IntoSchemaManagerConnection<'c>,
        steps: Option<u32>,
    ) -> Result<(), DbErr> {
        MigratorTraitSelf::up(self, db, steps).await
    }

    /// Takes back the newest, or only so many.
    ///
    /// # Errors
    /// The database refuses, or one of them is of a newer release.
    pub async fn down<'c>(
        &self,
        db: impl IntoSchemaManagerConnection<'c>,
        steps: Option<u32>,
    ) -> Result<(), DbErr> {
        MigratorTraitSelf::down(self, db, steps).await
    }
}

impl MigratorTraitSelf for Known {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        let newer = self.newer.iter().cloned();
        let newer = newer.map(|name| Box::new(Newer(name)) as Box<dyn MigrationTrait>);
        (self.migrations)().into_iter().chain(newer).collect()
    }
}

/// A migration of a newer release, which the database has. The library takes one that it does not know
/// for a file that was lost.
struct Newer(String);

impl MigrationName for Newer {
    fn name(&self) -> &str {
        &self.0
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Newer {
    async fn up(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(self.unknown())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Err(self.unknown())
    }
}

impl Newer {
    fn unknown(&self) -> DbErr {
        DbErr::Migration(format!("{} is of a newer release", self.0))
    }
}
