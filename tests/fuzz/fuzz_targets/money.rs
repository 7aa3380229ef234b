//! Amounts are read exactly or refused, print and read back the same, and no arithmetic wraps.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wealth_companion::domain::budget::{self, PERCENT_BOUND};
use wealth_companion::domain::money::{
    self, AMOUNT_MINOR_MAX, AmountText, Currency, Money, MoneyError,
};

/// With 0, 2, 3 and 4 digits.
const CODES: [&str; 4] = ["JPY", "EUR", "KWD", "CLF"];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    code: &'a str,
    currency: u8,
    text: &'a str,
    minor: i64,
    other: i64,
    threshold: u16,
}

fuzz_target!(|input: Input<'_>| {
    code(input.code);
    let currency =
        Currency::parse(CODES[usize::from(input.currency) % CODES.len()]).expect("it is in use");
    reading(input.text, currency);
    printing(Money::new(input.minor, currency));
    adding(
        Money::new(input.minor, currency),
        Money::new(input.other, currency),
    );
    spending(input.minor, input.other, input.threshold);
});

fn code(code: &str) {
    match Currency::parse(code) {
        Ok(currency) => assert_eq!((currency.code(), currency.exponent() <= 4), (code, true)),
        Err(error) => assert!(
            error.to_string().len() < 500,
            "it repeats all that was sent"
        ),
    }
}

/// What a decimal says, by other means than those of the product: none where it is malformed, too fine or too large.
fn counted(text: &str, exponent: usize) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let written = if digits.contains('.') {
        fraction.len()
    } else {
        0
    };
    if !plain(whole) || !plain(fraction) || written > exponent {
        return None;
    }
    let padded = format!(
        "{}{}",
        whole.trim_start_matches('0'),
        format_args!("{fraction:0<exponent$.exponent$}")
    );
    if padded.len() > 30 {
        return None;
    }
    let value: i128 = if padded.is_empty() {
        0
    } else {
        padded.parse().ok()?
    };
    let signed = if text.starts_with('-') { -value } else { value };
    i64::try_from(signed).ok().map(i128::from)
}

fn reading(text: &str, currency: Currency) {
    let read = Money::parse(text, currency);
    let expected = counted(text, usize::from(currency.exponent()));
    assert_eq!(
        read.as_ref().ok().map(|money| i128::from(money.minor())),
        expected,
        "{text:?} {currency}"
    );
    // A number without exponent says what the text says.
    let number = Money::parse_number(text, currency);
    if !text.contains(['e', 'E']) {
        assert_eq!(number, read);
    }
    if let Ok(money) = number {
        printing(money);
    }
    if let Ok(amount) = money::parse_amount(text, currency) {
        assert!((1..=AMOUNT_MINOR_MAX).contains(&amount.minor()));
        assert_eq!(read, Ok(amount));
    }
    if let Ok(balance) = AmountText::Number(text.to_owned()).balance(currency) {
        assert!(balance.minor().unsigned_abs() <= AMOUNT_MINOR_MAX.unsigned_abs());
    }
}

fn printing(money: Money) {
    let text = money.to_string();
    assert_eq!(Money::parse(&text, money.currency()), Ok(money), "{text}");
    assert_eq!(
        Money::parse_number(&text, money.currency()),
        Ok(money),
        "{text}"
    );
}

fn adding(left: Money, right: Money) {
    let (a, b) = (i128::from(left.minor()), i128::from(right.minor()));
    let is = |result: Result<Money, MoneyError>, wanted: i128| match i64::try_from(wanted) {
        Ok(minor) => assert_eq!(result, Ok(Money::new(minor, left.currency()))),
        Err(_) => assert_eq!(result, Err(MoneyError::OutOfRange)),
    };
    is(left.checked_add(right), a + b);
    is(left.checked_sub(right), a - b);
    is(left.checked_neg(), -a);
    let foreign = Money::new(right.minor(), Currency::parse("CHF").expect("it is in use"));
    assert!(left.checked_add(foreign).is_err() && left.checked_sub(foreign).is_err());
}

fn spending(spent: i64, limit: i64, threshold: u16) {
    let percent = budget::percent(spent, limit);
    if limit > 0 && spent > 0 {
        assert_eq!(
            budget::reached(spent, limit, threshold),
            percent >= i64::from(threshold)
        );
        let exact = i128::from(spent) * 100 / i128::from(limit);
        assert_eq!(i128::from(percent), exact.min(i128::from(PERCENT_BOUND)));
    } else if spent <= 0 {
        assert!(percent <= 0 && !budget::reached(spent, limit, threshold));
    }
}
