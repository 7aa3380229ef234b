//! A file of exchange rates is read into rates, each once and more than zero, or refused with the lines that are wrong. A rate
//! prints and reads back the same, and converts an amount to what an independent reader makes of it.
//!
//! The first byte chooses: a file, or a text of two rates and a number with spaces between them.
#![no_main]

use std::collections::HashSet;

use chrono::NaiveDate;
use libfuzzer_sys::fuzz_target;
use wealth_companion::domain::money::{Currency, Money};
use wealth_companion::domain::rate::Rate;
use wealth_companion::operator::rates::ecb::{self, Format};

/// With 0, 2, 3 and 4 digits.
const CODES: [&str; 4] = ["JPY", "EUR", "KWD", "CLF"];

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((choice, file)) if choice % 2 == 0 => {
            for format in [Format::Csv, Format::Xml] {
                reading(file, format);
            }
        }
        Some((choice, text)) => {
            if let Ok(text) = std::str::from_utf8(text) {
                rates(*choice, text);
            }
        }
        None => {}
    }
});

fn reading(file: &[u8], format: Format) {
    let last_day = NaiveDate::from_ymd_opt(2026, 2, 10).expect("a day");
    let read = ecb::read(file, format, last_day);
    assert_eq!(
        read,
        ecb::read(file, format, last_day),
        "not the same twice"
    );
    match read {
        Ok(sheet) => {
            assert!(!sheet.rates().is_empty());
            let mut seen = HashSet::new();
            for it in sheet.rates() {
                assert!(seen.insert((it.currency, it.date)), "{it:?} twice");
                assert!(it.date <= last_day && it.currency.code() != "EUR");
                printing(it.rate);
            }
        }
        Err(bad) => {
            assert!((1..=20).contains(&bad.lines.len()));
            assert!(bad.more == 0 || bad.lines.len() == 20);
            let lines = file
                .iter()
                .filter(|byte| matches!(byte, b'\n' | b'\r'))
                .count() as u64
                + 1;
            for it in &bad.lines {
                assert!((1..=lines).contains(&it.line), "{it:?} of {lines}");
                assert!(
                    it.what.len() < 1_000 && !it.what.contains(char::is_control),
                    "{it:?}"
                );
            }
        }
    }
}

fn rates(choice: u8, text: &str) {
    let mut words = text.split(' ');
    let mut rate = || {
        let word = words.next().unwrap_or_default();
        let read = Rate::parse_number(word);
        if !word.contains(['e', 'E']) {
            assert_eq!(Rate::parse(word), read, "{word:?}");
        }
        read.ok()
    };
    let (first, second) = (rate(), rate());
    let minor = words
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(1_i64);
    let code = |number: u8| Currency::parse(CODES[usize::from(number) % 4]).expect("it is in use");
    let (from, to) = (code(choice >> 1), code(choice >> 3));
    for rate in [first, second].into_iter().flatten() {
        printing(rate);
        converting(rate, Money::new(minor, from), to);
        if let Ok(inverse) = rate.inverse() {
            printing(inverse);
        }
    }
    if let (Some(first), Some(second)) = (first, second)
        && let Ok(across) = Rate::across(first, second)
    {
        printing(across);
        assert_eq!(Rate::across(first, first), Ok(Rate::ONE));
    }
}

fn printing(rate: Rate) {
    let text = rate.to_string();
    assert_eq!(Rate::parse(&text), Ok(rate), "{text}");
    assert!(
        text.bytes()
            .any(|byte| byte.is_ascii_digit() && byte != b'0'),
        "{text}"
    );
}

/// By what is shown of the rate alone: the nearest to the product, and of two that are as near the even one.
fn converting(rate: Rate, amount: Money, to: Currency) {
    let text = rate.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mantissa: i128 = format!("{whole}{fraction}").parse().expect("digits");
    let behind = fraction.len() + usize::from(amount.currency().exponent());
    let digits = usize::from(to.exponent());
    let ten = |count: usize| 10_i128.pow(u32::try_from(count).expect("few"));
    let exact = i128::from(amount.minor()) * mantissa * ten(digits.saturating_sub(behind));
    let unit = ten(behind.saturating_sub(digits));
    let (down, rest) = (exact.div_euclid(unit), exact.rem_euclid(unit));
    let up = match (rest * 2).cmp(&unit) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => down % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    let expected = i64::try_from(down + i128::from(up)).ok();
    let converted = rate.convert(amount, to).ok();
    assert_eq!(
        converted.map(Money::minor),
        expected,
        "{amount:?} by {text} to {to}"
    );
}
