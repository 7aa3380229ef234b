//! Checks of the texts people type: names, notes, e-mail addresses and colors.
//!
//! Every check returns the text as it is to be stored. No message repeats what was sent.

use std::ops::RangeInclusive;

use email_address::{EmailAddress, Options};

/// The longest e-mail address, in bytes of UTF-8 (the limit of an SMTP forward path, RFC 5321).
pub const EMAIL_BYTES_MAX: usize = 254;

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too short or too long.
    #[error(
        "must have {min} to {max} characters, not counting spaces at either end, but has {given}"
    )]
    Length {
        /// The fewest characters allowed.
        min: usize,
        /// The most characters allowed.
        max: usize,
        /// The characters left after trimming.
        given: usize,
    },
    /// A one-line text with a control character.
    #[error("must be one line without control characters; remove line breaks, tabs and the like")]
    ControlCharacter,
    /// A text of several lines with a control character.
    #[error("must not have control characters other than line feeds and tabs")]
    ControlCharacterInLongText,
    /// Not an e-mail address.
    #[error(
        "must be a plain e-mail address such as name@example.com, at most {EMAIL_BYTES_MAX} bytes"
    )]
    Email,
    /// Not a color.
    #[error("must be a color written as # and six hexadecimal digits, such as #1e88e5")]
    Color,
}

/// Checks a one-line text and returns it without the white space at its ends.
///
/// `chars` bounds its length in characters (Unicode scalar values, not bytes) after trimming.
///
/// # Errors
///
/// [`TextError::Length`] out of bounds; [`TextError::ControlCharacter`] for NUL, line breaks, tabs
/// and every other control character inside.
pub fn check_text(value: &str, chars: RangeInclusive<usize>) -> Result<String, TextError> {
    let text = check_length(value, &chars)?;
    if text.contains(char::is_control) {
        return Err(TextError::ControlCharacter);
    }
    Ok(text.to_owned())
}

/// Checks a text of possibly several lines; as [`check_text`], but line feeds and tabs are fine.
///
/// # Errors
///
/// [`TextError::Length`] out of bounds; [`TextError::ControlCharacterInLongText`] for any other
/// control character, carriage returns included.
pub fn check_long_text(value: &str, chars: RangeInclusive<usize>) -> Result<String, TextError> {
    let text = check_length(value, &chars)?;
    if text.contains(|c: char| c.is_control() && c != '\n' && c != '\t') {
        return Err(TextError::ControlCharacterInLongText);
    }
    Ok(text.to_owned())
}

fn check_length<'a>(value: &'a str, chars: &RangeInclusive<usize>) -> Result<&'a str, TextError> {
    let text = value.trim();
    let given = text.chars().count();
    if !chars.contains(&given) {
        return Err(TextError::Length {
            min: *chars.start(),
            max: *chars.end(),
            given,
        });
    }
    Ok(text)
}

/// Checks an e-mail address and returns it trimmed and wholly in lower case, so that one mailbox is
/// one account.
///
/// A display name (`Ann <ann@example.com>`), an IP address as the domain and a domain without a dot
/// are refused.
///
/// # Errors
///
/// [`TextError::Email`] when it is none, has control characters or is longer than
/// [`EMAIL_BYTES_MAX`] bytes.
pub fn check_email(value: &str) -> Result<String, TextError> {
    let trimmed = value.trim();
    // Before lower-casing, which would copy a text of any length.
    if trimmed.len() > EMAIL_BYTES_MAX {
        return Err(TextError::Email);
    }
    let email = trimmed.to_lowercase();
    let options = Options::default()
        .with_required_tld()
        .without_display_text()
        .without_domain_literal();
    // Lower-casing may have made some letters longer.
    if email.len() > EMAIL_BYTES_MAX
        || email.contains(char::is_control)
        || EmailAddress::parse_with_options(&email, options).is_err()
    {
        return Err(TextError::Email);
    }
    Ok(email)
}

/// Checks a color of the form `#rrggbb` and returns it with lower-case digits.
///
/// # Errors
///
/// [`TextError::Color`] for anything else, short forms and names included.
pub fn check_color(value: &str) -> Result<String, TextError> {
    let digits = value.strip_prefix('#').ok_or(TextError::Color)?;
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(TextError::Color);
    }
    Ok(value.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{TextError, check_color, check_email, check_long_text, check_text};

    #[test]
    fn text_is_trimmed_and_counted_in_characters() {
        assert_eq!(
            check_text("  Früh stück \n", 1..=10).as_deref(),
            Ok("Früh stück")
        );
        assert_eq!(check_text("äöü", 1..=3).as_deref(), Ok("äöü"));
        assert_eq!(
            check_text("äöüß", 1..=3),
            Err(TextError::Length {
                min: 1,
                max: 3,
                given: 4
            })
        );
        assert_eq!(
            check_text(" \t ", 1..=3),
            Err(TextError::Length {
                min: 1,
                max: 3,
                given: 0
            })
        );
        assert_eq!(check_text("  ", 0..=3).as_deref(), Ok(""));
    }

    #[test]
    fn length_message_names_the_bounds() {
        let message = TextError::Length {
            min: 1,
            max: 60,
            given: 61,
        }
        .to_string();
        assert!(
            message.contains("1 to 60") && message.contains("61"),
            "{message}"
        );
    }

    #[test]
    fn control_characters_are_refused() {
        for text in ["a\0b", "a\nb", "a\tb", "a\u{7f}b", "a\u{85}b", "a\u{1b}[0m"] {
            assert_eq!(
                check_text(text, 1..=60),
                Err(TextError::ControlCharacter),
                "{text:?}"
            );
        }
        assert_eq!(check_long_text("a\n\tb", 1..=60).as_deref(), Ok("a\n\tb"));
        for text in ["a\0b", "a\r\nb", "a\u{7f}b"] {
            assert_eq!(
                check_long_text(text, 1..=60),
                Err(TextError::ControlCharacterInLongText),
                "{text:?}"
            );
        }
    }

    #[test]
    fn email_is_one_spelling_per_mailbox() {
        assert_eq!(
            check_email(" Ann.Lee+Bank@Example.COM ").as_deref(),
            Ok("ann.lee+bank@example.com")
        );
        assert_eq!(
            check_email("jörg@bücher.example").as_deref(),
            Ok("jörg@bücher.example")
        );
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        let long = format!("{}@{}.example.com", "a".repeat(60), "b.".repeat(100));
        for text in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@localhost",
            "ann@[127.0.0.1]",
            "Ann <ann@example.com>",
            "ann@example.com\0",
            "ann@exa mple.com",
            "ann@example.com, bob@example.com",
            long.as_str(),
        ] {
            assert_eq!(check_email(text), Err(TextError::Email), "{text:?}");
        }
    }

    #[test]
    fn color_is_six_hexadecimal_digits() {
        assert_eq!(check_color("#1E88e5").as_deref(), Ok("#1e88e5"));
        for text in [
            "", "#", "1e88e5", "#1e8", "#1e88e5f", "#1e88eg", "#äöü", " #1e88e5", "red",
        ] {
            assert_eq!(check_color(text), Err(TextError::Color), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn checks_are_total_and_idempotent(text: String) {
            if let Ok(checked) = check_text(&text, 0..=40) {
                prop_assert!(checked.chars().count() <= 40);
                let again = check_text(&checked, 0..=40);
                prop_assert_eq!(again.as_deref(), Ok(checked.as_str()));
                prop_assert_eq!(check_long_text(&text, 0..=40), Ok(checked));
            }
            let _ = (check_email(&text), check_color(&text));
        }

        #[test]
        fn checked_emails_check_again(text in "\\PC{1,12}@[a-zA-Z]{1,8}\\.[a-z]{2,3}") {
            if let Ok(email) = check_email(&text) {
                prop_assert_eq!(check_email(&email), Ok(email));
            }
        }
    }
}
