//! Tables for people: columns that line up, numbers to the right, nothing that upsets a terminal.

use std::fmt::Write as _;

/// Longer texts of a column that is not the last push the others away no further.
const WIDTH_MAX: usize = 60;

/// A table.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// A cell.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    is_number: bool,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self {
            text: plain(text),
            is_number: false,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

macro_rules! numbers {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Cell {
            fn from(number: $kind) -> Self {
                Self { text: number.to_string(), is_number: true }
            }
        }
    )*};
}
numbers!(i32, i64, u64);

impl Table {
    /// With these headings.
    pub(super) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self {
            rows: vec![headings.map(Into::into).to_vec()],
        }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// Whether nothing stands below the headings.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The table as text; nothing at all of an empty one.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        if self.is_empty() {
            return text;
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.text.chars().count()).max();
            widest.unwrap_or_default().min(WIDTH_MAX)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let is_number = |column: usize| {
            let cells = self.rows.iter().skip(1);
            cells
                .filter_map(|row| row.get(column))
                .all(|cell| cell.is_number || cell.text == "-")
        };
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let (width, shown) = (widths[column], &cell.text);
                // Writing to a String cannot fail.
                let _ = if is_number(column) {
                    write!(line, "{shown:>width$}  ")
                } else {
                    write!(line, "{shown:<width$}  ")
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// On one line, and without control characters.
fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let mut table = Table::new(["topic", "lag", "why"]);
        table.row(["a".into(), 7_u64.into(), "one\ntwo\u{1b}[31m".into()]);
        table.row(["long.name".into(), 1_200_u64.into(), "".into()]);
        table.row(["b".into(), "-".into(), "x".into()]);
        assert_eq!(
            table.to_text(),
            "topic       lag  why\na             7  one two [31m\nlong.name  1200\nb             -  x\n"
        );
    }

    #[test]
    fn nothing_is_shown_of_an_empty_table() {
        assert_eq!(Table::new(["a", "b"]).to_text(), "");
    }
}
