//! The migrated schema is what the code believes: the entities have its columns, it comes down and
//! up again.

use std::collections::{BTreeMap, BTreeSet};

use migrations::{Migrator, MigratorTrait};
use sea_orm::{
    ColumnTrait, ColumnType, ConnectOptions, Database, DatabaseConnection, EntityTrait, IdenStatic,
    Iterable, PrimaryKeyToColumn, QueryResult, Statement,
};
use wealth_companion::store::entities;

/// A column: its name, what it holds, whether it may be null, whether it is part of the key.
type Column = (String, &'static str, bool, bool);

/// What stands in one cell of SQLite, whatever name the type has.
fn kind_of_entity(column: &ColumnType) -> &'static str {
    match column {
        ColumnType::Uuid => "uuid",
        ColumnType::String(_) | ColumnType::Text => "text",
        ColumnType::BigInteger => "bigint",
        ColumnType::SmallInteger => "smallint",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::TimestampWithTimeZone => "moment",
        ColumnType::Binary(_) | ColumnType::VarBinary(_) | ColumnType::Blob => "bytes",
        other => panic!("an entity has a column of {other:?}"),
    }
}

fn kind_of_table(declared: &str) -> &'static str {
    let name = declared.split('(').next().unwrap_or_default();
    match name.to_lowercase().as_str() {
        "uuid_text" => "uuid",
        "varchar" | "text" => "text",
        "bigint" | "integer" => "bigint",
        "smallint" => "smallint",
        "boolean" => "boolean",
        "date_text" => "date",
        "timestamp_with_timezone_text" => "moment",
        "blob" | "binary_blob" | "varbinary_blob" => "bytes",
        other => panic!("a table has a column of {other}"),
    }
}

fn columns_of<E>() -> (String, BTreeSet<Column>)
where
    E: EntityTrait + Default,
{
    let keys: Vec<&str> = E::PrimaryKey::iter()
        .map(|key| key.into_column().as_str())
        .collect();
    let columns = E::Column::iter().map(|column| {
        let def = column.def();
        let kind = kind_of_entity(def.get_column_type());
        let name = column.as_str();
        (name.to_owned(), kind, def.is_null(), keys.contains(&name))
    });
    (E::default().table_name().to_owned(), columns.collect())
}

/// Every entity that there is.
fn entities() -> BTreeMap<String, BTreeSet<Column>> {
    macro_rules! all {
        ($($entity:ident),+ $(,)?) => {
            [$((stringify!($entity), columns_of::<entities::$entity::Entity>())),+]
        };
    }
    let all = all![
        alerts,
        budget_categories,
        budget_crossings,
        budget_crossings_past,
        budget_periods,
        budgets,
        categories,
        daily_spending,
        dead_letters,
        deleted_users,
        deliveries,
        event_log,
        exchange_rates,
        goal_contributions,
        goals,
        idempotency_keys,
        inbox,
        insight_looks,
        insights,
        log_cursors,
        monthly_totals,
        notification_choices,
        outbox,
        personal_tokens,
        read_model_positions,
        recurring,
        recurring_occurrences,
        refresh_tokens,
        rule_changes,
        rule_runs,
        rules,
        sessions,
        transaction_splits,
        transaction_tags,
        transaction_words,
        transactions,
        transfers,
        user_rates,
        users,
        wallets,
    ];
    all.into_iter()
        .map(|(module, (table, columns))| {
            assert_eq!(module, table, "the module is named after the table");
            (table, columns)
        })
        .collect()
}

async fn rows(db: &DatabaseConnection, text: &str) -> Vec<QueryResult> {
    use sea_orm::ConnectionTrait;
    db.query_all_raw(Statement::from_string(db.get_database_backend(), text))
        .await
        .expect(text)
}

fn text(row: &QueryResult, column: &str) -> String {
    row.try_get("", column).expect(column)
}

async fn tables(db: &DatabaseConnection) -> BTreeMap<String, BTreeSet<Column>> {
    let mut tables = BTreeMap::new();
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
         AND name <> 'seaql_migrations'";
    for row in rows(db, names).await {
        let table = text(&row, "name");
        let described = rows(db, &format!("PRAGMA table_info({table})")).await;
        let columns = described.iter().map(|column| {
            let is_key = column.try_get::<i32>("", "pk").expect("pk") > 0;
            let not_null = column.try_get::<bool>("", "notnull").expect("notnull");
            let kind = kind_of_table(&text(column, "type"));
            // SQLite does not say of a primary key that it is never null.
            (text(column, "name"), kind, !not_null && !is_key, is_key)
        });
        tables.insert(table, columns.collect());
    }
    tables
}

/// A database of its own, in memory.
async fn empty() -> DatabaseConnection {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("a database")
}

#[tokio::test]
async fn the_entities_are_the_tables() {
    let db = empty().await;
    Migrator::up(&db, None).await.expect("up");
    let (tables, entities) = (tables(&db).await, entities());
    let names = |of: &BTreeMap<String, _>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&entities), names(&tables));
    for (table, columns) in &tables {
        assert_eq!(&entities[table], columns, "{table}");
    }
}

#[test]
fn every_module_of_entities_is_compared() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/entities");
    let modules: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the entities")
        .map(|entry| entry.expect("an entry").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(modules, entities().into_keys().collect());
}

/// Everything that the schema is made of, as it was declared.
async fn declared(db: &DatabaseConnection) -> BTreeSet<String> {
    let all = "SELECT type || ' ' || name || ': ' || COALESCE(sql, '') AS sql FROM sqlite_master \
         WHERE name NOT LIKE 'sqlite_%' AND name <> 'seaql_migrations'";
    rows(db, all)
        .await
        .iter()
        .map(|row| text(row, "sql"))
        .collect()
}

#[tokio::test]
async fn the_migrations_go_down_and_up_again() {
    let db = empty().await;
    Migrator::up(&db, None).await.expect("up");
    let first = declared(&db).await;
    assert!(first.len() > 30, "{first:#?}");
    Migrator::down(&db, None).await.expect("down");
    assert_eq!(declared(&db).await, BTreeSet::new(), "nothing is left");
    Migrator::up(&db, None).await.expect("up again");
    assert_eq!(declared(&db).await, first);
    Migrator::up(&db, None).await.expect("nothing to do");
    assert_eq!(declared(&db).await, first);
}

#[tokio::test]
async fn every_step_of_the_migrations_goes_down_alone() {
    let db = empty().await;
    let steps = u32::try_from(Migrator::migrations().len()).expect("few");
    let mut before = Vec::new();
    for _ in 0..steps {
        before.push(declared(&db).await);
        Migrator::up(&db, Some(1)).await.expect("up");
    }
    while let Some(expected) = before.pop() {
        Migrator::down(&db, Some(1)).await.expect("down");
        assert_eq!(declared(&db).await, expected);
    }
}
