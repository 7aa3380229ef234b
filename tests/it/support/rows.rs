//! Everything that the database holds, to see that nothing was written.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

use super::World;

/// Where the consumers of events are moves by itself.
const MOVES_BY_ITSELF: [&str; 3] = ["log_cursors", "inbox", "seaql_migrations"];

/// A look at the database from outside.
#[derive(Debug)]
pub(crate) struct Rows(DatabaseConnection);

/// The names of all tables.
pub(crate) fn tables(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
        _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    }
}

impl Rows {
    pub(crate) async fn of(world: &World) -> Self {
        let file = world.data_dir.path().join("wealth.db");
        let url = if super::stack::on_postgres() {
            super::config(world.data_dir.path(), &[]).database_url()
        } else {
            format!("sqlite:{}?mode=ro", file.display())
        };
        Self(Database::connect(url).await.expect("it opens"))
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        let rows = self.0.query_all_raw(statement).await.expect("rows");
        rows.iter()
            .map(|row| row.try_get_by_index(0).expect("a text"))
            .collect()
    }

    /// Asserts that nothing was written since a look at it all.
    pub(crate) async fn unchanged(&self, before: &BTreeMap<String, Vec<String>>, since: &str) {
        let after = self.all().await;
        let changed: Vec<&String> = before
            .iter()
            .filter(|(table, rows)| after.get(*table) != Some(rows))
            .map(|(table, _)| table)
            .collect();
        assert!(changed.is_empty(), "{changed:?} changed by {since}");
    }

    /// Every row of every table, as text.
    pub(crate) async fn all(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::new();
        let backend = self.0.get_database_backend();
        let tables = self.texts(tables(backend)).await;
        assert!(tables.len() > 10, "{tables:?}");
        for table in tables {
            if MOVES_BY_ITSELF.contains(&table.as_str()) {
                continue;
            }
            let row = match backend {
                DbBackend::Postgres => format!("{table}::text"),
                _ => {
                    let columns = format!(
                        "SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}')"
                    );
                    self.texts(&columns).await.join(" || ',' || ")
                }
            };
            let mut rows = self.texts(&format!("SELECT {row} FROM {table}")).await;
            // PostgreSQL gives rows in no order that stays.
            rows.sort();
            all.insert(table, rows);
        }
        all
    }
}
