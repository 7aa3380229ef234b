//! Topics as the catalogue wants them: one for each type, and one of dead letters for each that
//! somebody hears.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::config::Config;
use crate::events::EventType;
use crate::kafka::settings::RECORD_BYTES_MAX;
use crate::kafka::topics::{Topic, Topics, Wish};
use crate::kafka::{KafkaFault, topics};

/// Bounds of how long a segment takes records in. Records go with their segment: the shorter, the
/// sooner after their time.
const SEGMENT_MIN: Duration = Duration::from_secs(600);
const SEGMENT_MAX: Duration = Duration::from_secs(86_400);

/// How the counts are called among the differences.
const PARTITIONS: &str = "partitions";
const REPLICATION: &str = "replication";

/// How soon a topic that was made is known everywhere.
const SEEN_AFTER: Duration = Duration::from_secs(1);

/// What a topic needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Nothing: it is as it should be.
    Nothing,
    /// It is to be made.
    Made,
    /// It is to be changed.
    Changed,
    /// It differs in what no command can change.
    ByHand,
}

/// A topic beside what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Its name.
    pub topic: String,
    /// What it needs.
    pub need: Need,
    /// What differs; of one that is to be made, all.
    pub differences: Vec<Difference>,
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name.
    pub setting: String,
    /// What it is; none where there is no topic.
    pub is: Option<String>,
    /// What it should be.
    pub should_be: String,
    /// Why `apply` does not change it; none where it does.
    pub by_hand: Option<&'static str>,
}

impl Difference {
    /// Whether it is how many partitions or copies there are, and not one of the topic's settings.
    #[must_use]
    pub fn is_count(&self) -> bool {
        [PARTITIONS, REPLICATION].contains(&self.setting.as_str())
    }
}

/// The topics beside what they should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Each topic.
    pub topics: Vec<Planned>,
}

impl Plan {
    /// Whether all are as they should be.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.topics.iter().all(|it| it.need == Need::Nothing)
    }

    /// The topics that `apply` makes or changes.
    pub fn steps(&self) -> impl Iterator<Item = &Planned> {
        let to_do = |it: &&Planned| matches!(it.need, Need::Made | Need::Changed);
        self.topics.iter().filter(to_do)
    }
}

/// Looks at topics, and brings them to what they should be.
pub struct Planner {
    topics: Topics,
    wishes: Vec<Wish>,
}

impl Planner {
    /// For these settings.
    ///
    /// # Errors
    /// librdkafka does not want the settings.
    pub fn new(config: &Config) -> Result<Self, KafkaFault> {
        Ok(Self {
            topics: Topics::new(&config.kafka)?,
            wishes: wishes(config),
        })
    }

    /// Compares.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub async fn plan(&self) -> Result<Plan, KafkaFault> {
        let names: Vec<String> = self.wishes.iter().map(|it| it.name.clone()).collect();
        let found = self.topics.read(&names).await?;
        let planned = self.wishes.iter().map(|wish| {
            let topic = found.iter().find(|topic| topic.name == wish.name);
            planned(wish, topic)
        });
        Ok(Plan {
            topics: planned.collect(),
        })
    }

    /// Does what one topic needs. Nothing is ever taken away.
    ///
    /// # Errors
    /// The brokers refuse; what was done before stays.
    pub async fn apply(&self, planned: &Planned) -> Result<(), KafkaFault> {
        let wish = self.wishes.iter().find(|wish| wish.name == planned.topic);
        let Some(wish) = wish else { return Ok(()) };
        // As it is now: somebody may have been here since the plan was made.
        let names = std::slice::from_ref(&wish.name);
        let mut found = self.topics.read(names).await?;
        if found.is_empty() {
            if self.topics.make(wish).await? {
                return Ok(());
            }
            // Made by somebody else a moment ago: it takes a while until all brokers tell of it.
            tokio::time::sleep(SEEN_AFTER).await;
            found = self.topics.read(names).await?;
        }
        let Some(topic) = found.first() else {
            return Ok(());
        };
        if topic.partitions < wish.partitions {
            self.topics.grow(&wish.name, wish.partitions).await?;
        }
        let settings = differing(wish, topic);
        if settings.is_empty() {
            return Ok(());
        }
        self.topics.set(topic, &settings).await
    }
}

/// What the catalogue wants, by these settings.
#[must_use]
pub fn wishes(config: &Config) -> Vec<Wish> {
    let prefix = &config.bus.topic_prefix;
    let settings = settings(&config.kafka);
    let wish = |name: String, partitions: i32| topics::Wish {
        name,
        partitions,
        replication: config.kafka.replication,
        settings: settings.clone(),
    };
    let events = EventType::ALL
        .iter()
        .map(|it| wish(it.topic(prefix), config.kafka.partitions));
    // Letters are few, and nobody shares the work of reading them.
    let letters = EventType::heard().map(|it| wish(it.dead_letter_topic(prefix), 1));
    events.chain(letters).collect()
}

fn settings(config: &crate::config::Kafka) -> BTreeMap<String, String> {
    let segment = (config.retention / 14).clamp(SEGMENT_MIN, SEGMENT_MAX);
    [
        // By age alone: one of each key would be the end of all other events of a user.
        ("cleanup.policy", "delete".to_owned()),
        ("max.message.bytes", RECORD_BYTES_MAX.to_string()),
        ("min.insync.replicas", config.min_insync.to_string()),
        ("retention.ms", config.retention.as_millis().to_string()),
        ("segment.ms", segment.as_millis().to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn differing(wish: &Wish, topic: &Topic) -> BTreeMap<String, String> {
    let differs = |(key, value): &(&String, &String)| topic.settings.get(*key) != Some(*value);
    let settings = wish.settings.iter().filter(differs);
    settings
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn planned(wish: &Wish, topic: Option<&Topic>) -> Planned {
    let mut differences = Vec::new();
    let counts = [
        (PARTITIONS, wish.partitions, topic.map(|it| it.partitions)),
        (
            REPLICATION,
            wish.replication,
            topic.map(|it| it.replication),
        ),
    ];
    for (setting, should_be, is) in counts {
        if is != Some(should_be) {
            differences.push(Difference {
                setting: setting.to_owned(),
                is: is.map(|is| is.to_string()),
                should_be: should_be.to_string(),
                by_hand: is.and_then(|is| by_hand(setting, is, should_be)),
            });
        }
    }
    let wanted = match topic {
        Some(topic) => differing(wish, topic),
        None => wish.settings.clone(),
    };
    for (setting, should_be) in wanted {
        differences.push(Difference {
            is: topic.and_then(|topic| topic.settings.get(&setting).cloned()),
            setting,
            should_be,
            by_hand: None,
        });
    }
    let can_change = differences.iter().any(|it| it.by_hand.is_none());
    Planned {
        topic: wish.name.clone(),
        need: match (topic, differences.is_empty(), can_change) {
            (None, ..) => Need::Made,
            (_, true, _) => Need::Nothing,
            (_, false, true) => Need::Changed,
            (_, false, false) => Need::ByHand,
        },
        differences,
    }
}

fn by_hand(setting: &str, is: i32, should_be: i32) -> Option<&'static str> {
    match setting {
        REPLICATION => Some("copies are moved with kafka-reassign-partitions"),
        _ if is > should_be => Some("partitions cannot be taken away"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LoadArgs;

    fn config() -> Config {
        let args = LoadArgs::new().flag("bus.topic_prefix", "home-", "--set");
        Config::load(&args).expect("good settings").config
    }

    #[test]
    fn each_type_has_a_topic_and_each_that_is_heard_one_of_letters() {
        let wishes = wishes(&config());
        let names: Vec<&str> = wishes.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "home-finance.transaction.created",
                "home-finance.transaction.updated",
                "home-finance.transaction.deleted",
                "home-finance.budget.exceeded",
                "home-finance.goal.achieved",
                "home-ai.insight.generated",
                "home-notification.alert.sent",
                "home-user.confirmation.requested",
                "home-dlq.finance.transaction.created",
                "home-dlq.finance.transaction.updated",
                "home-dlq.finance.transaction.deleted",
                "home-dlq.finance.budget.exceeded",
                "home-dlq.finance.goal.achieved",
                "home-dlq.ai.insight.generated",
                "home-dlq.user.confirmation.requested",
            ]
        );
        assert_eq!((wishes[0].partitions, wishes[0].replication), (12, 3));
        let settings = &wishes[0].settings;
        assert_eq!(settings["retention.ms"], "604800000");
        assert_eq!(settings["segment.ms"], "43200000");
        assert_eq!(settings["min.insync.replicas"], "2");
    }

    #[test]
    fn what_is_missing_is_made() {
        let wish = &wishes(&config())[0];
        let planned = planned(wish, None);
        assert_eq!(planned.need, Need::Made);
        assert_eq!(planned.differences.len(), 7);
        assert!(planned.differences.iter().all(|it| it.by_hand.is_none()));
    }

    #[test]
    fn what_differs_is_changed_but_nothing_is_taken_away() {
        let topic = |partitions, replication| Topic {
            name: "t".to_owned(),
            partitions,
            replication,
            settings: wishes(&config())[0].settings.clone(),
            ..Topic::default()
        };
        let wish = &wishes(&config())[0];
        assert_eq!(planned(wish, Some(&topic(12, 3))).need, Need::Nothing);
        assert_eq!(planned(wish, Some(&topic(6, 3))).need, Need::Changed);
        let fewer = planned(wish, Some(&topic(24, 3)));
        assert_eq!(fewer.need, Need::ByHand);
        assert!(fewer.differences[0].by_hand.is_some());
        assert_eq!(planned(wish, Some(&topic(12, 1))).need, Need::ByHand);
        let mut other = topic(12, 1);
        other
            .settings
            .insert("retention.ms".to_owned(), "1".to_owned());
        let both = planned(wish, Some(&other));
        assert_eq!((both.need, both.differences.len()), (Need::Changed, 2));
    }
}
