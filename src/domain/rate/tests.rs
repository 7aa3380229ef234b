#![allow(clippy::unwrap_used)]

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{DIGITS_MAX, Rate, RateError};
use crate::domain::money::{Currency, Money, MoneyError};

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn rate(text: &str) -> Rate {
    Rate::parse(text).unwrap()
}

fn converted(minor: i64, from: &str, rate: &str, to: &str) -> i64 {
    let amount = Money::new(minor, currency(from));
    let done = self::rate(rate).convert(amount, currency(to)).unwrap();
    assert_eq!(done.currency(), currency(to));
    done.minor()
}

#[test]
fn what_is_read_is_what_is_shown() {
    for (text, shown) in [
        ("1", "1"),
        ("1.0842", "1.0842"),
        ("01.08420", "1.0842"),
        ("150", "150"),
        ("150.00", "150"),
        ("0.000000000001", "0.000000000001"),
        ("0.00000000000123456789012", "0.00000000000123456789012"),
        ("999999999999", "999999999999"),
        ("100000000000.0", "100000000000"),
    ] {
        assert_eq!(
            Rate::parse(text).map(|it| it.to_string()),
            Ok(shown.to_owned()),
            "{text}"
        );
    }
    for (number, shown) in [
        ("1.5e-3", "0.0015"),
        ("15E2", "1500"),
        ("1e-12", "0.000000000001"),
        ("1e+11", "100000000000"),
        ("1.0842", "1.0842"),
    ] {
        let read = Rate::parse_number(number);
        assert_eq!(
            read.map(|it| it.to_string()),
            Ok(shown.to_owned()),
            "{number}"
        );
    }
}

#[test]
fn what_is_no_rate_is_refused_with_the_reason() {
    for (text, error) in [
        ("", RateError::Malformed),
        (".", RateError::Malformed),
        ("1.", RateError::Malformed),
        (".5", RateError::Malformed),
        ("1e2", RateError::Malformed),
        ("1,5", RateError::Malformed),
        ("+1", RateError::Malformed),
        ("--1", RateError::Malformed),
        (" 1", RateError::Malformed),
        ("NaN", RateError::Malformed),
        ("١", RateError::Malformed),
        ("0", RateError::NotPositive),
        ("0.000", RateError::NotPositive),
        ("-1", RateError::NotPositive),
        ("1.234567890123", RateError::TooManyDigits),
        ("0.0000000000001", RateError::OutOfRange),
        ("1000000000000", RateError::OutOfRange),
    ] {
        assert_eq!(Rate::parse(text), Err(error), "{text:?}");
    }
    assert_eq!(
        Rate::parse(&"9".repeat(100_000)),
        Err(RateError::TooManyDigits)
    );
    for (number, error) in [
        ("1e12", RateError::OutOfRange),
        ("1e-13", RateError::OutOfRange),
        ("1e2147483647", RateError::OutOfRange),
        ("1e-2147483648", RateError::OutOfRange),
        ("1e99999999999999999999", RateError::OutOfRange),
        ("0e5", RateError::NotPositive),
        ("1e", RateError::Malformed),
        ("1e1.5", RateError::Malformed),
    ] {
        assert_eq!(Rate::parse_number(number), Err(error), "{number:?}");
    }
}

#[test]
fn amounts_are_rounded_half_to_even_in_the_smallest_unit() {
    // Between currencies of 2, 0 and 3 digits.
    assert_eq!(converted(10_000, "EUR", "1.0842", "USD"), 10_842);
    assert_eq!(converted(10_000, "USD", "150.255", "JPY"), 15_026);
    assert_eq!(converted(1_500, "JPY", "0.0066", "USD"), 990);
    assert_eq!(converted(1_000, "USD", "0.37605", "BHD"), 3_760);
    assert_eq!(converted(3_000, "USD", "0.37605", "BHD"), 11_282);
    // 0.5, 1.5 and 2.5 cents.
    assert_eq!(converted(1, "USD", "0.5", "EUR"), 0);
    assert_eq!(converted(3, "USD", "0.5", "EUR"), 2);
    assert_eq!(converted(5, "USD", "0.5", "EUR"), 2);
    assert_eq!(converted(-3, "USD", "0.5", "EUR"), -2);
    assert_eq!(converted(i64::MIN, "USD", "1", "EUR"), i64::MIN);
    let most = Money::new(i64::MAX, currency("USD"));
    for (rate, code) in [("1.000000001", "EUR"), ("999999999999", "CLF")] {
        let done = self::rate(rate).convert(most, currency(code));
        assert_eq!(done, Err(MoneyError::OutOfRange));
    }
    let least = rate("0.00000000000100000000001");
    assert_eq!(
        least.convert(most, currency("JPY")),
        Ok(Money::new(92_234, currency("JPY")))
    );
}

#[test]
fn a_rate_across_is_rounded_once() {
    // What a euro is worth in dollars and in yen.
    let (dollar, yen) = (rate("1.0842"), rate("162.91"));
    assert_eq!(Rate::across(dollar, yen), Ok(rate("150.258254935")));
    assert_eq!(Rate::across(yen, dollar), Ok(rate("0.00665520839727")));
    assert_eq!(Rate::across(yen, yen), Ok(Rate::ONE));
    assert_eq!(dollar.inverse(), Ok(rate("0.922339051835")));
    let (least, most) = (rate("0.000000000001"), rate("999999999999"));
    assert_eq!(Rate::across(least, most), Err(RateError::OutOfRange));
    assert_eq!(Rate::across(most, least), Err(RateError::OutOfRange));
    assert_eq!(least.inverse(), Err(RateError::OutOfRange));
    assert_eq!(most.inverse(), Ok(rate("0.000000000001")));
}

/// Any rate.
fn rates() -> impl Strategy<Value = Rate> {
    let numbers = prop_oneof![any::<u64>(), 1..100_000_u64, Just(1_u64)];
    (numbers, 0..24_u32, 1..=DIGITS_MAX).prop_filter_map("a rate", |(number, scale, digits)| {
        Rate::of(number % 10_u64.pow(digits), i64::from(scale)).ok()
    })
}

fn amounts() -> impl Strategy<Value = Money> {
    let codes = prop_oneof![Just("JPY"), Just("EUR"), Just("BHD"), Just("CLF")];
    let minor = prop_oneof![any::<i64>(), -1_000_000..1_000_000_i64];
    (minor, codes).prop_map(|(minor, code)| Money::new(minor, currency(code)))
}

proptest! {
    #[test]
    fn a_rate_prints_and_reads_back_the_same(rate in rates()) {
        let text = rate.to_string();
        prop_assert_eq!(Rate::parse(&text), Ok(rate));
        prop_assert_eq!(Rate::parse_number(&text), Ok(rate));
    }

    #[test]
    fn one_changes_nothing(amount in amounts(), rate in rates()) {
        prop_assert_eq!(Rate::ONE.convert(amount, amount.currency()), Ok(amount));
        prop_assert_eq!(Rate::across(Rate::ONE, rate), Ok(rate));
        prop_assert_eq!(Rate::across(rate, rate), Ok(Rate::ONE));
    }

    /// By what is shown alone, and with integers that nothing overflows.
    #[test]
    fn what_is_converted_is_nearest_to_the_product(amount in amounts(), rate in rates(), other in amounts()) {
        let to = other.currency();
        let text = rate.to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mantissa: i128 = format!("{whole}{fraction}").parse().unwrap();
        // Both sides in units of 10^-behind of the smallest unit of the other currency.
        let behind = fraction.len() + usize::from(amount.currency().exponent());
        let digits = usize::from(to.exponent());
        let ten = |count: usize| 10_i128.pow(u32::try_from(count).unwrap());
        let exact = i128::from(amount.minor()) * mantissa * ten(digits.saturating_sub(behind));
        let unit = ten(behind.saturating_sub(digits));
        match rate.convert(amount, to) {
            Ok(money) => {
                let off = (i128::from(money.minor()) * unit - exact).abs() * 2;
                prop_assert!(off <= unit);
                prop_assert!(off < unit || unit == 1 || money.minor() % 2 == 0);
            }
            Err(_) => prop_assert!((exact / unit).abs() >= i128::from(i64::MAX)),
        }
    }

    /// The other way round it is the same amount, or one that the digits of the rates have moved.
    #[test]
    fn there_and_back_is_near(minor in 0..1_000_000_000_i64, rate in 1_000..100_000_000_u64) {
        let rate = Rate::of(rate, 4).unwrap();
        let amount = Money::new(minor, currency("EUR"));
        let there = rate.convert(amount, currency("CLF")).unwrap();
        let back = rate.inverse().unwrap().convert(there, currency("EUR")).unwrap();
        prop_assert!((back.minor() - minor).abs() <= 1);
    }

    #[test]
    fn a_rate_across_is_the_quotient(from in rates(), to in rates()) {
        let Ok(across) = Rate::across(from, to) else { return Ok(()); };
        // across * from is to, but for a half of the last digit of across: compared as whole numbers.
        let (left, right) = (u128::from(across.mantissa) * u128::from(from.mantissa), u128::from(to.mantissa));
        let (behind, digits) = (across.scale + from.scale, to.scale);
        prop_assert!(left > 0);
        let digits_of = |number: u128| number.ilog10() + 1;
        let place = i64::from(digits_of(left)) - i64::from(behind);
        let other = i64::from(digits_of(right)) - i64::from(digits);
        prop_assert!((place - other).abs() <= 1, "{from} {to} {across}");
        // Their leading digits.
        let lead = |number: u128, to: u32| if digits_of(number) > to { number / 10_u128.pow(digits_of(number) - to) } else { number * 10_u128.pow(to - digits_of(number)) };
        if place == other {
            let off = lead(left, 24).abs_diff(lead(right, 24));
            prop_assert!(off <= 10_u128.pow(13), "{from} {to} {across}");
        }
    }
}
