//! Statements written by hand, for the hot paths and for what a query builder cannot say.
//!
//! Placeholders are `$1`, `$2`, …: both databases know them.

use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement, Value};

use super::StoreError;

/// A statement with its values.
pub(crate) fn statement(
    db: &impl ConnectionTrait,
    text: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), text, values)
}

/// Runs a statement that gives no rows.
pub(crate) async fn execute(
    db: &impl ConnectionTrait,
    text: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Result<ExecResult, DbErr> {
    db.execute_raw(statement(db, text, values)).await
}

/// The first row, if there is one.
pub(crate) async fn one(
    db: &impl ConnectionTrait,
    text: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<QueryResult>, DbErr> {
    db.query_one_raw(statement(db, text, values)).await
}

/// The number that a `SELECT COUNT` gives.
pub(crate) async fn count(
    db: &impl ConnectionTrait,
    text: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, StoreError> {
    let row = one(db, text, values).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    u64::try_from(count).map_err(StoreError::defect)
}

/// All rows.
pub(crate) async fn all(
    db: &impl ConnectionTrait,
    text: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(statement(db, text, values)).await
}

/// The first day of the month of a day.
pub(crate) fn month_of(db: &impl ConnectionTrait, day: &str) -> String {
    match db.get_database_backend() {
        DbBackend::Postgres => format!("date_trunc('month', {day})::date"),
        _ => format!("date({day}, 'start of month')"),
    }
}

/// What a `SELECT` ends with that holds its rows until the unit of work ends. SQLite has one writer anyway.
pub(crate) fn held(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Postgres => " FOR NO KEY UPDATE",
        _ => "",
    }
}

/// What a database calls the place of a row: for statements that remove a bounded number of rows.
pub(crate) fn row_id(db: &impl ConnectionTrait) -> &'static str {
    match db.get_database_backend() {
        DbBackend::Postgres => "ctid",
        _ => "rowid",
    }
}

/// `$first, $first+1, …`: the placeholders of a list.
pub(crate) fn list(count: usize, first: usize) -> String {
    placeholders(count, |text, index| {
        // Writing to a String cannot fail.
        let _ = write!(text, "${}", first + index);
    })
}

fn placeholders(count: usize, mut one: impl FnMut(&mut String, usize)) -> String {
    let mut text = String::with_capacity(count * 8);
    for index in 0..count {
        if index > 0 {
            text.push_str(", ");
        }
        one(&mut text, index);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_count_on() {
        assert_eq!(list(3, 4), "$4, $5, $6");
        assert_eq!(list(0, 1), "");
    }
}
