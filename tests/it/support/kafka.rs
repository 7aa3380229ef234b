//! Topics and groups of a test's own, on the Kafka that all tests share, with a PostgreSQL database of
//! its own.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use wealth_companion::app::{App, Role};
use wealth_companion::bus::Publisher;
use wealth_companion::bus::kafka::KafkaPublisher;
use wealth_companion::bus::relay::Relay;
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::config::Config;
use wealth_companion::events::EventType;
use wealth_companion::kafka::Record;
use wealth_companion::kafka::producer::{Outgoing, Producer};
use wealth_companion::kafka::reader::{From, Reader, Until};
use wealth_companion::operator::topics::Planner;
use wealth_companion::store::Store;
use wealth_companion::store::event_log::LogEntry;

use super::world::PASSWORD;
use super::{Answer, Chain, Person, Stack, stack};

/// Removes the topics of test processes that have ended: a broker with thousands of them is slow.
async fn drop_leftovers(brokers: &str) {
    static DONE: OnceCell<()> = OnceCell::const_new();
    DONE.get_or_init(|| async {
        let mut settings = rdkafka::ClientConfig::new();
        settings.set("bootstrap.servers", brokers);
        let admin: AdminClient<DefaultClientContext> = settings.create().expect("a client");
        let topics = admin.inner().fetch_metadata(None, PATIENCE);
        let topics = topics.expect("run `make stack`: Kafka answers");
        let is_over = |name: &&str| {
            let pid = name
                .strip_prefix("it_")
                .and_then(|rest| rest.split('_').next());
            pid.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists())
        };
        let names = topics
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name);
        let over: Vec<&str> = names.filter(is_over).collect();
        let _ = admin.delete_topics(&over, &AdminOptions::new()).await;
    })
    .await;
}

/// How long something may take that another process has to notice first.
const PATIENCE: Duration = Duration::from_secs(40);

/// Topics, groups and a database.
pub(crate) struct Kafka {
    set: Vec<(String, String)>,
    pub(crate) folder: TempDir,
}

/// Roles of one process, in this one.
pub(crate) struct Running {
    pub(crate) url: String,
    app: wealth_companion::lifecycle::Lifecycle,
    run: JoinHandle<anyhow::Result<()>>,
}

impl Kafka {
    /// With the topics made.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With these settings on top, and the topics made.
    pub(crate) async fn with(set: &[(&str, &str)]) -> Self {
        let kafka = Self::without_topics(set);
        kafka.make_topics().await;
        kafka
    }

    /// With these settings on top.
    pub(crate) fn without_topics(set: &[(&str, &str)]) -> Self {
        let name = stack::fresh_database();
        let stack = Stack::get();
        let own = [
            ("database.url", stack.database_url(&name)),
            ("auth.jwt_secret_key", stack::SIGNING_KEY.to_owned()),
            ("bus.kind", "kafka".to_owned()),
            ("bus.topic_prefix", format!("{name}-")),
            ("bus.retry_max_ms", "500".to_owned()),
            ("kafka.brokers", stack.text("/kafka/brokers").to_owned()),
            ("kafka.group_prefix", name.clone()),
            ("kafka.partitions", "3".to_owned()),
            ("kafka.replication", "1".to_owned()),
            ("kafka.min_insync", "1".to_owned()),
            ("database.read_connections_max", "2".to_owned()),
            ("database.write_connections_max", "3".to_owned()),
        ];
        let given = set.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let all = own.into_iter().chain(given);
        Self {
            set: all.map(|(key, value)| (key.to_owned(), value)).collect(),
            folder: TempDir::new().expect("a folder"),
        }
    }

    pub(crate) async fn make_topics(&self) {
        drop_leftovers(Stack::get().text("/kafka/brokers")).await;
        let planner = Planner::new(&self.config()).expect("a client");
        let plan = planner
            .plan()
            .await
            .expect("run `make stack`: Kafka answers");
        for step in plan.steps() {
            planner.apply(step).await.expect("a topic");
        }
    }

    /// The settings, as keys and values.
    pub(crate) fn set(&self) -> Vec<(&str, &str)> {
        let set = self.set.iter();
        set.map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }

    /// Goes on with another database, on the same topics and in the same groups.
    pub(crate) fn use_database(&mut self, url: &str) {
        let own = self.set.iter_mut().find(|(key, _)| key == "database.url");
        url.clone_into(&mut own.expect("it has one").1);
    }

    pub(crate) fn config(&self) -> Config {
        super::config(self.folder.path(), &self.set())
    }

    /// The name of a topic.
    pub(crate) fn topic(&self, event_type: EventType) -> String {
        event_type.topic(&self.config().bus.topic_prefix)
    }

    /// The name of a topic of dead letters.
    pub(crate) fn letters(&self, event_type: EventType) -> String {
        event_type.dead_letter_topic(&self.config().bus.topic_prefix)
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> String {
        self.config().kafka.group_prefix
    }

    /// A chain on the database, to book with. Its clock stands at the time when this was called.
    pub(crate) async fn chain(&self) -> Chain {
        self.chain_with(&[]).await
    }

    /// The same, but no relay publishes what it says.
    pub(crate) async fn quiet_chain(&self) -> Chain {
        self.chain_with(&[("bus.kind", "embedded")]).await
    }

    async fn chain_with(&self, more: &[(&str, &str)]) -> Chain {
        let set = [&self.set(), more].concat();
        let chain = Chain::on(TempDir::new().expect("a folder"), &set, 1).await;
        let late = Clock::system().now() - chain.clock.now();
        chain.clock.advance(late.to_std().expect("later"));
        chain
    }

    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.config()).await.expect("it opens").0
    }

    /// Runs these roles.
    pub(crate) async fn start(&self, roles: &[Role]) -> Running {
        let roles: BTreeSet<Role> = roles.iter().copied().collect();
        let app = App::start(self.config(), &roles, Clock::system(), Ids::system()).await;
        let app = app.expect("it starts");
        let address = app.addresses.public.unwrap_or(app.addresses.internal);
        Running {
            url: format!("http://{address}"),
            app: app.lifecycle().clone(),
            run: tokio::spawn(app.run()),
        }
    }

    /// Publishes what the outbox has, as the relay of a role does.
    pub(crate) async fn publish(&self, chain: &Chain) {
        let publisher = Arc::new(KafkaPublisher::new(&self.config()).expect("a producer"));
        let (store, clock) = (chain.store.clone(), chain.clock.clone());
        let relay = Relay::new(store, publisher, clock, self.config().bus);
        while relay.tick().await.expect("it publishes") > 0 {}
    }

    /// Publishes entries of the log, whether or not they were.
    pub(crate) async fn publish_again(&self, entries: &[LogEntry]) {
        let publisher = KafkaPublisher::new(&self.config()).expect("a producer");
        publisher.publish(entries).await.expect("published");
    }

    /// Writes a record as it is.
    pub(crate) async fn write(&self, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.write_with(topic, key, value, &[]).await;
    }

    /// Writes a record as it is, with headers.
    pub(crate) async fn write_with(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&'static str, &str)],
    ) {
        let producer = Producer::new(&self.config().kafka, "a test").expect("a producer");
        let headers = headers
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()));
        let record = Outgoing {
            topic: topic.to_owned(),
            key,
            value,
            headers: headers.collect(),
        };
        for written in producer.send(&[record]).await {
            written.expect("written");
        }
    }

    /// All records of a topic.
    pub(crate) async fn read(&self, topic: &str) -> Vec<Record> {
        read(&self.config().kafka, topic).await
    }

    /// The members of a consumer's group, by the ids which the broker gave them.
    pub(crate) async fn members(&self, consumer: &str) -> Vec<String> {
        let config = self.config().kafka;
        let group = wealth_companion::bus::kafka::group(&config.group_prefix, consumer);
        let asked = tokio::task::spawn_blocking(move || {
            let mut settings = rdkafka::ClientConfig::new();
            settings.set("bootstrap.servers", &config.brokers);
            let client: BaseConsumer = settings.create().expect("a client");
            let list = client.fetch_group_list(Some(&group), config.timeout);
            let list = list.expect("an answer");
            let found = list.groups().iter().find(|found| found.name() == group);
            let members = found
                .into_iter()
                .flat_map(rdkafka::groups::GroupInfo::members);
            members.map(|member| member.id().to_owned()).collect()
        });
        asked.await.expect("it does not panic")
    }

    /// Runs the real binary with these settings.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
        command
            .env_clear()
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        // What a test sets comes last, and wins.
        let own = args.iter().position(|arg| *arg == "--set");
        let (args, own) = args.split_at(own.unwrap_or(args.len()));
        command.args(args);
        for (key, value) in &self.set {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.args(own);
        command
    }

    /// What it printed and how it ended.
    pub(crate) async fn run(&self, args: &[&str]) -> Said {
        let mut command = self.command(args);
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        Said::of(&output.expect("it does not panic").expect("it runs"))
    }
}

/// All records of a topic.
pub(crate) async fn read(config: &wealth_companion::config::Kafka, topic: &str) -> Vec<Record> {
    let topics = vec![topic.to_owned()];
    let reader = Reader::open(config, topics, From::Beginning, Until::Now).await;
    let reader = reader.expect("the topic is there");
    let (mut all, wait) = (Vec::new(), Duration::from_millis(200));
    while let Some(records) = reader.batch(100, wait).await.expect("read") {
        all.extend(records);
    }
    all
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
    pub(crate) errors: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            text: text(&output.stdout),
            errors: text(&output.stderr),
        }
    }

    /// Asserts how it ended.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that it went well, with these words.
    #[track_caller]
    pub(crate) fn with(self, words: &str) -> Self {
        assert!(self.text.contains(words), "{words:?} is not in {self:#?}");
        self
    }

    /// Asserts that it was refused with these words, in one line.
    #[track_caller]
    pub(crate) fn refused(self, words: &str) -> Self {
        assert_ne!(self.code, Some(0), "{self:#?}");
        assert!(self.errors.contains(words), "{words:?} is not in {self:#?}");
        self
    }

    /// The JSON that it printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The lines of JSON that it printed.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let lines = self.text.lines();
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }
}

impl Running {
    /// Stops as on SIGTERM.
    pub(crate) async fn stop(self) {
        self.app.trigger("the story ends");
        let ended = self.run.await.expect("it does not panic");
        ended.expect("it ends well");
    }

    /// Somebody new, in US dollars and UTC.
    pub(crate) async fn register(&self, name: &str) -> Person {
        let http = reqwest::Client::new();
        let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        let url = format!("{}/v1/auth/register", self.url);
        let session = Answer::to(http.post(url).json(&body)).await.expect(201);
        Person::signed_in(&self.url, &http, &session.body)
    }
}
