//! Checks each winning value by itself: its bounds and its form.

use std::net::SocketAddr;

use ::config::ValueKind;
use deadpool_redis::redis::{ConnectionAddr, IntoConnectionInfo};

use crate::config::email::{Sender, SmtpServer};
use crate::config::keys::{KEYS, Kind};
use crate::config::merged::Merged;
use crate::config::networks;
use crate::config::problem::{Problem, ProblemKind};
use crate::config::secrets;

/// Adds a problem for each value that is out of bounds or malformed.
pub(super) fn check(merged: &Merged, problems: &mut Vec<Problem>) {
    for spec in KEYS {
        if let Some(value) = merged.value(spec.name)
            && let Some(fault) = fault(spec.kind, &value.kind)
        {
            problems.push(Problem::new(spec.name, merged.origin(spec.name), fault));
        }
    }
}

fn fault(kind: Kind, value: &ValueKind) -> Option<ProblemKind> {
    match (kind, value) {
        (Kind::Integer { min, max }, ValueKind::I64(value)) => (!(min..=max).contains(value))
            .then_some(ProblemKind::OutOfBounds {
                value: *value,
                min,
                max,
            }),
        (_, ValueKind::String(text)) => text_fault(kind, text).map(ProblemKind::Malformed),
        _ => None,
    }
}

fn text_fault(kind: Kind, text: &str) -> Option<String> {
    match kind {
        Kind::Address => text.parse::<SocketAddr>().err().map(|_| {
            format!("{text:?} is not an address of the form IP:PORT, such as 127.0.0.1:8080")
        }),
        Kind::Path | Kind::Text => text
            .trim()
            .is_empty()
            .then(|| "must not be empty".to_owned()),
        Kind::Name => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            (text.len() > 100 || !text.chars().all(plain))
                .then(|| format!("{text:?} is not at most 100 letters, digits, dots, `_` and `-`"))
        }
        Kind::Host => (!is_host_and_port(text)).then(|| format!("{text:?} is not HOST:PORT")),
        Kind::Hosts => text
            .split(',')
            .any(|host| !is_host_and_port(host))
            .then(|| format!("{text:?} is not HOST:PORT, or several separated by commas")),
        Kind::Networks => networks::parse(text).err(),
        Kind::Choice(words) => (!words.contains(&text))
            .then(|| format!("{text:?} is not one of: {}", words.join(", "))),
        Kind::Url { schemes } => url_fault(text, schemes),
        Kind::Mailbox if text.is_empty() => None,
        Kind::Mailbox => Sender::parse(text).err().map(str::to_owned),
        Kind::SigningKeys => secrets::parse_signing_keys(text)
            .err()
            .map(|error| error.to_string()),
        Kind::File | Kind::Secret | Kind::Integer { .. } | Kind::Switch => None,
    }
}

fn is_host_and_port(text: &str) -> bool {
    text.trim().rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(|c: char| c.is_whitespace() || c == '/')
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// Names the scheme of a URL at most: the rest may be a password.
fn url_fault(text: &str, schemes: &[&str]) -> Option<String> {
    let wanted = || {
        schemes
            .iter()
            .map(|scheme| format!("{scheme}:"))
            .collect::<Vec<_>>()
            .join(" or ")
    };
    if text.is_empty() {
        return None;
    }
    match secrets::url_scheme(text) {
        Some(scheme) if schemes.contains(&scheme.as_str()) => match scheme.as_str() {
            "redis" | "rediss" => redis_url_fault(text),
            "smtp" | "smtps" => SmtpServer::parse(text).err().map(str::to_owned),
            _ => None,
        },
        // Without the slashes it could be `user:password`.
        Some(scheme) if text[scheme.len()..].starts_with("://") => Some(format!(
            "{scheme}: URLs are not supported by this build, only {}",
            wanted()
        )),
        _ => Some(format!("is not a URL that begins with {}", wanted())),
    }
}

/// What is wrong with the parts of a Redis URL; says nothing of the parts themselves.
fn redis_url_fault(text: &str) -> Option<String> {
    let Ok(info) = text.into_connection_info() else {
        return Some(
            "is not a URL of the form redis://USER:PASSWORD@HOST:PORT/NUMBER, with what is no \
             letter and no digit in the password as %XX"
                .to_owned(),
        );
    };
    matches!(info.addr(), ConnectionAddr::TcpTls { insecure: true, .. }).then(|| {
        "#insecure is not supported: set state.redis_ca_file to who is to be trusted".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::text_fault;
    use crate::config::keys::Kind;

    const DATABASE: Kind = Kind::Url {
        schemes: &["sqlite", "postgres"],
    };

    #[test]
    fn an_unsupported_database_is_named() {
        let fault = text_fault(DATABASE, "mysql://ann:s3cr3t@host/db").expect("a fault");
        assert_eq!(
            fault,
            "mysql: URLs are not supported by this build, only sqlite: or postgres:"
        );
    }

    #[test]
    fn what_is_not_a_url_is_not_repeated() {
        for text in ["s3cr3t", "s3cr3t:x@host", "://s3cr3t", "é://s3cr3t"] {
            let fault = text_fault(DATABASE, text).expect("a fault");
            assert_eq!(fault, "is not a URL that begins with sqlite: or postgres:");
        }
    }

    #[test]
    fn sqlite_urls_of_all_forms_pass() {
        for text in [
            "",
            "sqlite:x.db",
            "sqlite://x.db?mode=rwc",
            "sqlite::memory:",
            "SQLITE:x",
        ] {
            assert_eq!(text_fault(DATABASE, text), None, "{text}");
        }
    }

    #[test]
    fn redis_urls_are_read_to_their_end_and_not_repeated() {
        let redis = Kind::Url {
            schemes: &["redis", "rediss"],
        };
        for text in [
            "",
            "redis://localhost",
            "redis://:s3%23cr3t@[::1]:6380/3",
            "rediss://ann:s3cr3t@redis.example.com:6379/0",
            "REDIS://localhost",
        ] {
            assert_eq!(text_fault(redis, text), None, "{text}");
        }
        for text in [
            "redis:s3cr3t",
            "redis://",
            "redis://:s3cr3t@",
            "redis://:s3#cr3t@localhost",
            "redis://:s3cr3t@localhost:port",
            "redis://:s3cr3t@localhost:65536",
            "redis://:s3cr3t@localhost/three",
            "redis://:s3cr3t@0.0.0.0",
            "rediss://:s3cr3t@localhost/#insecure",
        ] {
            let fault = text_fault(redis, text).expect(text);
            assert!(!fault.contains("cr3t"), "{fault}");
        }
    }

    #[test]
    fn brokers_have_a_host_and_a_port() {
        for text in [
            "kafka:9092",
            "a:1, [::1]:2",
            "kafka-0.kafka.svc:9092,kafka-1:9092",
        ] {
            assert_eq!(text_fault(Kind::Hosts, text), None, "{text}");
        }
        for text in [
            "",
            "kafka",
            "kafka:",
            "kafka:0",
            ":9092",
            "a:1,,b:2",
            "http://a:1",
        ] {
            assert!(text_fault(Kind::Hosts, text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_name_may_be_empty_but_not_strange() {
        for text in ["", "staging.", "a_b-C.1"] {
            assert_eq!(text_fault(Kind::Name, text), None, "{text}");
        }
        for text in [" ", "a b", "é", "a/b"] {
            assert!(text_fault(Kind::Name, text).is_some(), "{text}");
        }
    }

    #[test]
    fn host_names_are_not_addresses() {
        for text in [
            "localhost:8080",
            "127.0.0.1",
            ":8080",
            "127.0.0.1:65536",
            "",
        ] {
            assert!(text_fault(Kind::Address, text).is_some(), "{text}");
        }
        assert_eq!(text_fault(Kind::Address, "[::]:0"), None);
    }
}
