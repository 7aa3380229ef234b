//! The figures that a text says: amounts, percentages, other numbers, days, and numbers in words.
//!
//! One reader for the rules' own words and for the answer. It knows English, and refuses what it does not know:
//! whatever has a number in it that could be read in two ways is not used.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::domain::money::Currency;

/// Why a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It has characters, or forms, that no plain sentence has.
    NotPlain,
    /// A number is written in a way that leaves open what it is.
    Unclear,
    /// It is of another currency.
    Currency,
}

/// A day, or as much as is said of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day {
    year: Option<u32>,
    month: u32,
    day: Option<u32>,
}

/// A figure of a text. Numbers are texts without zeros that say nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Figure {
    /// Of the currency.
    Amount(String),
    /// Of a hundred.
    Percent(String),
    /// A number that stands by itself.
    Plain(String),
    /// A day.
    Day(Day),
    /// A number in words, and which, where that is clear.
    Word(String, Option<u32>),
}

/// Figures that may be said.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowed {
    amounts: BTreeSet<String>,
    percents: BTreeSet<String>,
    counts: BTreeSet<String>,
    days: Vec<Day>,
    words: BTreeSet<String>,
}

impl Allowed {
    /// All of a text.
    pub(super) fn add(&mut self, figures: Vec<Figure>) {
        for figure in figures {
            match figure {
                Figure::Amount(number) => self.amounts.insert(number),
                Figure::Percent(number) => self.percents.insert(number),
                Figure::Plain(number) if number.contains('.') => self.amounts.insert(number),
                // As an amount it is among the facts.
                Figure::Plain(number) if self.amounts.contains(&number) => false,
                Figure::Plain(number) => self.counts.insert(number),
                // "Twice" is "two times" as well.
                Figure::Word(_, Some(value)) => self.counts.insert(value.to_string()),
                Figure::Word(word, None) => self.words.insert(word),
                Figure::Day(day) => {
                    self.days.push(day);
                    true
                }
            };
        }
    }

    /// The facts: amounts are texts, percentages are called so.
    pub(super) fn add_facts(&mut self, facts: &Map<String, Value>) {
        for (key, value) in facts {
            match value {
                Value::String(text) => match day_of(text) {
                    Some(day) => self.days.push(day),
                    None if is_amount(text) => {
                        self.amounts.extend(number(text));
                    }
                    None => {}
                },
                Value::Number(value) => {
                    let value = number(&value.to_string());
                    if key.contains("percent") {
                        self.percents.extend(value);
                    } else {
                        self.counts.extend(value);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether it may be said.
    pub(super) fn has(&self, figure: &Figure) -> bool {
        match figure {
            Figure::Amount(number) => self.amounts.contains(number),
            Figure::Percent(number) => self.percents.contains(number),
            Figure::Plain(number) => self.amounts.contains(number) || self.counts.contains(number),
            Figure::Day(said) => self.days.iter().any(|day| {
                day.month == said.month
                    && said.year.is_none_or(|year| day.year == Some(year))
                    && said.day.is_none_or(|it| day.day == Some(it))
            }),
            Figure::Word(_, Some(value)) => self.counts.contains(&value.to_string()),
            Figure::Word(word, None) => self.words.contains(word),
        }
    }

    /// Whether there are amounts among them.
    pub(super) fn has_amounts(&self) -> bool {
        !self.amounts.is_empty()
    }

    /// Whether it is one of the amounts.
    pub(super) fn is_amount(&self, figure: &Figure) -> bool {
        matches!(figure, Figure::Amount(number) | Figure::Plain(number) if self.amounts.contains(number))
    }
}

/// Marks of a plain sentence.
const MARKS: &str = ".,;:!?'\"()%-&\u{2018}\u{2019}\u{201c}\u{201d}\u{2013}\u{2014}\u{2026}";
/// Signs and words of currencies; what has none is said by its code.
const CURRENCIES: [(&str, &str); 12] = [
    ("€", "EUR"),
    ("$", "USD"),
    ("£", "GBP"),
    ("¥", "JPY"),
    ("euro", "EUR"),
    ("dollar", "USD"),
    ("buck", "USD"),
    ("pound", "GBP"),
    ("quid", "GBP"),
    ("yen", "JPY"),
    ("franc", "CHF"),
    ("yuan", "CNY"),
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Numbers in words. "One" and "once" are more often no numbers.
const NUMBER_WORDS: [(&str, Option<u32>); 52] = [
    ("zero", Some(0)),
    ("two", Some(2)),
    ("twice", Some(2)),
    ("double", Some(2)),
    ("doubled", Some(2)),
    ("doubles", Some(2)),
    ("doubling", Some(2)),
    ("three", Some(3)),
    ("thrice", Some(3)),
    ("triple", Some(3)),
    ("tripled", Some(3)),
    ("four", Some(4)),
    ("quadruple", Some(4)),
    ("quadrupled", Some(4)),
    ("five", Some(5)),
    ("six", Some(6)),
    ("seven", Some(7)),
    ("eight", Some(8)),
    ("nine", Some(9)),
    ("ten", Some(10)),
    ("eleven", Some(11)),
    ("twelve", Some(12)),
    ("thirteen", Some(13)),
    ("fourteen", Some(14)),
    ("fifteen", Some(15)),
    ("sixteen", Some(16)),
    ("seventeen", Some(17)),
    ("eighteen", Some(18)),
    ("nineteen", Some(19)),
    ("twenty", Some(20)),
    ("thirty", Some(30)),
    ("forty", Some(40)),
    ("fifty", Some(50)),
    ("sixty", Some(60)),
    ("seventy", Some(70)),
    ("eighty", Some(80)),
    ("ninety", Some(90)),
    ("half", None),
    ("halved", None),
    ("third", None),
    ("thirds", None),
    ("quarter", None),
    ("quarters", None),
    ("couple", None),
    ("dozen", None),
    ("dozens", None),
    ("hundred", None),
    ("hundreds", None),
    ("thousand", None),
    ("thousands", None),
    ("million", None),
    ("billion", None),
];

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    /// Digits, maybe with points and commas between them.
    Number(&'t str),
    /// `2026-02` or `2026-02-10`.
    Iso(Day),
    Mark(char),
}

/// All figures of a text, in English.
///
/// # Errors
/// It is not plain, a number in it is unclear, or it is of another currency.
pub(super) fn read(text: &str, currency: Currency) -> Result<Vec<Figure>, Unreadable> {
    let pieces = pieces(text)?;
    let mut figures = Vec::new();
    let mut at = 0;
    while at < pieces.len() {
        if let Some((day, taken)) = worded_day(&pieces[at..]) {
            figures.push(Figure::Day(day));
            at += taken;
            continue;
        }
        let (piece, glued) = pieces[at];
        match piece {
            Token::Iso(day) => figures.push(Figure::Day(day)),
            Token::Number(digits) => {
                let before = at.checked_sub(1).map(|at| pieces[at]);
                let after = [pieces.get(at + 1), pieces.get(at + 2)].map(Option::<&_>::copied);
                figures.push(numeral(digits, glued, before, after, currency)?);
            }
            Token::Word(word) => {
                check_currency(word, currency)?;
                figures.extend(number_word(word, pieces.get(at + 1).copied())?);
                figures.extend(month_alone(word));
            }
            Token::Mark(mark) => check_currency(mark.encode_utf8(&mut [0; 4]), currency)?,
        }
        at += 1;
    }
    Ok(figures)
}

/// The pieces, and of each whether it stands directly behind the one before.
fn pieces(text: &str) -> Result<Vec<(Token<'_>, bool)>, Unreadable> {
    let mut pieces = Vec::new();
    let (mut rest, mut glued) = (text, false);
    while let Some(first) = rest.chars().next() {
        if first == ' ' {
            (rest, glued) = (&rest[1..], false);
            continue;
        }
        let span = |is: fn(char) -> bool| rest.find(|letter| !is(letter)).unwrap_or(rest.len());
        let (token, length) = if first.is_ascii_alphabetic() {
            let length = span(|letter| letter.is_ascii_alphabetic());
            (Token::Word(&rest[..length]), length)
        } else if first.is_ascii_digit() {
            match iso(rest) {
                Some((day, length)) => (Token::Iso(day), length),
                None => {
                    let length = span(|it| it.is_ascii_digit() || matches!(it, '.' | ','));
                    let digits = rest[..length].trim_end_matches(['.', ',']);
                    (Token::Number(digits), digits.len())
                }
            }
        } else if MARKS.contains(first) || "€$£¥".contains(first) {
            (Token::Mark(first), first.len_utf8())
        } else {
            return Err(Unreadable::NotPlain);
        };
        pieces.push((token, glued));
        (rest, glued) = (&rest[length..], true);
    }
    // `shop.example` is an address, whatever stands before it; so is `a.b`.
    let is_address = |it: &[(Token<'_>, bool)]| {
        matches!(
            it,
            [
                (Token::Word(_), _),
                (Token::Mark('.'), true),
                (Token::Word(_), true)
            ]
        )
    };
    if pieces.windows(3).any(is_address) {
        return Err(Unreadable::NotPlain);
    }
    // `1 234`, `3-4`, `12:30`: one number or two?
    let is_number = |it: &Token<'_>| matches!(it, Token::Number(_) | Token::Iso(_));
    let is_unclear = |it: &[(Token<'_>, bool)]| match it {
        [(one, _), (other, _), ..] if is_number(one) && is_number(other) => true,
        [(one, _), (Token::Mark(mark), true), (other, true)] => {
            is_number(one) && is_number(other) && *mark != '\u{2014}'
        }
        _ => false,
    };
    let last_two = pieces.len().saturating_sub(2);
    if pieces.windows(3).any(is_unclear) || is_unclear(&pieces[last_two..]) {
        return Err(Unreadable::Unclear);
    }
    Ok(pieces)
}

/// A day as ISO 8601 has it at the beginning of a text, and how long that is.
fn iso(text: &str) -> Option<(Day, usize)> {
    let length = text
        .find(|it: char| !it.is_ascii_digit() && it != '-')
        .unwrap_or(text.len());
    let digits = text[..length].trim_end_matches('-');
    let parts: Vec<&str> = digits.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    if !matches!(lengths.as_slice(), [4, 2] | [4, 2, 2]) {
        return None;
    }
    let day = Day {
        year: Some(parts[0].parse().ok()?),
        month: parts[1].parse().ok()?,
        day: parts.get(2).map(|day| day.parse()).transpose().ok()?,
    };
    Some((day, digits.len()))
}

/// A fact that is a day or a month.
pub(super) fn day_of(text: &str) -> Option<Day> {
    iso(text)
        .filter(|(_, length)| *length == text.len())
        .map(|(day, _)| day)
}

/// Whether a fact is an amount.
pub(super) fn is_amount(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_digit())
        && !text.contains(',')
        && number(text).is_some()
}

/// A number as English has it, with or without commas between thousands; none of anything else.
fn number(text: &str) -> Option<String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let is_grouped = whole.contains(',');
    let good = all_digits(first)
        && all_digits(part)
        && (!is_grouped || first.len() <= 3)
        && groups.all(|group| group.len() == 3 && all_digits(group));
    let whole = whole.replace(',', "");
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let part = part.trim_end_matches('0');
    good.then(|| match part {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    })
}

/// The same, for tests.
#[cfg(test)]
pub(super) fn number_of(text: &str) -> Option<String> {
    number(text)
}

type Piece<'t> = Option<(Token<'t>, bool)>;

/// What a number is, by what stands around it.
fn numeral(
    digits: &str,
    glued: bool,
    before: Piece<'_>,
    after: [Piece<'_>; 2],
    currency: Currency,
) -> Result<Figure, Unreadable> {
    let value = number(digits).ok_or(Unreadable::Unclear)?;
    // A sign, a point, a letter: `-5`, `.5`, `A5`, `5k`, `5th`.
    let before_is_clear = match before {
        Some((Token::Mark(mark), _)) if glued => "($€£¥\"'\u{2018}\u{201c}\u{2014}&".contains(mark),
        Some((Token::Word(_), _)) => !glued,
        _ => true,
    };
    if !before_is_clear || matches!(after[0], Some((Token::Word(_), true))) {
        return Err(Unreadable::Unclear);
    }
    let is_sign = |piece: Piece<'_>| match piece {
        Some((Token::Word(word), _)) => word == currency.code() || sign_of(word).is_some(),
        Some((Token::Mark(mark), _)) => sign_of(mark.encode_utf8(&mut [0; 4])).is_some(),
        _ => false,
    };
    Ok(match after {
        [Some((Token::Mark('%'), _)), _] => Figure::Percent(value),
        [Some((Token::Word(word), _)), next] if is_percent(word, next) => Figure::Percent(value),
        [next, _] if is_sign(before) || is_sign(next) => Figure::Amount(value),
        _ => Figure::Plain(value),
    })
}

fn is_percent(word: &str, next: Piece<'_>) -> bool {
    word.eq_ignore_ascii_case("percent")
        || word.eq_ignore_ascii_case("percentage")
        || word.eq_ignore_ascii_case("pct")
        || (word.eq_ignore_ascii_case("per")
            && matches!(next, Some((Token::Word(word), _)) if word.eq_ignore_ascii_case("cent")))
}

/// The currency of a sign or a word for one.
fn sign_of(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    let one = text.strip_suffix('s').unwrap_or(&text);
    let known = CURRENCIES
        .iter()
        .find(|(sign, _)| *sign == one || *sign == text);
    known.map(|(_, code)| *code)
}

fn check_currency(text: &str, currency: Currency) -> Result<(), Unreadable> {
    let is_code = text.len() == 3 && text.bytes().all(|it| it.is_ascii_uppercase());
    let of_code = Currency::parse(text).ok().filter(|_| is_code);
    let other = |code: &str| code != currency.code();
    let is_other = of_code.is_some_and(|it| other(it.code())) || sign_of(text).is_some_and(other);
    if is_other {
        Err(Unreadable::Currency)
    } else {
        Ok(())
    }
}

fn number_word(word: &str, next: Piece<'_>) -> Result<Option<Figure>, Unreadable> {
    let find = |word: &str| {
        let word = word.to_lowercase();
        NUMBER_WORDS.iter().find(|(known, _)| *known == word)
    };
    let Some((word, value)) = find(word) else {
        return Ok(None);
    };
    // `twenty five`, `two percent`, `two 50`.
    match next {
        Some((Token::Word(next), _)) if find(next).is_some() || is_percent(next, None) => {
            Err(Unreadable::Unclear)
        }
        Some((Token::Number(_) | Token::Mark('-'), _)) => Err(Unreadable::Unclear),
        _ => Ok(Some(Figure::Word((*word).to_owned(), *value))),
    }
}

/// Which month a word is, 1 to 12; short forms as well.
fn month(word: &str) -> Option<u32> {
    let word = word.to_lowercase();
    let is_it = |name: &&str| {
        **name == word || (name[..3] == word) || (word == "sept" && *name == "september")
    };
    let at = MONTHS.iter().position(is_it)?;
    u32::try_from(at + 1).ok()
}

/// A month without a day or a year; "may" and "march" are words of their own.
fn month_alone(word: &str) -> Option<Figure> {
    let is_name =
        word.starts_with(|it: char| it.is_ascii_uppercase()) && !matches!(word, "May" | "Mar");
    let month = month(word).filter(|_| is_name)?;
    Some(Figure::Day(Day {
        year: None,
        month,
        day: None,
    }))
}

/// A day in words at the beginning of the pieces: `February 10, 2026`, `10th of February`, `Feb 2026`; and how
/// many pieces it takes.
fn worded_day(pieces: &[(Token<'_>, bool)]) -> Option<(Day, usize)> {
    let token = |at: usize| pieces.get(at).map(|(token, _)| *token);
    let whole = |at: usize, range: std::ops::RangeInclusive<u32>| match token(at) {
        Some(Token::Number(digits)) => digits.parse().ok().filter(|it| range.contains(it)),
        _ => None,
    };
    let is_word = |at: usize, words: &[&str]| matches!(token(at), Some(Token::Word(word)) if words.contains(&word));
    let month_at = |at: usize| match token(at) {
        Some(Token::Word(word)) => month(word),
        _ => None,
    };
    let ordinals = ["st", "nd", "rd", "th"];
    let past = |at: usize, mark: char| at + usize::from(token(at) == Some(Token::Mark(mark)));
    let year_after = |at: usize| {
        let at = past(at, ',');
        whole(at, 1_000..=9_999).map_or((None, 0), |year| (Some(year), at + 1))
    };
    if let Some(month) = month_at(0) {
        let at = past(1, '.');
        if let Some(day) = whole(at, 1..=31) {
            let at = at + 1 + usize::from(is_word(at + 1, &ordinals));
            let (year, end) = year_after(at);
            let day = Some(day);
            return Some((Day { year, month, day }, end.max(at)));
        }
        let (year, end) = year_after(at);
        year?;
        return Some((
            Day {
                year,
                month,
                day: None,
            },
            end,
        ));
    }
    let day = Some(whole(0, 1..=31)?);
    let at = 1 + usize::from(is_word(1, &ordinals));
    let at = at + usize::from(is_word(at, &["of"]));
    let month = month_at(at)?;
    let (year, end) = year_after(at + 1);
    Some((Day { year, month, day }, end.max(at + 1)))
}
