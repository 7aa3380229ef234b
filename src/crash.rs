//! Named crash points: where a test kills the process to prove that nothing is lost or doubled; and faults of
//! single statements, for simulations.
//!
//! Set `WEALTH_CRASH_AT` to a name of [`POINTS`] or [`MAIL_POINTS`] and the process dies there, without unwinding or
//! flushing, as by `kill -9`. Release builds contain neither.

#[cfg(debug_assertions)]
use std::cell::Cell;

/// Every crash point, in the order in which an event passes them.
pub const POINTS: &[&str] = &[
    "relay.after_commit_before_publish",
    "relay.after_publish_before_mark",
    "projector.before_commit",
    "projector.after_commit_before_ack",
    "notifier.before_commit",
    "notifier.after_commit_before_ack",
];

/// Every crash point of an alert's way by mail, after those.
pub const MAIL_POINTS: &[&str] = &[
    "mail.after_claim_before_send",
    "mail.after_send_before_mark",
];

/// Dies here if the environment names this point.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    debug_assert!(
        POINTS.contains(&name) || MAIL_POINTS.contains(&name),
        "{name} is not in the list of crash points"
    );
    if std::env::var_os("WEALTH_CRASH_AT").is_some_and(|at| at == name) {
        std::process::abort();
    }
}

/// Release builds have no crash points.
#[cfg(not(debug_assertions))]
pub const fn point(_: &str) {}

#[cfg(debug_assertions)]
thread_local! {
    /// How many statements of this thread succeed before one fails; none fails without.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Of the statements that this thread sends to an embedded database, the one after so many fails, once, as if
/// the database had gone away; a commit counts as one. None: no more fails. Gives what was left.
#[cfg(debug_assertions)]
pub fn fail_after(statements: Option<u32>) -> Option<u32> {
    LEFT.replace(statements)
}

/// Whether this statement is to fail.
#[cfg(debug_assertions)]
pub(crate) fn statement_fails() -> bool {
    let left = LEFT.get();
    LEFT.set(left.and_then(|left| left.checked_sub(1)));
    left == Some(0)
}

/// Release builds have no faults on purpose.
#[cfg(not(debug_assertions))]
pub(crate) const fn statement_fails() -> bool {
    false
}
