//! The roles apart, on Kafka through real sidecars.

/// From a booking to an alert.
mod chain;
/// What does not pass, and what passes.
mod delivering;
/// What will never work.
mod poison;
/// What stands in Kafka.
mod publishing;
/// What must be there at the start.
mod secrets;
/// What spares work.
mod state;
