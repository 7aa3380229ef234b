//! Kafka without a sidecar: from a booking to its alert, and what happens when parts of it fail.

mod away;
mod beside_dapr;
mod chain;
mod going_back;
mod groups;
mod poison;
mod producing;
