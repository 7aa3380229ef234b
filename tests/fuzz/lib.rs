//! What the targets share: a database in memory, and somebody to ask things of.

/// The API.
pub mod api;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::config::{Config, LoadArgs};
use wealth_companion::store::Store;

/// A text that is nowhere else: where it must not be, it is looked for.
pub const CANARY: &str = "s3cr3t-S3CR3T-s3cr3t-S3CR3T-s3cr3t-S3CR3T";

/// Noon of 10 February 2026, UTC.
#[must_use]
pub fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_724_800, 0).expect("a moment")
}

/// A folder for what is kept; who runs the target says where, and removes what a crash leaves.
#[must_use]
pub fn folder() -> TempDir {
    TempDir::with_prefix("wealth-fuzz-").expect("a folder")
}

/// An empty database, a clock that stands still and ids that come in the same order each time.
pub struct Ground {
    pub runtime: Runtime,
    pub store: Store,
    pub config: Config,
    pub clock: Clock,
    pub ids: Ids,
    _folder: TempDir,
}

impl Ground {
    #[must_use]
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = folder();
        let args = [
            ("data_dir", folder.path().to_str().expect("UTF-8")),
            ("auth.jwt_secret_key", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"),
            ("auth.hash_memory_kib", "8"),
            ("auth.hash_iterations", "1"),
            ("limits.requests_per_minute", "0"),
            ("limits.sign_in_per_minute", "0"),
        ]
        .into_iter()
        .fold(LoadArgs::new(), |args, (key, value)| {
            args.flag(key, value, "--set")
        });
        let config = Config::load(&args).expect("settings").config;
        let (store, _) = runtime.block_on(Store::open(&config)).expect("a database");
        let clock = Clock::fixed(noon());
        Self {
            runtime,
            store,
            config,
            clock,
            ids: Ids::seeded(1),
            _folder: folder,
        }
    }

    /// Every row of these tables, as text.
    #[must_use]
    pub fn rows(&self, tables: &[(&str, &str)]) -> Vec<String> {
        let mut rows = Vec::new();
        for (table, columns) in tables {
            let sql = format!("SELECT concat_ws('|', {columns}) FROM {table} ORDER BY 1");
            let statement = Statement::from_string(DbBackend::Sqlite, sql);
            let found = self
                .runtime
                .block_on(self.store.reads().query_all_raw(statement));
            rows.extend(found.expect("rows").iter().map(|row| {
                format!(
                    "{table}: {}",
                    row.try_get_by_index::<String>(0).expect("a text")
                )
            }));
        }
        rows
    }

    /// Does something to the database that the product does not do.
    pub fn execute(&self, statements: &[String]) {
        let statements = statements.join(";");
        let done = self.store.write(move |tx| async move {
            tx.execute_unprepared(&statements).await?;
            Ok(())
        });
        self.runtime.block_on(done).expect("it is done");
    }
}

impl Default for Ground {
    fn default() -> Self {
        Self::new()
    }
}

/// How many texts are in a JSON value.
#[must_use]
pub fn count_texts(value: &Value) -> usize {
    match value {
        Value::String(_) => 1,
        Value::Array(items) => items.iter().map(count_texts).sum(),
        Value::Object(object) => object.values().map(count_texts).sum(),
        _ => 0,
    }
}

/// Puts the canary in the place of the text of this number.
pub fn replace_text(value: &mut Value, number: &mut usize) {
    match value {
        Value::String(text) => {
            if *number == 0 {
                CANARY.clone_into(text);
            }
            *number = number.wrapping_sub(1);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_text(item, number)),
        Value::Object(object) => object
            .values_mut()
            .for_each(|item| replace_text(item, number)),
        _ => {}
    }
}
