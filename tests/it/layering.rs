//! The house rules that a compiler does not hold: modules import one way, SQL stands in one place,
//! files stay short, money is never a float.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use, beside itself.
const RULES: &[(&str, &[&str])] = &[
    ("clock", LEAVES),
    ("config", LEAVES),
    ("crash", LEAVES),
    ("lifecycle", LEAVES),
    ("telemetry", LEAVES),
    ("dapr", LEAVES),
    ("gemini", LEAVES),
    ("mail", LEAVES),
    ("links", LEAVES),
    ("domain", &[]),
    ("events", &["domain"]),
    ("store", &["domain", "events"]),
    ("redis", &[]),
    ("state", &["domain", "events", "redis", "dapr"]),
    ("hints", &["redis", "store"]),
    ("kafka", &["events"]),
    (
        "bus",
        &["domain", "events", "state", "store", "dapr", "kafka"],
    ),
    ("http", BELOW_HTTP),
    ("api", BELOW_API),
    ("projector", BELOW_PROJECTOR),
    ("notifier", BELOW_NOTIFIER),
    ("secrets", &["dapr"]),
    (
        "app",
        &[
            "domain",
            "events",
            "redis",
            "state",
            "store",
            "hints",
            "bus",
            "http",
            "dapr",
            "gemini",
            "mail",
            "links",
            "api",
            "projector",
            "notifier",
            "secrets",
        ],
    ),
    (
        "operator",
        &[
            "domain",
            "events",
            "state",
            "store",
            "kafka",
            "bus",
            "projector",
            "notifier",
        ],
    ),
    ("demo", &[]),
    (
        "cli",
        &["app", "demo", "mail", "operator", "secrets", "store"],
    ),
    ("main", &["cli"]),
];

/// Usable by anyone.
const LEAVES: &[&str] = &["clock", "config", "crash", "lifecycle", "telemetry"];
const BELOW_HTTP: &[&str] = &["domain", "events", "state", "store", "bus", "dapr"];
const BELOW_NOTIFIER: &[&str] = &[
    "domain", "events", "state", "store", "bus", "http", "mail", "links",
];
const BELOW_PROJECTOR: &[&str] = &[
    "domain", "events", "state", "store", "bus", "http", "gemini",
];
const BELOW_API: &[&str] = &[
    "domain", "events", "redis", "state", "store", "bus", "http", "links",
];

/// Lines of a file at the most.
const LINES_MAX: usize = 600;

/// Files that are longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[
    (
        "src/domain/money.rs",
        "one type, its arithmetic, its parser and their properties",
    ),
    (
        "src/domain/period.rs",
        "calendar arithmetic with a table of cases",
    ),
];

/// A file of the source.
struct File {
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The module at the top of the crate that the file belongs to.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").expect("a file of src");
        let end = inside.find(['/', '.']).expect("a module");
        &inside[..end]
    }

    /// The modules of this crate that the file names, with the number of the line.
    fn uses(&self) -> BTreeSet<(usize, String)> {
        let is_main = self.module() == "main";
        let own = if is_main {
            "wealth_companion::"
        } else {
            "crate::"
        };
        let code: String = self
            .text
            .lines()
            .map(|line| {
                if is_comment(line) {
                    "\n".to_owned()
                } else {
                    format!("{line}\n")
                }
            })
            .collect();
        let mut uses = BTreeSet::new();
        for (at, _) in code.match_indices(own) {
            let line = code[..at].matches('\n').count() + 1;
            for name in names_after(&code[at + own.len()..]) {
                uses.insert((line, name));
            }
        }
        uses
    }
}

/// `{a, b::{c}, d}` names a, b and d; `a::b` names a.
fn names_after(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect()
    };
    let Some(list) = rest.strip_prefix('{') else {
        return vec![word(rest)];
    };
    let mut names = vec![word(list)];
    let mut depth = 0;
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(&list[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// What a file uses and may not.
fn forbidden(file: &File) -> Vec<String> {
    let module = file.module();
    if module == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = RULES.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: the module {module} has no rule", file.path)];
    };
    let known = |name: &str| RULES.iter().any(|(known, _)| *known == name);
    file.uses()
        .into_iter()
        .filter(|(_, used)| used != module && known(used))
        .filter(|(_, used)| !allowed.contains(&used.as_str()) && !LEAVES.contains(&used.as_str()))
        .map(|(line, used)| format!("{}:{line}: {module} may not use {used}", file.path))
        .collect()
}

/// Whether it tests the module that it stands in: then it may bring the whole system along.
fn is_test(inside: &Path) -> bool {
    inside.file_name().is_some_and(|name| name == "tests.rs")
        || inside.components().any(|part| part.as_os_str() == "tests")
}

/// Every Rust file of the library, without tests that stand in files of their own.
fn source() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the source") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a text");
                let inside = path.strip_prefix(root).expect("below the root");
                if is_test(inside) {
                    continue;
                }
                files.push(File::new(inside.to_str().expect("UTF-8"), &text));
            }
        }
    }
    assert!(files.len() > 50, "the source was not found");
    files
}

/// Lines of code, without comments, that have one of the words.
fn lines_with(files: &[File], words: &[&str], looked_at: impl Fn(&str) -> bool) -> Vec<String> {
    let has = |line: &str| {
        line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .any(|word| words.contains(&word))
    };
    files
        .iter()
        .filter(|file| looked_at(&file.path))
        .flat_map(|file| {
            let numbered = file.text.lines().enumerate();
            numbered
                .filter(|(_, line)| !is_comment(line) && has(line))
                .map(|(index, line)| format!("{}:{}: {}", file.path, index + 1, line.trim()))
        })
        .collect()
}

#[test]
fn modules_use_each_other_one_way() {
    let broken: Vec<String> = source().iter().flat_map(forbidden).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_forbidden_import_is_found() {
    let file = File::new(
        "src/projector/fold.rs",
        "use crate::clock::Clock;\n\
         // use crate::notifier::Spoken;\n\
         use crate::{store::{Store, api}, api::Api, bus};\n\
         fn f() -> crate::notifier::Notifier { crate::projector::g(); todo() }\n",
    );
    assert_eq!(
        forbidden(&file),
        [
            "src/projector/fold.rs:3: projector may not use api",
            "src/projector/fold.rs:4: projector may not use notifier",
        ]
    );
    let several_lines = File::new(
        "src/domain/x.rs",
        "use crate::{\n    clock::Clock,\n    events,\n};\n",
    );
    assert_eq!(
        forbidden(&several_lines),
        ["src/domain/x.rs:1: domain may not use events"]
    );
    let leaf = File::new("src/clock.rs", "use crate::store::Store;");
    assert_eq!(
        forbidden(&leaf),
        ["src/clock.rs:1: clock may not use store"]
    );
    let unknown = File::new("src/goals.rs", "");
    assert_eq!(
        forbidden(&unknown),
        ["src/goals.rs: the module goals has no rule"]
    );
    let secrets = File::new("src/api/session.rs", "use crate::secrets;");
    assert_eq!(forbidden(&secrets).len(), 1);
    let main = File::new("src/main.rs", "use wealth_companion::store::Store;");
    assert_eq!(forbidden(&main), ["src/main.rs:1: main may not use store"]);
}

#[test]
fn every_module_of_the_crate_has_a_rule() {
    let source = source();
    let modules: BTreeSet<&str> = source.iter().map(File::module).collect();
    let ruled: BTreeSet<&str> = RULES.iter().map(|(name, _)| *name).collect();
    let modules: BTreeSet<&str> = modules.into_iter().filter(|name| *name != "lib").collect();
    assert_eq!(modules, ruled);
}

#[test]
fn sql_stands_in_the_store_alone() {
    let words = ["sea_orm", "Statement", "migrations::"];
    let found = lines_with(&source(), &words, |path| !is_in(path, &["store"]));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn money_is_never_a_float() {
    let roles = ["domain", "events", "store", "api", "projector", "notifier"];
    let found = lines_with(&source(), &["f32", "f64"], |path| is_in(path, &roles));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_is_left_to_be_done() {
    let mut found = Vec::new();
    for file in source() {
        for (index, line) in file.text.lines().enumerate() {
            if ["TODO", "FIXME"].iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {line}", file.path, index + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn files_stay_short() {
    let long: BTreeSet<String> = source()
        .into_iter()
        .filter(|file| file.text.lines().count() > LINES_MAX)
        .map(|file| file.path)
        .collect();
    let known = LONG_FILES.iter().map(|(path, _)| (*path).to_owned());
    assert_eq!(long, known.collect());
}

fn is_in(path: &str, modules: &[&str]) -> bool {
    modules.contains(&File::new(path, "").module())
}
