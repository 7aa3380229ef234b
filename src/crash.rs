//! Named crash points: where a test kills the process to prove that nothing is lost or doubled.
//!
//! Set `WEALTH_CRASH_AT` to a name of [`POINTS`] and the process dies there, without unwinding or
//! flushing, as by `kill -9`. Release builds do not contain them.

/// Every crash point, in the order in which an event passes them.
pub const POINTS: &[&str] = &[
    "relay.after_commit_before_publish",
    "relay.after_publish_before_mark",
    "projector.before_commit",
    "projector.after_commit_before_ack",
    "notifier.before_commit",
    "notifier.after_commit_before_ack",
];

/// Dies here if the environment names this point.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    debug_assert!(
        POINTS.contains(&name),
        "{name} is not in the list of crash points"
    );
    if std::env::var_os("WEALTH_CRASH_AT").is_some_and(|at| at == name) {
        std::process::abort();
    }
}

/// Release builds have no crash points.
#[cfg(not(debug_assertions))]
pub const fn point(_: &str) {}
