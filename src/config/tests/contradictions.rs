//! Tests of values that disagree with each other.

use super::{File, env_problems, file_problems, load_env, problem_lines};
use crate::config::LoadArgs;

#[test]
fn two_names_of_one_key_must_agree() {
    assert_eq!(
        env_problems(&[
            ("DATABASE_URL", "sqlite:a.db"),
            ("WEALTH__DATABASE__URL", "sqlite:b.db")
        ]),
        [
            "database.url: differs from the value of DATABASE_URL; set only one of them \
             (environment WEALTH__DATABASE__URL)"
        ]
    );
}

#[test]
fn contradictions_name_both_keys_and_both_sources() {
    let file = File::new(
        "[bus]\nretry_min_ms = 20000\n[retention]\ninbox_days = \
         7\n[lifecycle]\ndrain_deadline_ms = 50\ndrain_pause_ms = 50\n",
    );
    let args = LoadArgs::new().file(file.path()).flag(
        "http.internal_addr",
        "0.0.0.0:8080",
        "--internal-addr",
    );
    assert_eq!(
        problem_lines(&args),
        [
            "http.internal_addr: 0.0.0.0:8080 collides with http.public_addr, which is \
             127.0.0.1:8080 by default \
             (flag --internal-addr)",
            "bus.retry_max_ms: 10000 is less than bus.retry_min_ms, which is 20000 by file \
             wealth.toml:2 (default)",
            "retention.inbox_days: 7 is not more than retention.log_days, which is 7 by default \
             (file wealth.toml:4)",
            "lifecycle.drain_pause_ms: 50 is not less than lifecycle.drain_deadline_ms, which is \
             50 by \
             file wealth.toml:6 (file wealth.toml:7)",
        ]
    );
}

#[test]
fn a_foreign_database_needs_a_signing_key() {
    let lines = env_problems(&[("DATABASE_URL", "postgres://host/db")]);
    assert_eq!(
        lines,
        [
            "auth.jwt_secret_key: may be empty only with an SQLite database (see database.url); \
             make one with \
             `openssl rand -base64 48` (default)",
        ]
    );
}

#[test]
fn a_broken_value_is_not_compared() {
    let lines = file_problems("[retention]\nlog_days = 'x'\ninbox_days = 3\n");
    assert_eq!(
        lines,
        ["retention.log_days: expected an integer, found a string (file wealth.toml:2)"]
    );
}

#[test]
fn a_bus_between_processes_needs_a_server() {
    let lines = env_problems(&[("WEALTH__BUS__KIND", "kafka")]);
    assert_eq!(
        lines,
        [
            "bus.kind: \"kafka\" carries events between processes, which must share a PostgreSQL \
             database: set database.url (environment WEALTH__BUS__KIND)"
        ]
    );
}

#[test]
fn topics_must_not_keep_what_the_inbox_forgets() {
    let environment = |kind| {
        [
            ("WEALTH__BUS__KIND", kind),
            ("DATABASE_URL", "postgres://host/db"),
            ("JWT_SECRET_KEY", "0123456789abcdef0123456789abcdef"),
            ("WEALTH__KAFKA__RETENTION_HOURS", "169"),
        ]
    };
    let lines = env_problems(&environment("kafka"));
    assert_eq!(
        lines,
        [
            "kafka.retention_hours: 169 is not a day less than retention.inbox_days, which is 8 by \
             default: an event that is read again could be handled twice (environment \
             WEALTH__KAFKA__RETENTION_HOURS)"
        ]
    );
    assert!(load_env(&environment("embedded")).is_ok());
}

#[test]
fn what_stands_alone_is_told_what_it_needs() {
    let lines = env_problems(&[
        ("WEALTH__DATABASE__DIRECT_URL", "postgres://host/db"),
        ("WEALTH__STATE__KIND", "redis"),
        ("WEALTH__KAFKA__REPLICATION", "1"),
    ]);
    assert_eq!(
        lines,
        [
            "database.direct_url: goes with a PostgreSQL database: set database.url too \
             (environment WEALTH__DATABASE__DIRECT_URL)",
            "state.kind: \"redis\" needs state.redis_url (environment WEALTH__STATE__KIND)",
            "kafka.min_insync: 2 is more than kafka.replication, which is 1 by environment \
             WEALTH__KAFKA__REPLICATION (default)",
        ]
    );
}

#[test]
fn what_a_secret_store_will_give_is_not_missed() {
    let loaded = load_env(&[
        ("WEALTH__BUS__KIND", "dapr"),
        ("WEALTH__STATE__KIND", "redis"),
        ("WEALTH__DAPR__SECRETSTORE", "secretstore"),
        ("DATABASE_URL", "postgres://host/db"),
    ]);
    assert!(loaded.is_ok(), "{loaded:?}");
}

#[test]
fn a_password_of_mail_leaves_this_machine_in_secret_alone() {
    let with = |url| {
        load_env(&[
            ("SMTP_URL", url),
            ("WEALTH__EMAIL__FROM", "a@example.com"),
            ("WEALTH__EMAIL__PUBLIC_URL", "https://a.example.com"),
        ])
    };
    for url in [
        "smtp://ann:s3cr3t@host?tls=none",
        "smtp://ann:s3cr3t@host?tls=opportunistic",
        "smtp://ann:s3cr3t@10.0.0.1:25?tls=none",
        "smtp://ann:s3cr3t@localhost.example.com?tls=none",
        "smtp://ann:s3cr3t@[::2]?tls=none",
    ] {
        let errors = with(url).expect_err(url).to_string();
        assert!(
            errors.contains(
                "email.smtp_url: has a password, which would go there in the clear: only on this \
                 machine, or with tls=required or smtps: (environment SMTP_URL)"
            ),
            "{errors}"
        );
        assert!(!errors.contains("s3cr3t"), "{errors}");
    }
    for url in [
        "smtp://ann:s3cr3t@host",
        "smtps://ann:s3cr3t@host",
        "smtp://ann:s3cr3t@localhost:1025?tls=none",
        "smtp://ann:s3cr3t@127.0.0.2?tls=opportunistic",
        "smtp://ann:s3cr3t@[::1]?tls=none",
        "smtp://relay.example.com:25?tls=none",
    ] {
        assert!(with(url).is_ok(), "{url}");
    }
}

#[test]
fn mail_is_from_somebody() {
    assert_eq!(
        env_problems(&[
            ("SMTP_URL", "smtps://host"),
            ("WEALTH__EMAIL__PUBLIC_URL", "https://a.example.com")
        ]),
        ["email.from: must say whom mail is from, since email.smtp_url is set (default)"]
    );
    assert!(load_env(&[("WEALTH__EMAIL__FROM", "a@example.com")]).is_ok());
    let broken = [
        ("SMTP_URL", "smtps://host"),
        ("WEALTH__EMAIL__FROM", "a@example.com\r\nBcc: b@example.com"),
        ("WEALTH__EMAIL__PUBLIC_URL", "https://a.example.com"),
    ];
    let problems = env_problems(&broken);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("email.from: is not of the form no-reply@example.com or"),
        "{problems:?}"
    );
}

#[test]
fn links_in_mails_lead_somewhere_and_in_secret() {
    let with = |url| {
        env_problems(&[
            ("SMTP_URL", "smtps://host"),
            ("WEALTH__EMAIL__FROM", "a@example.com"),
            ("WEALTH__EMAIL__PUBLIC_URL", url),
        ])
    };
    for (url, problem) in [
        ("", "must say where people reach the API"),
        ("http://books.example.com", "begins with http:"),
        ("http://localhost.example.com", "begins with http:"),
        (
            "https://ann@books.example.com",
            "must be a URL without a user",
        ),
        (
            "https://books.example.com?a=b",
            "must be a URL without a user",
        ),
        (
            "https://books.example.com#a",
            "must be a URL without a user",
        ),
    ] {
        let problems = with(url);
        assert_eq!(problems.len(), 1, "{url} {problems:?}");
        let about = format!("email.public_url: {problem}");
        assert!(problems[0].starts_with(&about), "{url} {problems:?}");
    }
    for url in [
        "https://books.example.com",
        "https://example.com/books/",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
    ] {
        assert!(
            load_env(&[
                ("SMTP_URL", "smtps://host"),
                ("WEALTH__EMAIL__FROM", "a@example.com"),
                ("WEALTH__EMAIL__PUBLIC_URL", url),
            ])
            .is_ok(),
            "{url}"
        );
    }
    // Without mail nothing leads there.
    assert!(load_env(&[]).is_ok());
}
