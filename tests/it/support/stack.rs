//! The real parts that `make stack` runs, and databases on them.
//!
//! `WEALTH_TEST_DATABASE=postgres` runs the stories on PostgreSQL, each on a database of its own:
//! a folder of a test stands for one, cloned from a template that this process has migrated.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::Value;
use wealth_companion::store::schema::Schema;

/// A key that signs the tokens of tests.
pub(crate) const SIGNING_KEY: &str = "only-for-tests-0123456789abcdef-0123456789";

/// What `make stack` wrote down of the parts that it runs.
pub(crate) struct Stack(Value);

impl Stack {
    /// The running parts that all tests share. Fails where there are none.
    pub(crate) fn get() -> &'static Self {
        static STACK: OnceLock<Stack> = OnceLock::new();
        STACK.get_or_init(|| Self::of(&folder()))
    }

    /// The parts that are described in a folder.
    pub(crate) fn of(folder: &Path) -> Self {
        let file = folder.join("stack.json");
        let text = std::fs::read_to_string(&file);
        let text = text.unwrap_or_else(|error| {
            let file = file.display();
            panic!("run `make stack`: this test needs its parts ({file}: {error})")
        });
        Self(serde_json::from_str(&text).expect("JSON"))
    }

    /// A text of the description, by its path, `/kafka/brokers` for example.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        let value = self.0.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("run `make stack`: stack.json has no {pointer}"))
    }

    /// A port of the description, by its path.
    pub(crate) fn port(&self, pointer: &str) -> u16 {
        let value = self.0.pointer(pointer).and_then(Value::as_u64);
        let port = value.and_then(|port| u16::try_from(port).ok());
        port.unwrap_or_else(|| panic!("run `make stack`: stack.json has no {pointer}"))
    }

    /// The texts of an object of the description, by its path.
    pub(crate) fn table(&self, pointer: &str) -> HashMap<&str, &str> {
        let table = self.0.pointer(pointer).and_then(Value::as_object);
        let table =
            table.unwrap_or_else(|| panic!("run `make stack`: stack.json has no {pointer}"));
        let texts = table.iter();
        texts
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect()
    }

    /// The URL of a database of this name, on the server itself.
    pub(crate) fn database_url(&self, name: &str) -> String {
        with_database(self.text("/postgres/url"), name)
    }

    /// The URL of a database of this name, through the pooler.
    pub(crate) fn pooled_url(&self, name: &str) -> String {
        with_database(self.text("/pgbouncer/url"), name)
    }
}

fn folder() -> PathBuf {
    std::env::var_os("WEALTH_STACK_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".stack"),
        PathBuf::from,
    )
}

fn with_database(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{name}")
}

/// Whether the stories run on PostgreSQL.
pub(crate) fn on_postgres() -> bool {
    match std::env::var("WEALTH_TEST_DATABASE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("WEALTH_TEST_DATABASE: {other:?} is neither sqlite nor postgres"),
    }
}

/// The database that stands for a folder: migrated, and empty when it is first asked for.
pub(crate) fn database_of(folder: &Path) -> String {
    static OF_FOLDERS: Mutex<Option<HashMap<PathBuf, String>>> = Mutex::new(None);
    let mut known = OF_FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let new = known.entry(folder.to_owned());
    new.or_insert_with(fresh_database).clone()
}

/// A new database, migrated and empty; its name.
pub(crate) fn fresh_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let template = template();
    let name = named(COUNT.fetch_add(1, Ordering::Relaxed));
    on_server(format!("CREATE DATABASE {name} TEMPLATE {template}"));
    name
}

/// A new database without any tables; its name.
pub(crate) fn empty_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(100_000);
    let name = named(COUNT.fetch_add(1, Ordering::Relaxed));
    on_server(format!("CREATE DATABASE {name} TEMPLATE template0"));
    name
}

/// Databases carry the process that made them, so that the next one can tell what was left behind.
fn named(number: u32) -> String {
    format!("it_{}_{number}", std::process::id())
}

fn template() -> &'static str {
    static TEMPLATE: OnceLock<String> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        // Before any story begins: dropping makes the server flush, and others wait.
        drop_leftovers();
        let name = empty_database();
        migrate(&Stack::get().database_url(&name));
        name
    })
}

/// Migrates the database of this URL.
pub(crate) fn migrate(url: &str) {
    let set = [("database.url", url), ("auth.jwt_secret_key", SIGNING_KEY)];
    let config = super::config_with(&set);
    blocking(async move {
        let schema = Schema::open(&config).await.expect("it opens");
        schema.up().await.expect("migrated");
    });
}

/// Removes the databases of test processes that have ended.
fn drop_leftovers() {
    let text = "SELECT datname FROM pg_database WHERE datname LIKE 'it\\_%'";
    let is_over = |name: &String| {
        let pid = name.split('_').nth(1).unwrap_or_default();
        !Path::new("/proc").join(pid).exists()
    };
    for name in names(text).iter().filter(|name| is_over(name)) {
        on_server(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    }
}

fn on_server(text: String) {
    blocking(async move {
        let db = admin().await;
        db.execute_unprepared(&text).await.expect(&text);
    });
}

fn names(text: &str) -> Vec<String> {
    let text = text.to_owned();
    blocking(async move {
        let db = admin().await;
        let statement = Statement::from_string(db.get_database_backend(), text);
        let rows = db.query_all_raw(statement).await.expect("rows");
        rows.iter()
            .map(|row| row.try_get_by_index(0).expect("a name"))
            .collect()
    })
}

/// A connection to the server that may do everything.
pub(crate) async fn admin() -> DatabaseConnection {
    connect(Stack::get().text("/postgres/url")).await
}

/// A single connection to this URL.
pub(crate) async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options)
        .await
        .expect("run `make stack`: PostgreSQL answers")
}

/// Runs it to its end, whether or not a runtime is running here.
fn blocking<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        runtime.block_on(work)
    });
    thread.join().expect("the database does what it is told")
}
