//! Statements on many rows. Their text finds the rows in a table that is called `given`:
//!
//! - PostgreSQL gets each column as an array.
//! - SQLite has no arrays: it gets each value as a parameter without a number, since it looks up a
//!   numbered one among all others (64 rows of 20 columns took 7 ms to be parsed). As one text of JSON,
//!   which it would take apart for each value, the same rows cost twice as much.
//!
//! So on PostgreSQL the text of a statement is the same however many rows there are, and is parsed and
//! planned once a connection.
//!
//! PostgreSQL gets the rows in pieces that fit into a record of TLS. sqlx writes record by record,
//! to a socket on which it does not set `TCP_NODELAY` (and on which nobody else can): the end of a
//! second record would wait until the server has acknowledged the first, and that may take 40 ms.

use std::fmt::Write as _;

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Value};

use super::sql::all;

/// Bytes of rows in a piece. A record carries 16,384; the values beside the rows need some as well.
pub(super) const PIECE_BYTES: usize = 14_000;

/// Parameters of a statement of SQLite at the most (`SQLITE_MAX_VARIABLE_NUMBER` is 32,766).
const PARAMETERS_MAX: usize = 32_000;

/// Each element of an array has its length before it.
const ELEMENT_BYTES: usize = 4;

/// How many bytes a row takes on the way to PostgreSQL: rows of [`PIECE_BYTES`] together are one piece.
pub(super) fn bytes_of(row: &[Value]) -> usize {
    let bytes = |value| encoded(value).map_or(0, |(_, length)| ELEMENT_BYTES + length);
    row.iter().map(bytes).sum()
}

/// Rows for a statement. No value in them is null.
#[derive(Debug)]
pub(super) struct Given<const COLUMNS: usize> {
    columns: [&'static str; COLUMNS],
    rows: Vec<[Value; COLUMNS]>,
}

/// Rows that one statement takes, column by column.
struct Piece<const COLUMNS: usize> {
    columns: [Vec<Value>; COLUMNS],
    types: [&'static str; COLUMNS],
    bytes: usize,
}

impl<const COLUMNS: usize> Given<COLUMNS> {
    /// Rows of these columns, in this order.
    pub(super) fn new(
        columns: [&'static str; COLUMNS],
        rows: impl IntoIterator<Item = [Value; COLUMNS]>,
    ) -> Self {
        Self {
            columns,
            rows: rows.into_iter().collect(),
        }
    }

    /// Runs the statement, once for each piece of the rows and never for none; gives all that it
    /// returns. Both databases go through the rows in their order, and so does what an `INSERT` of them
    /// returns or counts on. `values` are what its own placeholders stand for.
    ///
    /// An `INSERT` that has an `ON CONFLICT` must select from `given` with a `WHERE`: SQLite would
    /// read the `ON` as that of a join.
    pub(super) async fn run(
        self,
        db: &impl ConnectionTrait,
        text: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let values: Vec<Value> = values.into_iter().collect();
        let columns = self.columns.join(", ");
        let mut found = Vec::new();
        if db.get_database_backend() != DbBackend::Postgres {
            check(&self.rows)?;
            let row = format!("({})", ["?"; COLUMNS].join(","));
            let mut left = self.rows.into_iter();
            while left.len() > 0 {
                let count = left.len().min(PARAMETERS_MAX / COLUMNS);
                let places = vec![row.as_str(); count].join(",");
                // The values beside the rows come after them.
                let text = counted_from(text, count * COLUMNS);
                let text = format!("WITH given ({columns}) AS (VALUES {places}) {text}");
                let rows = left.by_ref().take(count).flatten();
                found.extend(all(db, text, rows.chain(values.iter().cloned())).await?);
            }
            return Ok(found);
        }
        for piece in pieces(self.rows)? {
            let first = values.len() + 1;
            let arrays: Vec<String> = (first..)
                .zip(piece.types)
                .map(|(place, of)| format!("${place}::{of}[]"))
                .collect();
            let arrays = arrays.join(", ");
            let text = format!("WITH given ({columns}) AS (SELECT * FROM unnest({arrays})) {text}");
            let arrays = piece.columns.into_iter().map(array);
            found.extend(all(db, text, values.iter().cloned().chain(arrays)).await?);
        }
        Ok(found)
    }
}

/// What PostgreSQL refuses as it takes the rows apart, SQLite is not given either.
fn check<const COLUMNS: usize>(rows: &[[Value; COLUMNS]]) -> Result<(), DbErr> {
    let mut values = rows.iter().flatten();
    values.try_for_each(|value| encoded(value).map(drop))
}

fn pieces<const COLUMNS: usize>(rows: Vec<[Value; COLUMNS]>) -> Result<Vec<Piece<COLUMNS>>, DbErr> {
    let mut pieces: Vec<Piece<COLUMNS>> = Vec::new();
    for row in rows {
        let mut types = [""; COLUMNS];
        let mut bytes = 0;
        for (value, of) in row.iter().zip(&mut types) {
            let (name, length) = encoded(value)?;
            *of = name;
            bytes += ELEMENT_BYTES + length;
        }
        if pieces
            .last()
            .is_none_or(|piece| piece.bytes + bytes > PIECE_BYTES)
        {
            pieces.push(Piece {
                columns: std::array::from_fn(|_| Vec::new()),
                types,
                bytes: 0,
            });
        }
        if let Some(piece) = pieces.last_mut() {
            piece.bytes += bytes;
            for (column, value) in piece.columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
    }
    Ok(pieces)
}

/// What PostgreSQL calls the type of a value, and how many bytes it takes on the way there.
fn encoded(value: &Value) -> Result<(&'static str, usize), DbErr> {
    Ok(match value {
        Value::Bool(Some(_)) => ("boolean", 1),
        Value::SmallInt(Some(_)) => ("smallint", 2),
        Value::BigInt(Some(_)) => ("bigint", 8),
        Value::String(Some(text)) => ("text", text.len()),
        Value::Uuid(Some(_)) => ("uuid", 16),
        Value::ChronoDate(Some(_)) => ("date", 4),
        Value::ChronoDateTimeUtc(Some(_)) => ("timestamptz", 8),
        Value::Bytes(Some(bytes)) => ("bytea", bytes.len()),
        other => return Err(no_column(other)),
    })
}

/// The text with each number of a placeholder raised by so much.
fn counted_from(text: &str, first: usize) -> String {
    let mut parts = text.split('$');
    let mut counted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let number = part[..part.len() - rest.len()].parse().unwrap_or(0_usize);
        // Writing to a String cannot fail.
        let _ = write!(counted, "${}{rest}", first + number);
    }
    counted
}

fn no_column(value: &Value) -> DbErr {
    DbErr::Type(format!(
        "many rows cannot have this {:?}",
        value.array_type()
    ))
}

fn array(column: Vec<Value>) -> Value {
    let of = column.first().map_or(ArrayType::String, Value::array_type);
    Value::Array(of, Some(Box::new(column)))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_piece_is_no_larger_than_a_record() {
        let ids = |count: u128| (0..count).map(|id| [Uuid::from_u128(id).into()]);
        let sizes = |rows: Vec<[Value; 1]>| -> Vec<usize> {
            let pieces = pieces(rows).expect("pieces");
            pieces.iter().map(|piece| piece.columns[0].len()).collect()
        };
        assert_eq!(sizes(ids(700).collect()), [700]);
        assert_eq!(sizes(ids(1_500).collect()), [700, 700, 100]);
        // What is larger by itself goes alone.
        let texts = [10, 20_000, 10, 10].map(|length| ["x".repeat(length).into()]);
        assert_eq!(sizes(texts.to_vec()), [1, 1, 2]);
    }

    #[test]
    fn placeholders_count_on_behind_the_rows() {
        assert_eq!(
            counted_from("SELECT $1, id, $12::text FROM t", 40),
            "SELECT $41, id, $52::text FROM t"
        );
        assert_eq!(counted_from("SELECT 1", 40), "SELECT 1");
    }

    #[test]
    fn what_is_null_or_of_another_type_is_an_error() {
        for value in [Option::<Uuid>::None.into(), 1.5_f64.into()] {
            let rows = vec![[value]];
            assert!(check(&rows).is_err());
            assert!(pieces(rows).is_err());
        }
    }
}
