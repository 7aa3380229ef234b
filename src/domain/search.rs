//! Words by which bookings are found: how a text is taken apart, the same for what is kept and what is asked for.
//!
//! A word is a run of letters and digits. Case and accents do not count: texts are compared in the compatibility
//! decomposition of Unicode (NFKD, UAX #15) without its marks. Where a language writes no spaces, a run is a word.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Characters of a word that count.
const WORD_CHARS_MAX: usize = 32;

/// Words of a question at the most.
pub const WORDS_MAX: usize = 8;

/// Why nothing can be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// There is no letter and no digit in it.
    #[error("write a word to search for")]
    NoWord,
    /// There are too many.
    #[error("at most {WORDS_MAX} words")]
    TooMany,
}

/// The words of texts, each once.
#[must_use]
pub fn words<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    texts.into_iter().flat_map(runs).collect()
}

/// The words that are searched for: a booking is found when each is the beginning of one of its words.
///
/// # Errors
/// There is none, or there are too many.
pub fn wanted(question: &str) -> Result<Vec<String>, SearchError> {
    let words = words([question]);
    // `gro groceries` says no more than `groceries`.
    let says_more = |word: &&String| {
        !words
            .iter()
            .any(|other| other != *word && other.starts_with(*word))
    };
    let wanted: Vec<String> = words.iter().filter(says_more).cloned().collect();
    match wanted.len() {
        0 => Err(SearchError::NoWord),
        count if count > WORDS_MAX => Err(SearchError::TooMany),
        _ => Ok(wanted),
    }
}

/// Whether each of the wanted words is the beginning of one of these.
#[must_use]
pub fn is_found(wanted: &[String], among: &BTreeSet<String>) -> bool {
    let begins_one = |word: &String| {
        let next = among.range(word.clone()..).next();
        next.is_some_and(|next| next.starts_with(word.as_str()))
    };
    wanted.iter().all(begins_one)
}

fn runs(text: &str) -> Vec<String> {
    let plain: String = text
        .nfkd()
        .filter(|letter| !is_combining_mark(*letter))
        .flat_map(char::to_lowercase)
        .collect();
    plain
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|run| !run.is_empty())
        .map(|run| run.chars().take(WORD_CHARS_MAX).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn case_accents_and_signs_do_not_count() {
        let texts = ["Café MÜLLER-Straße", "ﬁn №7", "x".repeat(40).as_str()].map(ToOwned::to_owned);
        let found = words(texts.iter().map(String::as_str));
        let long = "x".repeat(32);
        assert_eq!(
            found,
            set(&["7", "cafe", "fin", "muller", "no7", "straße", &long])
                .into_iter()
                .filter(|word| word != "7")
                .collect()
        );
        assert_eq!(words(["", " -- ", "\u{301}"]), set(&[]));
    }

    #[test]
    fn the_beginning_of_a_word_is_enough_and_each_must_be_there() {
        let among = words(["Corner shop", "weekly groceries"]);
        for (question, is) in [
            ("gro", true),
            ("GRO", true),
            ("shop gro", true),
            ("groceries gro", true),
            ("ceries", false),
            ("shops", false),
            ("shop travel", false),
        ] {
            assert_eq!(
                is_found(&wanted(question).expect(question), &among),
                is,
                "{question}"
            );
        }
    }

    #[test]
    fn a_question_has_some_words_and_not_too_many() {
        assert_eq!(wanted("?!"), Err(SearchError::NoWord));
        assert_eq!(wanted("a b c d e f g h i"), Err(SearchError::TooMany));
        assert_eq!(
            wanted("gro groceries gro"),
            Ok(vec!["groceries".to_owned()])
        );
    }

    proptest! {
        #[test]
        fn what_was_written_is_found_by_it(text in any::<String>()) {
            let among = words([text.as_str()]);
            for word in &among {
                prop_assert!(is_found(std::slice::from_ref(word), &among));
                // A word is made of itself: it is kept and asked for in the same way.
                prop_assert!(words([word.as_str()]).iter().all(|again| word.starts_with(again.as_str())));
            }
        }
    }
}
