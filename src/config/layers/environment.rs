//! The layer of environment variables: `WEALTH__SECTION__KEY`, and the names without prefix that
//! hosts usually set.

use std::collections::BTreeMap;

use crate::config::keys::{KEYS, KeySpec};
use crate::config::layers::{Layer, unknown_key};
use crate::config::problem::{Problem, ProblemKind};

const PREFIX: &str = "WEALTH__";
const SEPARATOR: &str = "__";

/// Reads the variables that are ours. An empty one without our prefix counts as not set: hosts and
/// compose files set those to nothing to mean that.
pub(super) fn read(variables: &[(String, String)], problems: &mut Vec<Problem>) -> Layer {
    // Sorted, so that problems come in the same order each time.
    let variables: BTreeMap<&str, &str> = variables
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    report_unknown(&variables, problems);
    let mut layer = Layer::default();
    for spec in KEYS {
        if let Some((name, text)) = choose(spec, &variables, problems) {
            layer.set_text(spec, text, origin(&name), problems);
        }
    }
    layer
}

fn report_unknown(variables: &BTreeMap<&str, &str>, problems: &mut Vec<Problem>) {
    for name in variables.keys() {
        if let Some(rest) = name.strip_prefix(PREFIX)
            && !KEYS.iter().any(|spec| variable_name(spec) == *name)
        {
            let key = rest.replace(SEPARATOR, ".").to_lowercase();
            problems.push(unknown_key(&key, origin(name)));
        }
    }
}

/// The name and the value of the variable that sets this key, of two possible ones.
fn choose<'a>(
    spec: &KeySpec,
    variables: &BTreeMap<&str, &'a str>,
    problems: &mut Vec<Problem>,
) -> Option<(String, &'a str)> {
    let name = variable_name(spec);
    let prefixed = variables.get(name.as_str()).copied();
    let bare = spec
        .bare_env
        .and_then(|bare| Some((bare, *variables.get(bare)?)));
    match (prefixed, bare.filter(|(_, text)| !text.is_empty())) {
        (Some(text), Some((bare, other))) if text != other => {
            let kind = ProblemKind::Contradiction(format!(
                "differs from the value of {bare}; set only one of them"
            ));
            problems.push(Problem::new(spec.name, origin(&name), kind));
            None
        }
        (Some(text), _) => Some((name, text)),
        (None, Some((bare, text))) => Some((bare.to_owned(), text)),
        (None, None) => None,
    }
}

fn variable_name(spec: &KeySpec) -> String {
    format!(
        "{PREFIX}{}",
        spec.name.replace('.', SEPARATOR).to_uppercase()
    )
}

fn origin(name: &str) -> String {
    format!("environment {name}")
}
