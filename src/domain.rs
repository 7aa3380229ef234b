//! The language of personal finance: money, periods, budgets and the closed word lists around them.
//!
//! Everything here is pure: no I/O, no async, and no clock is read. Whoever needs "now" passes it
//! in. Amounts are integers of a currency's smallest unit and never floating point; what a client
//! sends is taken exactly or refused.

/// Budget thresholds and how far a budget is spent.
pub mod budget;
/// Categories and the usual set everyone starts with.
pub mod category;
/// Which exchange rate holds on a day.
pub mod exchange;
/// How goals come along.
pub mod goal;
/// What is worth knowing of somebody's spending.
pub mod insight;
/// Currencies and exact amounts.
pub mod money;
/// What people are told of, how, and when.
pub mod notification;
/// Recurring periods, calendar months and local days in time zones.
pub mod period;
/// Exchange rates, and amounts converted by them.
pub mod rate;
/// When bookings come again.
pub mod recurrence;
/// Rules by which bookings get their category, payee and tags.
pub mod rule;
/// What personal access tokens may do.
pub mod scope;
/// Words by which bookings are found.
pub mod search;
/// Checks of the texts people type.
pub mod text;
/// The direction of a transaction.
pub mod transaction;
/// The sorts of wallets.
pub mod wallet;
/// Closed word lists as they travel in JSON and storage.
pub mod word;
