//! Kafka through the Dapr sidecar: `publisher` hands batches to it, and it hands deliveries to
//! the internal listener ([`crate::http::ingress`]), which takes them through `intake`.
//!
//! Both ways the sidecar carries raw payloads: what is in Kafka is the envelope of the log byte for
//! byte, as the bus without a sidecar writes and reads it.

/// What the sidecar delivers, on its way to the consumers.
pub mod intake;
/// From the relay to the sidecar.
pub mod publisher;

pub use intake::{Intake, Status};
pub use publisher::DaprPublisher;
