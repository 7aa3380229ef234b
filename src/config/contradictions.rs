//! Compares values with each other: each is valid by itself, together they cannot be meant.

use std::net::{IpAddr, SocketAddr};

use crate::config::email::SmtpServer;
use crate::config::merged::Merged;
use crate::config::problem::{Problem, ProblemKind};
use crate::config::secrets;

/// A way in which the value of `key` can disagree with others.
struct Rule {
    key: &'static str,
    /// The keys that must be sound for the comparison to mean anything.
    needs: &'static [&'static str],
    /// What is wrong, if anything.
    broken: fn(&Merged) -> Option<String>,
}

const RULES: &[Rule] = &[
    Rule {
        key: "http.internal_addr",
        needs: &["http.public_addr", "http.internal_addr"],
        broken: shared_address,
    },
    Rule {
        key: "bus.retry_max_ms",
        needs: &["bus.retry_min_ms", "bus.retry_max_ms"],
        broken: retry_range,
    },
    Rule {
        key: "bus.kind",
        needs: &["bus.kind", "database.url"],
        broken: bus_without_a_shared_database,
    },
    Rule {
        key: "database.direct_url",
        needs: &["database.url", "database.direct_url"],
        broken: direct_to_another,
    },
    Rule {
        key: "state.kind",
        needs: &["state.kind", "state.redis_url"],
        broken: redis_without_url,
    },
    Rule {
        key: "kafka.min_insync",
        needs: &["kafka.min_insync", "kafka.replication"],
        broken: more_in_sync_than_replicas,
    },
    // The database's URL is itself a problem when this build does not support it; the missing key
    // is one more.
    Rule {
        key: "auth.jwt_secret_key",
        needs: &["auth.jwt_secret_key"],
        broken: missing_signing_key,
    },
    Rule {
        key: "retention.inbox_days",
        needs: &["retention.log_days", "retention.inbox_days"],
        broken: short_inbox,
    },
    Rule {
        key: "kafka.retention_hours",
        needs: &["bus.kind", "kafka.retention_hours", "retention.inbox_days"],
        broken: topics_longer_than_the_inbox,
    },
    Rule {
        key: "lifecycle.drain_pause_ms",
        needs: &["lifecycle.drain_pause_ms", "lifecycle.drain_deadline_ms"],
        broken: long_pause,
    },
    Rule {
        key: "ai.url",
        needs: &["ai.url"],
        broken: figures_in_the_clear,
    },
    Rule {
        key: "email.smtp_url",
        needs: &["email.smtp_url"],
        broken: password_in_the_clear,
    },
    Rule {
        key: "email.from",
        needs: &["email.smtp_url", "email.from"],
        broken: mail_from_nobody,
    },
    Rule {
        key: "email.public_url",
        needs: &["email.smtp_url", "email.public_url"],
        broken: links_to_nowhere,
    },
];

/// Adds a problem for each contradiction between sound values.
pub(super) fn find(merged: &Merged, problems: &mut Vec<Problem>) {
    // When a whole file is missing, what it would have set is compared with what it did not mean.
    if problems.iter().any(|problem| problem.key.is_none()) {
        return;
    }
    let sound = |key: &str| {
        problems
            .iter()
            .all(|problem| problem.key.as_deref() != Some(key))
    };
    let found: Vec<Problem> = RULES
        .iter()
        .filter(|rule| rule.needs.iter().all(|key| sound(key)))
        .filter_map(|rule| {
            let kind = ProblemKind::Contradiction((rule.broken)(merged)?);
            Some(Problem::new(rule.key, merged.origin(rule.key), kind))
        })
        .collect();
    problems.extend(found);
}

fn shared_address(merged: &Merged) -> Option<String> {
    let address = |key| merged.text(key)?.parse::<SocketAddr>().ok();
    let (public, internal) = (address("http.public_addr")?, address("http.internal_addr")?);
    collide(public, internal).then(|| {
        format!(
            "{internal} collides with http.public_addr, which is {public} by {}",
            merged.origin("http.public_addr")
        )
    })
}

/// Whether both cannot be listened on. An unspecified address takes its port on all addresses, of
/// both families.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_ip
}

fn retry_range(merged: &Merged) -> Option<String> {
    compare(
        merged,
        "bus.retry_max_ms",
        "less than",
        "bus.retry_min_ms",
        |max, min| max < min,
    )
}

fn more_in_sync_than_replicas(merged: &Merged) -> Option<String> {
    compare(
        merged,
        "kafka.min_insync",
        "more than",
        "kafka.replication",
        |insync, replicas| insync > replicas,
    )
}

fn short_inbox(merged: &Merged) -> Option<String> {
    compare(
        merged,
        "retention.inbox_days",
        "not more than",
        "retention.log_days",
        |inbox, log| inbox <= log,
    )
}

/// A topic that is read anew from its beginning must not bring what the inbox has forgotten. Records
/// stay up to a day longer than they should, until a whole segment of them is old.
fn topics_longer_than_the_inbox(merged: &Merged) -> Option<String> {
    let (topic, inbox) = (
        merged.integer("kafka.retention_hours")?,
        merged.integer("retention.inbox_days")?,
    );
    let too_long = merged.text("bus.kind")? != "embedded" && topic + 24 > inbox * 24;
    too_long.then(|| {
        format!(
            "{topic} is not a day less than retention.inbox_days, which is {inbox} by {}: \
             an event that is read again could be handled twice",
            merged.origin("retention.inbox_days")
        )
    })
}

fn long_pause(merged: &Merged) -> Option<String> {
    compare(
        merged,
        "lifecycle.drain_pause_ms",
        "not less than",
        "lifecycle.drain_deadline_ms",
        |pause, deadline| pause >= deadline,
    )
}

/// The key and people's figures go there: off this machine in secret alone.
fn figures_in_the_clear(merged: &Merged) -> Option<String> {
    let url = reqwest::Url::parse(merged.text("ai.url")?).ok()?;
    (url.scheme() == "http" && !is_this_machine(url.host_str()?)).then(|| {
        "begins with http:, and the key and people's figures would go there in the clear: \
         only on this machine"
            .to_owned()
    })
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whoever listens could send mail in our name.
fn password_in_the_clear(merged: &Merged) -> Option<String> {
    let server = SmtpServer::parse(merged.text("email.smtp_url")?).ok()?;
    let is_told = server.login.is_some() && !server.encryption.is_certain();
    (is_told && !is_this_machine(&server.host)).then(|| {
        "has a password, which would go there in the clear: only on this machine, or with \
         tls=required or smtps:"
            .to_owned()
    })
}

fn mail_from_nobody(merged: &Merged) -> Option<String> {
    let is_empty = |key| merged.text(key).map(str::is_empty);
    (!is_empty("email.smtp_url")? && is_empty("email.from")?)
        .then(|| "must say whom mail is from, since email.smtp_url is set".to_owned())
}

/// A mail must say how to get no more of them, in a way that works.
fn links_to_nowhere(merged: &Merged) -> Option<String> {
    let text = merged.text("email.public_url")?;
    if text.is_empty() {
        let sends = !merged.text("email.smtp_url")?.is_empty();
        return sends.then(|| {
            "must say where people reach the API, since email.smtp_url is set: links in mails \
             lead there, by which mail is turned off"
                .to_owned()
        });
    }
    let url = reqwest::Url::parse(text).ok()?;
    let is_bare = url.username().is_empty() && url.query().is_none() && url.fragment().is_none();
    if !is_bare {
        return Some("must be a URL without a user, a query or a fragment".to_owned());
    }
    (url.scheme() == "http" && !is_this_machine(url.host_str()?)).then(|| {
        "begins with http:, and whoever sees a link in the clear could turn somebody's mail off: \
         only on this machine"
            .to_owned()
    })
}

fn compare(
    merged: &Merged,
    key: &str,
    relation: &str,
    other: &str,
    is_broken: fn(i64, i64) -> bool,
) -> Option<String> {
    let (left, right) = (merged.integer(key)?, merged.integer(other)?);
    is_broken(left, right).then(|| {
        format!(
            "{left} is {relation} {other}, which is {right} by {}",
            merged.origin(other)
        )
    })
}

/// Whether the database is a server's, which others may use too.
fn is_server(merged: &Merged) -> Option<bool> {
    let scheme = secrets::url_scheme(merged.text("database.url")?);
    Some(scheme.is_some_and(|scheme| scheme != "sqlite"))
}

/// Whether the key is still to come from a secret store, which is asked at the start and not here.
fn is_to_come(merged: &Merged, key: &str) -> bool {
    let is_empty = |key| merged.text(key).is_some_and(|text| text.trim().is_empty());
    !is_empty("dapr.secretstore") && is_empty(key)
}

/// A bus between processes needs a database between processes.
fn bus_without_a_shared_database(merged: &Merged) -> Option<String> {
    let kind = merged.text("bus.kind")?;
    let lonely = kind != "embedded" && !is_server(merged)? && !is_to_come(merged, "database.url");
    lonely.then(|| {
        format!("{kind:?} carries events between processes, which must share a PostgreSQL database: set database.url")
    })
}

fn direct_to_another(merged: &Merged) -> Option<String> {
    let direct = !merged.text("database.direct_url")?.is_empty();
    let alone = direct && !is_server(merged)? && !is_to_come(merged, "database.url");
    alone.then(|| "goes with a PostgreSQL database: set database.url too".to_owned())
}

fn redis_without_url(merged: &Merged) -> Option<String> {
    let missing = merged.text("state.kind")? == "redis"
        && merged.text("state.redis_url")?.is_empty()
        && !is_to_come(merged, "state.redis_url");
    missing.then(|| "\"redis\" needs state.redis_url".to_owned())
}

/// Servers that share a database must share the key; one that is generated stays with its process.
fn missing_signing_key(merged: &Merged) -> Option<String> {
    let missing = merged.text("auth.jwt_secret_key")?.trim().is_empty();
    let is_to_come = is_to_come(merged, "auth.jwt_secret_key");
    (is_server(merged)? && missing && !is_to_come).then(|| {
        "may be empty only with an SQLite database (see database.url); \
         make one with `openssl rand -base64 48`"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::collide;

    #[test]
    fn addresses_collide_on_one_port_of_overlapping_interfaces() {
        for (a, b, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let address = |text: &str| text.parse().expect("an address");
            assert_eq!(collide(address(a), address(b)), expected, "{a} {b}");
        }
    }
}
