//! What an operator does by hand: look at topics and make them, watch events, see who lags, hand events
//! over again, decide about dead letters, and bring exchange rates in. It gives what it found; the command line shows it.

/// Roles' consumers outside of their roles.
mod handing;
/// How far consumers are behind.
pub mod lag;
/// Dead letters.
pub mod letters;
/// Moments as operators write them.
pub mod moment;
/// Public exchange rates.
pub mod rates;
/// Events that are handed over again.
pub mod replay;
/// Events as they pass.
pub mod tail;
/// Topics as the catalogue wants them.
pub mod topics;

pub use handing::HearingRole;

/// Why Kafka did not do what it was asked to.
pub use crate::kafka::KafkaFault;
