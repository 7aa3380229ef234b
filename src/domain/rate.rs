//! Exchange rates: exact decimals, and amounts that are converted by them.
//!
//! A rate says how much of one currency a unit of another is worth. What is shown of a rate is all of it: who
//! multiplies by what is shown comes to the same amount.

use std::fmt;
use std::num::IntErrorKind;

use crate::domain::money::{Currency, Money, MoneyError};
use crate::domain::word::string_type;

/// Digits that a rate has at the most, without the zeros before and behind them.
pub const DIGITS_MAX: u32 = 12;

/// Rates are less than this, and at least its reciprocal.
const VALUE_END: u64 = 10_u64.pow(DIGITS_MAX);
/// The least number that has all digits.
const ALL_DIGITS: u128 = 10_u128.pow(DIGITS_MAX - 1);
/// Digits behind the point at the most: those of the least rates.
const SCALE_MAX: u32 = 2 * DIGITS_MAX - 1;

/// Why a rate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// The text is no number in the accepted notation.
    #[error(
        "malformed rate: send decimal digits, optionally with a fraction after a point, such as 1.0842"
    )]
    Malformed,
    /// More digits than are kept.
    #[error(
        "too many digits: a rate has at most {DIGITS_MAX}, not counting zeros before and behind them, because rates \
         are never rounded"
    )]
    TooManyDigits,
    /// Zero, or less.
    #[error("a rate must be greater than zero")]
    NotPositive,
    /// Too large or too small.
    #[error("rate out of range: from 0.000000000001 to 999999999999")]
    OutOfRange,
}

/// How much of a currency a unit of another is worth: more than zero, at least 10^-12 and less than 10^12, of at most
/// [`DIGITS_MAX`] digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Of at most [`DIGITS_MAX`] digits; not divisible by ten where there is a scale.
    mantissa: u64,
    /// How many of its digits stand behind the point.
    scale: u32,
}

impl Rate {
    /// What a currency is worth in itself.
    pub const ONE: Self = Self {
        mantissa: 1,
        scale: 0,
    };

    /// Reads digits, and optionally a point followed by digits. No exponent, sign, spaces or separators.
    ///
    /// # Errors
    /// [`RateError`].
    pub fn parse(text: &str) -> Result<Self, RateError> {
        Self::read(text, 0)
    }

    /// Reads the exact text of a JSON number: as [`Rate::parse`], and it may carry an exponent such as `1.5e-3`.
    ///
    /// # Errors
    /// [`RateError`].
    pub fn parse_number(text: &str) -> Result<Self, RateError> {
        match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => {
                let exponent = exponent
                    .parse::<i32>()
                    .map_err(|error| match error.kind() {
                        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
                            RateError::OutOfRange
                        }
                        _ => RateError::Malformed,
                    })?;
                Self::read(digits, exponent)
            }
            None => Self::read(text, 0),
        }
    }

    fn read(text: &str, exponent: i32) -> Result<Self, RateError> {
        let unsigned = text.strip_prefix('-');
        let number = unsigned.unwrap_or(text);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(RateError::Malformed);
        }
        let digits = format!("{whole}{fraction}");
        let cut = digits.trim_end_matches('0');
        let behind = fraction.len() + cut.len();
        let scale = i64::try_from(behind).unwrap_or(i64::MAX)
            - i64::try_from(digits.len()).unwrap_or(i64::MAX)
            - i64::from(exponent);
        let cut = cut.trim_start_matches('0');
        if cut.is_empty() || unsigned.is_some() {
            return Err(RateError::NotPositive);
        }
        if cut.len() > DIGITS_MAX as usize {
            return Err(RateError::TooManyDigits);
        }
        let mantissa = cut.parse().map_err(|_| RateError::Malformed)?;
        Self::of(mantissa, scale)
    }

    /// The rate of that many digits behind the point, or of zeros before it where there are less than none.
    fn of(mut mantissa: u64, mut scale: i64) -> Result<Self, RateError> {
        while mantissa != 0 && mantissa.is_multiple_of(10) && scale > 0 {
            mantissa /= 10;
            scale -= 1;
        }
        while scale < 0 && mantissa < VALUE_END {
            mantissa *= 10;
            scale += 1;
        }
        let scale = u32::try_from(scale).map_err(|_| RateError::OutOfRange)?;
        let is_large_enough = || {
            // At least 10^-12.
            let unit = 10_u128.checked_pow(scale.checked_sub(DIGITS_MAX)?)?;
            Some(u128::from(mantissa) >= unit)
        };
        let fits = scale <= DIGITS_MAX || (scale <= SCALE_MAX && is_large_enough() == Some(true));
        if mantissa == 0 || mantissa >= VALUE_END || !fits {
            return Err(RateError::OutOfRange);
        }
        Ok(Self { mantissa, scale })
    }

    /// What `from` is worth in `to`, where both are what a third currency is worth in them. Rounded half to even, to
    /// [`DIGITS_MAX`] digits.
    ///
    /// # Errors
    /// [`RateError::OutOfRange`].
    pub fn across(from: Self, to: Self) -> Result<Self, RateError> {
        let dividend = u128::from(to.mantissa) * 10_u128.pow(from.scale);
        let divisor = u128::from(from.mantissa) * 10_u128.pow(to.scale);
        let (mut quotient, mut rest) = (dividend / divisor, dividend % divisor);
        let mut scale = 0;
        while quotient < ALL_DIGITS && rest != 0 && scale <= SCALE_MAX {
            rest *= 10;
            quotient = quotient * 10 + rest / divisor;
            rest %= divisor;
            scale += 1;
        }
        quotient += u128::from(rounds_up(quotient, rest, divisor));
        let mantissa = u64::try_from(quotient).map_err(|_| RateError::OutOfRange)?;
        Self::of(mantissa, i64::from(scale))
    }

    /// What the other currency is worth in the one. Rounded half to even, to [`DIGITS_MAX`] digits.
    ///
    /// # Errors
    /// [`RateError::OutOfRange`].
    pub fn inverse(self) -> Result<Self, RateError> {
        Self::across(self, Self::ONE)
    }

    /// What an amount is worth in a currency of which a unit of its own is worth so much. Rounded half to even, to the
    /// smallest unit of the currency.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`].
    pub fn convert(self, amount: Money, to: Currency) -> Result<Money, MoneyError> {
        // At most 9.3 * 10^18 by 10^12, and by 10^4 where the other currency has digits behind the point.
        let exact = u128::from(amount.minor().unsigned_abs()) * u128::from(self.mantissa);
        let behind = u32::from(amount.currency().exponent()) + self.scale;
        let digits = u32::from(to.exponent());
        let units = if digits >= behind {
            exact * 10_u128.pow(digits - behind)
        } else {
            let divisor = 10_u128.pow(behind - digits);
            let (units, rest) = (exact / divisor, exact % divisor);
            units + u128::from(rounds_up(units, rest, divisor))
        };
        let units = i128::try_from(units).map_err(|_| MoneyError::OutOfRange)?;
        let minor = if amount.minor() < 0 { -units } else { units };
        let minor = i64::try_from(minor).map_err(|_| MoneyError::OutOfRange)?;
        Ok(Money::new(minor, to))
    }
}

/// Whether a division is rounded up: half to even.
fn rounds_up(quotient: u128, rest: u128, divisor: u128) -> bool {
    let twice = rest * 2;
    twice > divisor || (twice == divisor && !quotient.is_multiple_of(2))
}

impl fmt::Display for Rate {
    /// A plain decimal number without zeros behind its last digit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return write!(f, "{}", self.mantissa);
        }
        let scale = self.scale as usize;
        let digits = format!("{:0width$}", self.mantissa, width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{whole}.{fraction}")
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

string_type!(
    Rate,
    parse = Rate::parse,
    pattern = "^[0-9]+(\\.[0-9]+)?$",
    example = "1.0842",
    "How much of one currency a unit of the other is worth: a decimal of at most 12 digits."
);

/// A rate as a client wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateText {
    /// A decimal in a string.
    Text(String),
    /// The exact text of a JSON number.
    Number(String),
}

impl RateText {
    /// The rate.
    ///
    /// # Errors
    /// [`RateError`].
    pub fn rate(&self) -> Result<Rate, RateError> {
        match self {
            Self::Text(text) => Rate::parse(text),
            Self::Number(text) => Rate::parse_number(text),
        }
    }
}

#[cfg(test)]
mod tests;
