//! Tests of every kind of problem, alone and all at once.

use std::path::PathBuf;

use super::{File, env, env_problems, file_problems, load_env, problem_lines};
use crate::config::{Config, LoadArgs, ProblemKind};

#[test]
fn unknown_keys_come_with_a_suggestion() {
    assert_eq!(
        file_problems("[http]\npublic_adr = 'x'\n"),
        ["http.public_adr: unknown key (file wealth.toml:2); did you mean http.public_addr?"]
    );
    assert_eq!(
        env_problems(&[("WEALTH__HTTP__PUBLIC_ADR", "x")]),
        [
            "http.public_adr: unknown key (environment WEALTH__HTTP__PUBLIC_ADR); did you mean \
             http.public_addr?"
        ]
    );
    assert_eq!(
        problem_lines(&LoadArgs::new().flag("data_dirr", "x", "--data-dirr")),
        ["data_dirr: unknown key (flag --data-dirr); did you mean data_dir?"]
    );
    assert_eq!(
        file_problems("zzzzzzzz = 1\n"),
        ["zzzzzzzz: unknown key (file wealth.toml:1)"]
    );
}

#[test]
fn unknown_sections_and_misplaced_values_are_told() {
    assert_eq!(
        file_problems("[htp]\n"),
        ["htp: unknown key (file wealth.toml:1); did you mean http?"]
    );
    assert_eq!(
        file_problems("[htp]\nworkers = 1\n"),
        ["htp.workers: unknown key (file wealth.toml:2); did you mean http.workers?"]
    );
    assert_eq!(
        file_problems("http = 1\n"),
        ["http: expected a section, found an integer (file wealth.toml:1)"]
    );
    assert_eq!(
        file_problems("[[http]]\n"),
        ["http: expected a section, found a list (file wealth.toml:1)"]
    );
    assert_eq!(
        file_problems("'http.workers' = 1\n"),
        ["\"http.workers\": unknown key (file wealth.toml:1); did you mean http.workers?"]
    );
    assert_eq!(
        file_problems("[http.workers]\nx = 1\n"),
        ["http.workers: expected an integer, found a table (file wealth.toml:1)"]
    );
    assert_eq!(
        env_problems(&[("WEALTH__HTTP", "x")])[0].split(';').next(),
        Some("http: unknown key (environment WEALTH__HTTP)")
    );
}

#[test]
fn names_of_variables_are_exact() {
    assert_eq!(
        env_problems(&[("WEALTH__http__workers", "1")]),
        [
            "http.workers: unknown key (environment WEALTH__http__workers); did you mean \
             http.workers?"
        ]
    );
}

#[test]
fn wrong_types_are_told_for_each_source() {
    for (value, found) in [
        ("'4'", "a string"),
        ("4.0", "a number with a fraction"),
        ("true", "a boolean"),
        ("[4]", "a list"),
        ("{}", "a table"),
        ("2026-01-01", "a date or time"),
        ("99999999999999999999", "a number beyond 64 bits"),
    ] {
        assert_eq!(
            file_problems(&format!("[http]\nworkers = {value}\n")),
            [format!(
                "http.workers: expected an integer, found {found} (file wealth.toml:2)"
            )]
        );
    }
    assert_eq!(
        file_problems("data_dir = 4\n"),
        ["data_dir: expected a string, found an integer (file wealth.toml:1)"]
    );
    for (text, found) in [
        ("four", "other text"),
        ("", "nothing"),
        ("99999999999999999999", "a number beyond 64 bits"),
    ] {
        assert_eq!(
            env_problems(&[("WEALTH__HTTP__WORKERS", text)]),
            [format!(
                "http.workers: expected an integer, found {found} \
                 (environment WEALTH__HTTP__WORKERS)"
            )]
        );
    }
}

#[test]
fn values_out_of_bounds_or_shape_are_told() {
    assert_eq!(
        file_problems("[http]\nworkers = -1\n"),
        ["http.workers: -1 is out of bounds, 0 to 64 (file wealth.toml:2)"]
    );
    assert_eq!(
        env_problems(&[("WEALTH__LOG__FORMAT", "xml")]),
        ["log.format: \"xml\" is not one of: auto, json, pretty (environment WEALTH__LOG__FORMAT)"]
    );
    assert_eq!(
        env_problems(&[("JWT_SECRET_KEY", "short")]),
        [
            "auth.jwt_secret_key: the secret of key 1 is shorter than 32 bytes; make one with \
             `openssl rand -base64 48` \
             (environment JWT_SECRET_KEY)"
        ]
    );
    assert_eq!(
        problem_lines(&LoadArgs::new().flag("data_dir", "", "--data-dir")),
        ["data_dir: must not be empty (flag --data-dir)"]
    );
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let missing = LoadArgs::new().file(PathBuf::from("/nonexistent/wealth.toml"));
    let lines = problem_lines(&missing);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("file wealth.toml: cannot be read: "),
        "{}",
        lines[0]
    );

    let file = File::new([0xff, 0xfe]);
    let lines = problem_lines(&LoadArgs::new().file(file.path()));
    assert!(
        lines[0].starts_with("file wealth.toml: cannot be read: "),
        "{}",
        lines[0]
    );
}

#[test]
fn each_line_of_invalid_toml_is_told() {
    let lines = file_problems("data_dir = \n[http]\nworkers = = 2\n");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("file wealth.toml:1: not valid TOML: "),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].starts_with("file wealth.toml:3: not valid TOML: "),
        "{}",
        lines[1]
    );

    let lines = file_problems("[http]\nworkers = 1\nworkers = 2\n");
    assert!(
        lines[0].starts_with("file wealth.toml:3: not valid TOML: duplicate key"),
        "{}",
        lines[0]
    );
}

#[test]
fn all_problems_come_at_once() {
    let file = File::new(
        "data_dir = 5\n[http]\npublic_adr = 'x'\nworkers = 65\n[retention]\ninbox_days = 1\n",
    );
    let args = LoadArgs::new()
        .file(file.path())
        .environment(env(&[
            ("WEALTH__BUS__BATCH_MAX", "many"),
            ("WEALTH__NO__SUCH", "x"),
            ("DATABASE_URL", "mysql://host/db"),
            ("JWT_SECRET_KEY", "short"),
        ]))
        .flag("http.internal_addr", "here", "--internal-addr");
    let errors = Config::load(&args).expect_err("problems");
    let keys: Vec<&str> = errors
        .problems()
        .iter()
        .filter_map(|problem| problem.key.as_deref())
        .collect();
    assert_eq!(
        keys,
        [
            "data_dir",
            "http.public_adr",
            "no.such",
            "bus.batch_max",
            "http.internal_addr",
            "http.workers",
            "database.url",
            "auth.jwt_secret_key",
            "retention.inbox_days",
        ]
    );
    assert_eq!(errors.to_string().lines().count(), keys.len());
}

#[test]
fn a_broken_file_does_not_hide_the_problems_of_other_sources() {
    let file = File::new("[http\n");
    let variables = env(&[("WEALTH__HTTP__WORKERS", "65")]);
    let args = LoadArgs::new().file(file.path()).environment(variables);
    let errors = Config::load(&args).expect_err("problems");
    let kinds: Vec<&ProblemKind> = errors
        .problems()
        .iter()
        .map(|problem| &problem.kind)
        .collect();
    assert!(
        matches!(
            kinds[..],
            [
                ProblemKind::InvalidToml(_),
                ProblemKind::OutOfBounds {
                    value: 65,
                    min: 0,
                    max: 64
                }
            ]
        ),
        "{kinds:?}"
    );
}

#[test]
fn problems_stay_on_their_lines() {
    let errors = load_env(&[("WEALTH__A\nB", "x")]).expect_err("a problem");
    assert_eq!(errors.to_string().lines().count(), 1);
}
