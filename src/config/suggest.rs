//! Finds the key that a misspelt one was probably meant to be.

use crate::config::keys::KEYS;

/// Below this likeness (0 to 1) a suggestion confuses more than it helps.
const LIKENESS_MIN: f64 = 0.65;

/// The valid key most like `name`.
pub(super) fn nearest_key(name: &str) -> Option<&'static str> {
    nearest(name, KEYS.iter().map(|spec| spec.name))
}

/// The section most like `name`.
pub(super) fn nearest_section(name: &str) -> Option<&'static str> {
    nearest(
        name,
        KEYS.iter()
            .filter_map(|spec| Some(spec.name.split_once('.')?.0)),
    )
}

fn nearest(name: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    candidates
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(name, candidate),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::{nearest_key, nearest_section};

    #[test]
    fn a_slip_finds_its_key() {
        assert_eq!(nearest_key("http.public_adr"), Some("http.public_addr"));
        assert_eq!(nearest_key("public_addr"), Some("http.public_addr"));
        assert_eq!(nearest_key("datadir"), Some("data_dir"));
        assert_eq!(nearest_section("htpp"), Some("http"));
    }

    #[test]
    fn nonsense_finds_nothing() {
        assert_eq!(nearest_key("zzzzzzzz"), None);
        // The section alone does not make a likeness.
        assert_eq!(nearest_key("http.pool"), None);
        assert_eq!(nearest_key(""), None);
    }
}
