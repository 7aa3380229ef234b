//! Why brokers did not do what they were asked to, in words that say what to do.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::config;

/// Why brokers did not do what they were asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KafkaFault {
    /// Nobody answers there.
    #[error(
        "kafka.brokers: nobody answers at {brokers} ({detail}); is Kafka running, and is that its address?"
    )]
    Unreachable {
        /// Where they should be.
        brokers: String,
        /// What librdkafka says.
        detail: String,
    },
    /// They answered that they will not.
    #[error("Kafka at {brokers}: {detail}")]
    Refused {
        /// Where they are.
        brokers: String,
        /// What they say.
        detail: String,
    },
    /// A topic is not there.
    #[error("the topic {0} does not exist: `events topics apply` makes what is missing")]
    NoTopic(String),
}

impl KafkaFault {
    /// What an error of librdkafka means.
    pub(crate) fn of(config: &config::Kafka, error: &KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(code) if is_absence(code) => Self::Unreachable {
                brokers: config.brokers.clone(),
                detail: code.to_string(),
            },
            _ => Self::other(config, error),
        }
    }

    /// Anything else.
    pub(crate) fn other(config: &config::Kafka, detail: &impl ToString) -> Self {
        Self::Refused {
            brokers: config.brokers.clone(),
            detail: detail.to_string(),
        }
    }
}

/// Whether it says that no broker could be asked.
fn is_absence(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::Resolve
            | Code::RequestTimedOut
    )
}
