//! Topics as they are: read, made, changed.

use std::collections::BTreeMap;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::{Context, KafkaFault, blocking, settings};
use crate::config;

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// The copies of the partition that has the fewest.
    pub replication: i32,
    /// What is in force for it, by the names of Kafka.
    pub settings: BTreeMap<String, String>,
    /// Those of them that were set for this topic alone.
    pub(crate) own: BTreeMap<String, String>,
}

/// A topic that is to be made.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// How many partitions it should have.
    pub partitions: i32,
    /// How many copies of each.
    pub replication: i32,
    /// What should be in force for it, by the names of Kafka.
    pub settings: BTreeMap<String, String>,
}

/// Looks at topics, and changes them.
#[derive(Clone)]
pub struct Topics {
    admin: std::sync::Arc<AdminClient<Context>>,
    config: config::Kafka,
}

impl Topics {
    /// Of these brokers.
    ///
    /// # Errors
    /// librdkafka does not want the settings.
    pub fn new(config: &config::Kafka) -> Result<Self, KafkaFault> {
        let settings = settings::client(config, "wealth-companion-operator");
        let admin = settings.create_with_context(Context);
        let admin = admin.map_err(|error| KafkaFault::of(config, &error))?;
        Ok(Self {
            admin: std::sync::Arc::new(admin),
            config: config.clone(),
        })
    }

    /// Those of the topics that there are.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub async fn read(&self, names: &[String]) -> Result<Vec<Topic>, KafkaFault> {
        let mut topics = self.shapes(names).await?;
        let wanted: Vec<ResourceSpecifier<'_>> = topics
            .iter()
            .map(|topic| ResourceSpecifier::Topic(&topic.name))
            .collect();
        if wanted.is_empty() {
            return Ok(topics);
        }
        let described = self.admin.describe_configs(&wanted, &self.options()).await;
        let described = described.map_err(|error| self.fault(&error))?;
        for (topic, described) in topics.iter_mut().zip(described) {
            let described =
                described.map_err(|code| self.refused(&topic.name, &code.to_string()))?;
            for entry in described.entries {
                let Some(value) = entry.value else { continue };
                if entry.source == ConfigSource::DynamicTopic {
                    topic.own.insert(entry.name.clone(), value.clone());
                }
                topic.settings.insert(entry.name, value);
            }
        }
        Ok(topics)
    }

    /// Names, partitions and copies.
    async fn shapes(&self, names: &[String]) -> Result<Vec<Topic>, KafkaFault> {
        let (admin, config) = (self.admin.clone(), self.config.clone());
        let names = names.to_vec();
        blocking(&self.config, move || {
            let all = admin.inner().fetch_metadata(None, config.timeout);
            let all = all.map_err(|error| KafkaFault::of(&config, &error))?;
            let count = |found: usize| i32::try_from(found).unwrap_or(i32::MAX);
            let shape = |name: String| {
                let topic = all.topics().iter().find(|topic| topic.name() == name)?;
                let copies = topic.partitions().iter().map(|it| it.replicas().len());
                Some(Topic {
                    name,
                    partitions: count(topic.partitions().len()),
                    replication: count(copies.min().unwrap_or_default()),
                    settings: BTreeMap::new(),
                    own: BTreeMap::new(),
                })
            };
            Ok(names.into_iter().filter_map(shape).collect())
        })
        .await
    }

    /// Makes a topic; says whether it did, or somebody else had made one.
    ///
    /// # Errors
    /// The brokers refuse.
    pub async fn make(&self, wish: &Wish) -> Result<bool, KafkaFault> {
        let replication = TopicReplication::Fixed(wish.replication);
        let mut topic = NewTopic::new(&wish.name, wish.partitions, replication);
        for (key, value) in &wish.settings {
            topic = topic.set(key, value);
        }
        let made = self.admin.create_topics([&topic], &self.options()).await;
        match first(made) {
            Some(Code::TopicAlreadyExists) => Ok(false),
            outcome => self.settle(&wish.name, outcome).map(|()| true),
        }
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// The brokers refuse.
    pub async fn grow(&self, name: &str, partitions: i32) -> Result<(), KafkaFault> {
        let partitions = usize::try_from(partitions).unwrap_or_default();
        let wish = NewPartitions::new(name, partitions);
        let grown = self.admin.create_partitions([&wish], &self.options()).await;
        self.settle(name, first(grown))
    }

    /// Changes settings of a topic; what was set for it besides stays.
    ///
    /// # Errors
    /// The brokers refuse.
    pub async fn set(
        &self,
        topic: &Topic,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), KafkaFault> {
        // The request takes away what it does not name.
        let mut all = topic.own.clone();
        all.extend(settings.clone());
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(&topic.name));
        for (key, value) in &all {
            alter = alter.set(key, value);
        }
        let altered = self.admin.alter_configs([&alter], &self.options()).await;
        let altered = altered.map(|results| {
            let results = results.into_iter();
            results
                .map(|result| {
                    result
                        .map(|_| topic.name.clone())
                        .map_err(|(_, code)| (topic.name.clone(), code))
                })
                .collect()
        });
        self.settle(&topic.name, first(altered))
    }

    fn settle(&self, name: &str, outcome: Option<Code>) -> Result<(), KafkaFault> {
        match outcome {
            None => Ok(()),
            Some(code) => Err(self.refused(name, &explained(code))),
        }
    }

    fn refused(&self, name: &str, why: &str) -> KafkaFault {
        KafkaFault::other(&self.config, &format!("topic {name}: {why}"))
    }

    fn fault(&self, error: &KafkaError) -> KafkaFault {
        KafkaFault::of(&self.config, error)
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(self.config.timeout))
            .operation_timeout(Some(self.config.timeout))
    }
}

/// Why the only topic of a request was refused; none when it was not.
fn first(results: KafkaResult<Vec<Result<String, (String, Code)>>>) -> Option<Code> {
    match results {
        Ok(results) => results
            .into_iter()
            .find_map(Result::err)
            .map(|(_, code)| code),
        Err(error) => Some(error.rdkafka_error_code().unwrap_or(Code::Unknown)),
    }
}

/// What an operator can do about it.
fn explained(code: Code) -> String {
    match code {
        Code::InvalidReplicationFactor => {
            format!("{code}: there are fewer brokers than kafka.replication asks for")
        }
        _ => code.to_string(),
    }
}
