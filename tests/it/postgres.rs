//! What only PostgreSQL does: many writers, places in the log that are committed late, poolers, TLS.
//! Run in the one run of the stories that is not on PostgreSQL itself.

mod booking;
mod connections;
mod explained;
mod history;
mod log;
mod migrating;
mod plan;
mod projecting;
mod proxy;
mod recurring;
mod repairing;
mod restarting;
pub(crate) mod restoring;
mod slow;
mod streaming;
mod upgrading;
