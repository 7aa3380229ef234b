//! Currencies and exact amounts of them.
//!
//! An amount is a whole number of its currency's smallest unit (minor units: cents, fils, yen).
//! Text is read exactly or refused, never rounded, and no arithmetic wraps.

use std::fmt;
use std::str::FromStr;

use crate::domain::word::string_type;

/// The largest amount of one booking, in minor units of its currency: 10^15.
///
/// It keeps sums in bounds: more than nine thousand bookings of this size fit into an `i64` before
/// a sum overflows, and an overflow is then an error, never a wrong number.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000_000;

/// How much of what was sent an error may repeat, in characters.
const ECHO_CHARS_MAX: usize = 40;

/// Why a currency, an amount or a sum was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// No currency in use has this code.
    #[error(
        "unknown currency {code:?}: send the upper-case ISO 4217 code of a currency in use, \
         such as EUR"
    )]
    UnknownCurrency {
        /// The code as sent, cut to 40 characters.
        code: String,
    },
    /// The text is no number in the accepted notation.
    #[error(
        "malformed amount: send decimal digits, optionally with a leading minus sign and with a \
         fraction after a point, such as 12.34"
    )]
    Malformed,
    /// The amount is written finer than the currency's smallest unit.
    #[error(
        "too many decimals: {currency} amounts have at most {digits_max} digits after the point, \
         trailing zeros included, because amounts are never rounded"
    )]
    TooManyDigits {
        /// The currency of the amount.
        currency: Currency,
        /// The currency's exponent.
        digits_max: u8,
    },
    /// The amount, or the result of a sum, is too large.
    #[error(
        "amount out of range: send at most {AMOUNT_MINOR_MAX} of the currency's smallest unit, \
         such as cents"
    )]
    OutOfRange,
    /// Zero or a negative amount where only a positive one makes sense.
    #[error(
        "amount must be greater than zero: what it does to a balance follows from the type, \
         not from a sign"
    )]
    NotPositive,
    /// Two currencies in one sum.
    #[error("cannot combine {left} with {right}: use amounts of one currency")]
    CurrencyMismatch {
        /// The currency of the first amount.
        left: Currency,
        /// The currency of the second amount.
        right: Currency,
    },
}

/// A currency of ISO 4217 that is in use and has a smallest unit. Ordered by its code; in JSON its
/// code.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct Currency {
    code: &'static str,
    exponent: u8,
}

impl Currency {
    /// Reads an upper-case code of three letters.
    ///
    /// # Errors
    ///
    /// [`MoneyError::UnknownCurrency`] for anything else, for currencies that were withdrawn (such
    /// as `HRK`) and for codes without a smallest unit: metals, units of account, `XTS` and `XXX`.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_code(code)
            .filter(|&currency| is_in_use(currency))
            .and_then(|currency| {
                let exponent = u8::try_from(currency.exponent()?).ok()?;
                Some(Self {
                    code: currency.code(),
                    exponent,
                })
            })
            .ok_or_else(|| MoneyError::UnknownCurrency {
                code: code.chars().take(ECHO_CHARS_MAX).collect(),
            })
    }

    /// The ISO 4217 code, three upper-case letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// How many digits stand after the decimal point: 0 to 4, mostly 2. One unit is 10^exponent
    /// minor units.
    #[must_use]
    pub const fn exponent(self) -> u8 {
        self.exponent
    }
}

/// Venezuela's two codes are both current: the table calls VES replaced by VED, but ISO lists both
/// and VES is the one people hold.
fn is_in_use(currency: iso_currency::Currency) -> bool {
    currency.is_superseded().is_none() || currency == iso_currency::Currency::VES
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    /// As [`Currency::parse`].
    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::parse(code)
    }
}

string_type!(
    Currency,
    parse = Currency::parse,
    pattern = "^[A-Z]{3}$",
    example = "EUR",
    "ISO 4217 code of a currency in use."
);

/// An exact amount of one currency: any `i64` of minor units, of any sign.
///
/// There is no order between amounts, because there is none between currencies.
#[derive(Copy, Clone, Eq, PartialEq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// An amount of `minor` minor units.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The amount in minor units.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Reads a plain decimal number: an optional `-`, digits, and optionally a `.` followed by
    /// digits.
    ///
    /// No exponent, `+`, spaces or separators. Digits beyond the currency's exponent are refused
    /// even when they are zeros: what is written finer than the smallest unit is more likely the
    /// wrong currency than a wish for rounding.
    ///
    /// # Errors
    ///
    /// [`MoneyError::Malformed`], [`MoneyError::TooManyDigits`], or [`MoneyError::OutOfRange`]
    /// beyond `i64` minor units.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        Decimal::plain(text)
            .ok_or(MoneyError::Malformed)?
            .to_money(currency)
    }

    /// Reads the exact text of a JSON number: as [`Money::parse`], and it may carry an exponent
    /// such as `1.5e2`.
    ///
    /// The number counts as written out with all its digits: `1.5e2` is 150, and `1.500e0` has
    /// three digits after the point. The cost is that of reading the text once, however large the
    /// exponent.
    ///
    /// # Errors
    ///
    /// As [`Money::parse`].
    pub fn parse_number(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        Decimal::with_exponent(text)
            .ok_or(MoneyError::Malformed)?
            .to_money(currency)
    }

    /// The sum of two amounts of one currency.
    ///
    /// # Errors
    ///
    /// [`MoneyError::CurrencyMismatch`] or [`MoneyError::OutOfRange`].
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// The difference of two amounts of one currency.
    ///
    /// # Errors
    ///
    /// [`MoneyError::CurrencyMismatch`] or [`MoneyError::OutOfRange`].
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// The amount with the other sign.
    ///
    /// # Errors
    ///
    /// [`MoneyError::OutOfRange`] for `i64::MIN` minor units.
    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_neg().ok_or(MoneyError::OutOfRange)?;
        Ok(Self { minor, ..self })
    }

    fn combine(
        self,
        other: Self,
        operation: fn(i64, i64) -> Option<i64>,
    ) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch {
                left: self.currency,
                right: other.currency,
            });
        }
        let minor = operation(self.minor, other.minor).ok_or(MoneyError::OutOfRange)?;
        Ok(Self { minor, ..self })
    }
}

impl fmt::Display for Money {
    /// A plain decimal number with exactly the currency's number of digits after the point, without
    /// the currency.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent;
        let unit = 10_u64.pow(u32::from(exponent));
        let magnitude = self.minor.unsigned_abs();
        let sign = if self.minor < 0 { "-" } else { "" };
        write!(f, "{sign}{}", magnitude / unit)?;
        if exponent > 0 {
            write!(
                f,
                ".{:0digits$}",
                magnitude % unit,
                digits = usize::from(exponent)
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {}", self.currency)
    }
}

/// Reads the amount of one booking: as [`Money::parse`], then as [`check_amount`].
///
/// # Errors
///
/// Those of both.
pub fn parse_amount(text: &str, currency: Currency) -> Result<Money, MoneyError> {
    check_amount(Money::parse(text, currency)?)
}

/// Holds an amount to the bounds of one booking: more than zero and at most [`AMOUNT_MINOR_MAX`].
///
/// # Errors
///
/// [`MoneyError::NotPositive`] or [`MoneyError::OutOfRange`].
pub fn check_amount(amount: Money) -> Result<Money, MoneyError> {
    match amount.minor {
        ..=0 => Err(MoneyError::NotPositive),
        1..=AMOUNT_MINOR_MAX => Ok(amount),
        _ => Err(MoneyError::OutOfRange),
    }
}

/// Holds an amount of any sign, such as an opening balance, to at most [`AMOUNT_MINOR_MAX`] either
/// way.
///
/// # Errors
///
/// [`MoneyError::OutOfRange`].
pub fn check_balance(balance: Money) -> Result<Money, MoneyError> {
    if balance.minor.unsigned_abs() > AMOUNT_MINOR_MAX.unsigned_abs() {
        return Err(MoneyError::OutOfRange);
    }
    Ok(balance)
}

/// An amount as a client wrote it, before the currency that tells how to read it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AmountText {
    /// A decimal in a string.
    Text(String),
    /// The exact text of a JSON number.
    Number(String),
}

impl AmountText {
    /// The amount of a booking or a limit.
    ///
    /// # Errors
    ///
    /// As [`parse_amount`].
    pub fn amount(&self, currency: Currency) -> Result<Money, MoneyError> {
        check_amount(self.money(currency)?)
    }

    /// A balance, of any sign.
    ///
    /// # Errors
    ///
    /// As [`check_balance`].
    pub fn balance(&self, currency: Currency) -> Result<Money, MoneyError> {
        check_balance(self.money(currency)?)
    }

    fn money(&self, currency: Currency) -> Result<Money, MoneyError> {
        match self {
            Self::Text(text) => Money::parse(text, currency),
            Self::Number(text) => Money::parse_number(text, currency),
        }
    }
}

/// The parts of a decimal number's text; `whole` and `fraction` hold ASCII digits only.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Decimal<'a> {
    fn plain(text: &'a str) -> Option<Self> {
        let unsigned = text.strip_prefix('-');
        let negative = unsigned.is_some();
        let digits = unsigned.unwrap_or(text);
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
            Some(_) => return None,
            None => (digits, ""),
        };
        is_digits(whole).then_some(Self {
            negative,
            whole,
            fraction,
            exponent: 0,
        })
    }

    fn with_exponent(text: &'a str) -> Option<Self> {
        match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => Some(Self {
                exponent: saturating_integer(exponent)?,
                ..Self::plain(mantissa)?
            }),
            None => Self::plain(text),
        }
    }

    fn to_money(&self, currency: Currency) -> Result<Money, MoneyError> {
        let fraction_digits = i64::try_from(self.fraction.len())
            .unwrap_or(i64::MAX)
            .saturating_sub(self.exponent);
        let zeros = i64::from(currency.exponent).saturating_sub(fraction_digits);
        if zeros < 0 {
            return Err(MoneyError::TooManyDigits {
                currency,
                digits_max: currency.exponent,
            });
        }
        let minor = self
            .digits()
            .and_then(|digits| shift(digits, zeros))
            .and_then(|minor| self.with_sign(minor));
        Ok(Money::new(minor.ok_or(MoneyError::OutOfRange)?, currency))
    }

    fn digits(&self) -> Option<u64> {
        self.whole
            .bytes()
            .chain(self.fraction.bytes())
            .try_fold(0_u64, |number, digit| {
                number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
            })
    }

    fn with_sign(&self, magnitude: u64) -> Option<i64> {
        if self.negative {
            0_i64.checked_sub_unsigned(magnitude)
        } else {
            i64::try_from(magnitude).ok()
        }
    }
}

/// `digits` with so many zeros appended.
fn shift(digits: u64, zeros: i64) -> Option<u64> {
    if digits == 0 {
        return Some(0);
    }
    let factor = 10_u64.checked_pow(u32::try_from(zeros).ok()?)?;
    digits.checked_mul(factor)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads the exponent of a number. One beyond `i64` saturates: no digits that fit into memory make
/// up for it.
fn saturating_integer(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !is_digits(unsigned) {
        return None;
    }
    let magnitude = unsigned.bytes().fold(0_i64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    Some(if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use proptest::prelude::{
        Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    use super::{
        AMOUNT_MINOR_MAX, Currency, Money, MoneyError, check_amount, check_balance, parse_amount,
    };

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    fn minor(text: &str, code: &str) -> Result<i64, MoneyError> {
        Money::parse(text, currency(code)).map(Money::minor)
    }

    fn number(text: &str, code: &str) -> Result<i64, MoneyError> {
        Money::parse_number(text, currency(code)).map(Money::minor)
    }

    fn too_many(code: &str) -> MoneyError {
        let currency = currency(code);
        MoneyError::TooManyDigits {
            currency,
            digits_max: currency.exponent(),
        }
    }

    /// One currency per exponent: 0, 2, 3 and 4.
    fn currencies() -> impl Strategy<Value = Currency> {
        prop_oneof![Just("JPY"), Just("EUR"), Just("BHD"), Just("CLF")].prop_map(currency)
    }

    /// Small amounts and amounts at the ends of `i64` as often as any other.
    fn minors() -> impl Strategy<Value = i64> {
        prop_oneof![
            -2_000_i64..2_000,
            any::<i64>(),
            Just(i64::MIN),
            Just(i64::MAX)
        ]
    }

    /// Texts that are almost numbers, to meet every branch.
    const ALMOST_NUMBER: &str = "-?[0-9]{0,22}(\\.[0-9]{0,6})?([eE][+-]?[0-9]{0,25})?[-+ ,.e]?";

    #[test]
    fn currencies_know_their_exponent() {
        for (code, exponent) in [
            ("JPY", 0),
            ("EUR", 2),
            ("USD", 2),
            ("BHD", 3),
            ("CLF", 4),
            ("VES", 2),
        ] {
            assert_eq!(currency(code).exponent(), exponent, "{code}");
            assert_eq!(currency(code).to_string(), code);
        }
    }

    #[test]
    fn what_is_no_currency_in_use_is_refused() {
        for code in [
            "", "eur", "Eur", "EU", "EURO", "ZZZ", " EUR", "XAU", "XXX", "XTS", "XDR", "HRK",
            "ZWL", "€",
        ] {
            assert_eq!(
                Currency::parse(code),
                Err(MoneyError::UnknownCurrency { code: code.into() }),
                "{code:?}"
            );
        }
    }

    #[test]
    fn an_exponent_is_always_one_we_can_print() {
        let letters = || 'A'..='Z';
        let codes = letters().flat_map(|a| {
            letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}")))
        });
        let known: Vec<_> = codes
            .filter_map(|code| Currency::parse(&code).ok())
            .collect();
        assert!(known.len() > 150, "{}", known.len());
        assert!(known.is_sorted(), "ordered by code");
        let exponents: BTreeSet<_> = known.iter().map(|currency| currency.exponent()).collect();
        assert_eq!(exponents, BTreeSet::from([0, 2, 3, 4]));
    }

    #[test]
    fn currency_is_its_code_in_json() {
        assert_eq!(serde_json::to_string(&currency("EUR")).unwrap(), "\"EUR\"");
        assert_eq!(
            serde_json::from_str::<Currency>("\"EUR\"").unwrap(),
            currency("EUR")
        );
        assert_eq!(
            serde_json::from_str::<Currency>("\"\\u0045UR\"").unwrap(),
            currency("EUR")
        );
        assert!(serde_json::from_str::<Currency>("\"eur\"").is_err());
        assert_eq!(format!("{:?}", currency("EUR")), "EUR");
    }

    #[test]
    fn amounts_are_printed_with_the_currencys_digits() {
        for (minor, code, text) in [
            (1_234, "EUR", "12.34"),
            (-5, "EUR", "-0.05"),
            (0, "EUR", "0.00"),
            (1_200, "JPY", "1200"),
            (1_234, "BHD", "1.234"),
            (1, "CLF", "0.0001"),
            (i64::MIN, "EUR", "-92233720368547758.08"),
        ] {
            assert_eq!(Money::new(minor, currency(code)).to_string(), text);
        }
        assert_eq!(
            format!("{:?}", Money::new(-5, currency("EUR"))),
            "-0.05 EUR"
        );
    }

    #[test]
    fn plain_decimals_are_read_exactly() {
        for (text, code, expected) in [
            ("12.34", "EUR", 1_234),
            ("12.3", "EUR", 1_230),
            ("12", "EUR", 1_200),
            ("-0.05", "EUR", -5),
            ("-0", "EUR", 0),
            ("007", "EUR", 700),
            ("1200", "JPY", 1_200),
            ("1.234", "BHD", 1_234),
            ("-92233720368547758.08", "EUR", i64::MIN),
            ("92233720368547758.07", "EUR", i64::MAX),
        ] {
            assert_eq!(minor(text, code), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_but_a_plain_decimal_is_malformed() {
        for text in [
            "", "-", ".", "-.", ".5", "5.", "+5", "--5", "5-", " 5", "5 ", "1,5", "1 000", "1_000",
            "1e2", "0x10", "1.2.3", "NaN", "inf", "٣", "1.-5", "5\0",
        ] {
            assert_eq!(minor(text, "EUR"), Err(MoneyError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn digits_beyond_the_smallest_unit_are_refused_even_as_zeros() {
        for (text, code) in [
            ("1.234", "EUR"),
            ("1.230", "EUR"),
            ("1.0", "JPY"),
            ("1.00000", "CLF"),
        ] {
            assert_eq!(minor(text, code), Err(too_many(code)), "{text}");
            assert_eq!(number(text, code), Err(too_many(code)), "{text}");
        }
    }

    #[test]
    fn amounts_beyond_i64_are_out_of_range() {
        let long = "9".repeat(100_000);
        for text in [
            "92233720368547758.08",
            "-92233720368547758.09",
            "184467440737095516.16",
            long.as_str(),
        ] {
            assert_eq!(minor(text, "EUR"), Err(MoneyError::OutOfRange));
        }
    }

    #[test]
    fn json_numbers_may_carry_an_exponent() {
        for (text, code, expected) in [
            ("1.5e2", "EUR", 15_000),
            ("1.5E+2", "JPY", 150),
            ("1e-2", "EUR", 1),
            ("-1234e-2", "EUR", -1_234),
            ("1.500e1", "EUR", 1_500),
            ("0e400", "EUR", 0),
            ("0e99999999999999999999999", "EUR", 0),
            ("12.34", "EUR", 1_234),
        ] {
            assert_eq!(number(text, code), Ok(expected), "{text}");
        }
    }

    #[test]
    fn exponents_of_any_size_are_answered_at_once() {
        let huge = "9".repeat(1_000);
        for text in [
            "1e400",
            "-1e400",
            "1e17",
            &format!("1e{huge}"),
            &format!("1.5e+{huge}"),
        ] {
            assert_eq!(number(text, "EUR"), Err(MoneyError::OutOfRange));
        }
        for text in ["1e-3", "100e-4", "1.500e0", "0e-400", &format!("1e-{huge}")] {
            assert_eq!(number(text, "EUR"), Err(too_many("EUR")));
        }
        for text in [
            "e2", "1e", "1e+", "1e+-2", "1e2.0", "1e2e2", "1.e2", ".1e2", "+1e2", "1e 2",
        ] {
            assert_eq!(number(text, "EUR"), Err(MoneyError::Malformed), "{text}");
        }
    }

    #[test]
    fn json_keeps_the_text_of_numbers() {
        let value: serde_json::Value =
            serde_json::from_str("[0.10, 1.5e2, 90071992547409.93]").unwrap();
        let read = |index: usize| number(&value[index].to_string(), "EUR");
        assert_eq!(
            (read(0), read(1), read(2)),
            (Ok(10), Ok(15_000), Ok(9_007_199_254_740_993))
        );
    }

    #[test]
    fn bookings_are_positive_and_bounded() {
        let amount = |text| parse_amount(text, currency("EUR")).map(Money::minor);
        assert_eq!(amount("0.01"), Ok(1));
        assert_eq!(amount("10000000000000.00"), Ok(AMOUNT_MINOR_MAX));
        assert_eq!(amount("10000000000000.01"), Err(MoneyError::OutOfRange));
        assert_eq!(amount("0.00"), Err(MoneyError::NotPositive));
        assert_eq!(amount("-5"), Err(MoneyError::NotPositive));
        assert_eq!(amount("five"), Err(MoneyError::Malformed));
    }

    #[test]
    fn balances_are_bounded_both_ways() {
        for minor in [0, AMOUNT_MINOR_MAX, -AMOUNT_MINOR_MAX] {
            assert!(check_balance(Money::new(minor, currency("EUR"))).is_ok());
        }
        for minor in [AMOUNT_MINOR_MAX + 1, -AMOUNT_MINOR_MAX - 1, i64::MIN] {
            assert_eq!(
                check_balance(Money::new(minor, currency("EUR"))),
                Err(MoneyError::OutOfRange)
            );
        }
    }

    #[test]
    fn currencies_do_not_mix() {
        let (eur, jpy) = (
            Money::new(1, currency("EUR")),
            Money::new(1, currency("JPY")),
        );
        let mismatch = MoneyError::CurrencyMismatch {
            left: eur.currency(),
            right: jpy.currency(),
        };
        assert_eq!(eur.checked_add(jpy), Err(mismatch.clone()));
        assert_eq!(eur.checked_sub(jpy), Err(mismatch));
    }

    proptest! {
        #[test]
        fn printed_amounts_read_back(minor in minors(), currency in currencies()) {
            let money = Money::new(minor, currency);
            let text = money.to_string();
            prop_assert_eq!(Money::parse(&text, currency), Ok(money));
            prop_assert_eq!(Money::parse_number(&text, currency), Ok(money));
            let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            prop_assert_eq!(decimals, usize::from(currency.exponent()));
        }

        #[test]
        fn sums_are_exact_or_errors(a in minors(), b in minors(), currency in currencies()) {
            let exact = |wide: i128| Some(Money::new(i64::try_from(wide).ok()?, currency));
            let (wide_a, wide_b) = (i128::from(a), i128::from(b));
            let (a, b) = (Money::new(a, currency), Money::new(b, currency));
            prop_assert_eq!(a.checked_add(b).ok(), exact(wide_a + wide_b));
            prop_assert_eq!(a.checked_sub(b).ok(), exact(wide_a - wide_b));
            prop_assert_eq!(a.checked_neg().ok(), exact(-wide_a));
        }

        #[test]
        fn any_text_is_answered(
            text in prop_oneof![any::<String>(), ALMOST_NUMBER],
            currency in currencies(),
        ) {
            let plain = Money::parse(&text, currency);
            let number = Money::parse_number(&text, currency);
            if plain != Err(MoneyError::Malformed) {
                prop_assert_eq!(number, plain.clone());
            }
            let amount = parse_amount(&text, currency);
            prop_assert_eq!(amount, plain.and_then(check_amount));
        }

        #[test]
        fn errors_repeat_little(code: String) {
            if let Err(MoneyError::UnknownCurrency { code: echo }) = Currency::parse(&code) {
                prop_assert!(echo.chars().count() <= 40 && code.starts_with(&echo));
            }
        }

        #[test]
        fn numbers_agree_with_writing_them_out(
            negative: bool,
            whole in "[0-9]{1,20}",
            fraction in "[0-9]{0,8}",
            exponent in -30_i16..30,
            currency in currencies(),
        ) {
            let sign = if negative { "-" } else { "" };
            let point = if fraction.is_empty() { "" } else { "." };
            let number = format!("{sign}{whole}{point}{fraction}e{exponent}");
            let plain = format!("{sign}{}", written_out(&whole, &fraction, exponent));
            let expected = Money::parse(&plain, currency);
            prop_assert_eq!(Money::parse_number(&number, currency), expected, "{}", plain);
        }
    }

    /// The slow reference: moves the point digit by digit.
    fn written_out(whole: &str, fraction: &str, exponent: i16) -> String {
        let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
        for _ in 0..exponent {
            whole.push(if fraction.is_empty() {
                '0'
            } else {
                fraction.remove(0)
            });
        }
        for _ in exponent..0 {
            fraction.insert(0, whole.pop().unwrap_or('0'));
        }
        let whole = if whole.is_empty() {
            "0".to_owned()
        } else {
            whole
        };
        if fraction.is_empty() {
            whole
        } else {
            format!("{whole}.{fraction}")
        }
    }
}
