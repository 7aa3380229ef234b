//! Files of the European Central Bank: what a euro was worth on its working days.
//!
//! There are two kinds. `eurofxref.csv` and `eurofxref-hist.csv` have a column for each currency and a line for each day;
//! `eurofxref-daily.xml`, `eurofxref-hist-90d.xml` and `eurofxref-hist.xml` an element for each. A file is taken as a whole
//! or not at all: what is wrong with it is told line by line.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use chrono::NaiveDate;
use csv::{ReaderBuilder, StringRecord, Trim};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::domain::exchange::{BASE, PublicRate};
use crate::domain::money::Currency;
use crate::domain::rate::Rate;

/// The euro's first year.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1999, 1, 1).expect("a day");

/// Lines that are told of; of more it is told how many.
const TOLD_MAX: usize = 20;
/// Characters of a text that are repeated.
const ECHO_CHARS_MAX: usize = 40;

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A column for each currency.
    Csv,
    /// An element for each rate.
    Xml,
}

impl Format {
    /// As it begins.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let first = without_mark(bytes)
            .iter()
            .find(|byte| !byte.is_ascii_whitespace());
        match first {
            Some(b'<') => Self::Xml,
            _ => Self::Csv,
        }
    }
}

/// A file begins with it where Windows wrote it.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The rates of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    rates: Vec<PublicRate>,
    not_in_use: BTreeSet<String>,
}

impl Sheet {
    /// In the order of the file; at least one, and one for each currency and day.
    #[must_use]
    pub fn rates(&self) -> &[PublicRate] {
        &self.rates
    }

    /// Currencies that are in use no more: nobody can have them here.
    #[must_use]
    pub fn not_in_use(&self) -> &BTreeSet<String> {
        &self.not_in_use
    }
}

/// A line that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct BadSheet {
    /// The first lines that are wrong.
    pub lines: Vec<BadLine>,
    /// How many there are besides.
    pub more: u64,
}

impl fmt::Display for BadSheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, bad) in self.lines.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}line {}: {}", bad.line, bad.what)?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

/// Reads a file. No rate is of a day after `last_day`.
///
/// # Errors
/// The lines that cannot be taken.
pub fn read(bytes: &[u8], format: Format, last_day: NaiveDate) -> Result<Sheet, BadSheet> {
    let mut reading = Reading {
        last_day,
        seen: HashSet::new(),
        sheet: Sheet {
            rates: Vec::new(),
            not_in_use: BTreeSet::new(),
        },
        bad: BadSheet::default(),
    };
    let bytes = without_mark(bytes);
    if bytes.starts_with(b"PK\x03\x04") {
        reading.wrong(1, "this is a zip file: unzip it first");
    } else if format == Format::Csv {
        reading.csv(bytes);
    } else {
        reading.xml(bytes);
    }
    if reading.sheet.rates.is_empty() && reading.bad.lines.is_empty() {
        reading.wrong(1, "there are no rates in this file");
    }
    if reading.bad.lines.is_empty() {
        Ok(reading.sheet)
    } else {
        Err(reading.bad)
    }
}

/// A column, or what an element says of the currency.
#[derive(Debug, Clone, Copy)]
enum Named {
    InUse(Currency),
    /// It was one once.
    Past,
}

/// The day that rates are of.
#[derive(Debug, Clone, Copy)]
enum Day {
    None,
    /// One that cannot be.
    Wrong,
    Is(NaiveDate),
}

struct Reading {
    last_day: NaiveDate,
    seen: HashSet<(Currency, NaiveDate)>,
    sheet: Sheet,
    bad: BadSheet,
}

impl Reading {
    fn wrong(&mut self, line: u64, what: impl Into<String>) {
        if self.bad.lines.len() < TOLD_MAX {
            let what = what.into();
            self.bad.lines.push(BadLine { line, what });
        } else {
            self.bad.more += 1;
        }
    }

    fn csv(&mut self, bytes: &[u8]) {
        let mut lines = Lines::of(bytes);
        let mut records = ReaderBuilder::new()
            .has_headers(false)
            .trim(Trim::All)
            .from_reader(bytes)
            .into_records();
        let Some(columns) = records.next().and_then(|first| self.columns(first)) else {
            return;
        };
        for record in records {
            let place = match &record {
                Ok(record) => record.position(),
                Err(error) => error.position(),
            };
            let line = lines.of_record(place.map_or(0, csv::Position::byte));
            match record {
                Ok(record) => self.day_of_csv(line, &record, &columns),
                Err(error) => self.broken_csv(line, &error),
            }
        }
    }

    fn broken_csv(&mut self, line: u64, error: &csv::Error) {
        let what = match error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("{len} columns, and {expected_len} in the first line"),
            csv::ErrorKind::Utf8 { .. } => "it is no text".to_owned(),
            other => format!("{other:?}"),
        };
        self.wrong(line, what);
    }

    /// The currencies of the columns; none of one without a name.
    fn columns(&mut self, first: csv::Result<StringRecord>) -> Option<Vec<Option<Named>>> {
        let first = match first {
            Ok(first) => first,
            Err(error) => {
                self.broken_csv(1, &error);
                return None;
            }
        };
        if first.get(0) != Some("Date") {
            self.wrong(1, "the first column is not Date: this is no file of rates");
            return None;
        }
        let mut names = HashSet::new();
        let mut columns = Vec::new();
        for name in first.iter().skip(1) {
            if name.is_empty() {
                columns.push(None);
                continue;
            }
            if !names.insert(name) {
                self.wrong(1, format!("two columns are {}", echo(name)));
            }
            columns.push(self.currency(1, name));
        }
        self.bad.lines.is_empty().then_some(columns)
    }

    fn day_of_csv(&mut self, line: u64, record: &StringRecord, columns: &[Option<Named>]) {
        let Some(date) = self.day(line, record.get(0).unwrap_or_default()) else {
            return;
        };
        for (cell, column) in record.iter().skip(1).zip(columns) {
            match column {
                _ if cell.is_empty() || cell == "N/A" => {}
                Some(column) => self.rate(line, *column, date, cell),
                None => self.wrong(
                    line,
                    format!("{} stands in a column without a name", echo(cell)),
                ),
            }
        }
    }

    fn xml(&mut self, bytes: &[u8]) {
        let mut reader = Reader::from_reader(bytes);
        let (mut depth, mut day) = (0_u64, Day::None);
        let mut lines = Lines::of(bytes);
        loop {
            let line = lines.at(reader.buffer_position());
            match reader.read_event() {
                Ok(Event::Start(element)) => {
                    depth += 1;
                    self.element(line, &element, &mut day);
                }
                Ok(Event::Empty(element)) => self.element(line, &element, &mut day),
                Ok(Event::End(_)) => depth = depth.saturating_sub(1),
                Ok(Event::Eof) if depth > 0 => {
                    return self.wrong(line, "the file ends in the middle");
                }
                Ok(Event::Eof) => return,
                Ok(_) => {}
                Err(error) => return self.wrong(line, echo(&error.to_string())),
            }
        }
    }

    /// `<Cube time="…">` begins a day, `<Cube currency="…" rate="…"/>` is a rate of it.
    fn element(&mut self, line: u64, element: &BytesStart<'_>, day: &mut Day) {
        if element.local_name().as_ref() != "Cube" {
            return;
        }
        let (mut time, mut currency, mut rate) = (None, None, None);
        for attribute in element.attributes() {
            let Ok(attribute) = attribute else {
                return self.wrong(line, "an attribute is malformed");
            };
            let value = attribute.value.trim().to_owned();
            match attribute.key.local_name().as_ref() {
                "time" => time = Some(value),
                "currency" => currency = Some(value),
                "rate" => rate = Some(value),
                _ => {}
            }
        }
        if let Some(time) = time {
            *day = self.day(line, &time).map_or(Day::Wrong, Day::Is);
        }
        let (currency, rate) = match (currency, rate) {
            (Some(currency), Some(rate)) => (currency, rate),
            (None, None) => return,
            _ => return self.wrong(line, "a rate without a currency, or the other way round"),
        };
        match day {
            Day::None => self.wrong(line, "a rate without a day"),
            // That was told.
            Day::Wrong => {}
            Day::Is(date) => {
                let named = self.currency(line, &currency);
                if let Some(named) = named {
                    self.rate(line, named, *date, &rate);
                }
            }
        }
    }

    /// A day as in both kinds of files, or as in `eurofxref.csv`: `10 February 2026`.
    fn day(&mut self, line: u64, text: &str) -> Option<NaiveDate> {
        let day = text
            .parse()
            .ok()
            // The parser takes `2026-2-1` and years of five digits too.
            .filter(|day: &NaiveDate| day.to_string() == text)
            .or_else(|| NaiveDate::parse_from_str(text, "%d %B %Y").ok());
        let last_day = self.last_day;
        match day {
            Some(day) if (FIRST_DAY..=last_day).contains(&day) => return Some(day),
            Some(day) => self.wrong(
                line,
                format!("{day} is no day of rates: they are from {FIRST_DAY} to {last_day}"),
            ),
            None => self.wrong(line, format!("{} is no day", echo(text))),
        }
        None
    }

    fn currency(&mut self, line: u64, code: &str) -> Option<Named> {
        if let Ok(currency) = Currency::parse(code) {
            if currency.code() == BASE {
                self.wrong(line, "rates of the euro are of other currencies");
                return None;
            }
            return Some(Named::InUse(currency));
        }
        if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            self.sheet.not_in_use.insert(code.to_owned());
            return Some(Named::Past);
        }
        self.wrong(line, format!("{} is no currency", echo(code)));
        None
    }

    fn rate(&mut self, line: u64, of: Named, date: NaiveDate, text: &str) {
        let rate = match Rate::parse(text) {
            Ok(rate) => rate,
            Err(error) => return self.wrong(line, format!("{}: {error}", echo(text))),
        };
        let Named::InUse(currency) = of else {
            return;
        };
        if !self.seen.insert((currency, date)) {
            return self.wrong(line, format!("{currency} of {date} stands here twice"));
        }
        self.sheet.rates.push(PublicRate {
            currency,
            date,
            rate,
        });
    }
}

/// Counts the lines of a file, from its beginning on.
struct Lines<'a> {
    left: &'a [u8],
    passed: u64,
    line: u64,
}

impl<'a> Lines<'a> {
    const fn of(bytes: &'a [u8]) -> Self {
        Self {
            left: bytes,
            passed: 0,
            line: 1,
        }
    }

    /// The line of a byte, which is not before the last one that was asked for.
    fn at(&mut self, byte: u64) -> u64 {
        let count = usize::try_from(byte.saturating_sub(self.passed)).unwrap_or(usize::MAX);
        let (passed, left) = self.left.split_at(count.min(self.left.len()));
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.passed += passed.len() as u64;
        self.left = left;
        self.line
    }

    /// The same of a record: the end of the line before it, and empty lines, are counted as a part of it.
    fn of_record(&mut self, byte: u64) -> u64 {
        self.at(byte);
        let ends = self
            .left
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let begin = self.passed + ends.count() as u64;
        self.at(begin)
    }
}

/// A text of the file, on one line and cut.
fn echo(text: &str) -> String {
    let cut: String = text.chars().take(ECHO_CHARS_MAX).collect();
    format!("{cut:?}")
}
