//! The roles as processes of their own, several replicas of each, on topics and a database of the
//! test's own. Each can be killed as a machine that fails kills it, and started again.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use wealth_companion::app::Role;
use wealth_companion::events::EventType;
use wealth_companion::events::catalogue::{NOTIFIER_HEARS, PROJECTOR_HEARS};
use wealth_companion::store::Store;
use wealth_companion::store::event_log::{LogEntry, LogPosition};

use super::chain::log_of;
use super::kafka::Kafka;
use super::load::Booked;
use super::recount::{number, recount_of};
use super::sidecar::{Environment, Options, free_ports};
use super::{Process, RedisServer, Sidecar, Stack, redis, stack};

/// How long it may take until all that was said is heard: members of a group that were killed are
/// missed after ten seconds, and who could not reach its broker looks again after some more.
const PATIENCE: Duration = Duration::from_secs(90);

/// What carries events between the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bus {
    /// Kafka, which each process talks to itself.
    Kafka,
    /// Kafka through a sidecar beside each process.
    Dapr,
}

/// What a fleet is made of.
pub(crate) struct Plan {
    bus: Bus,
    apis: usize,
    others: usize,
    /// What the API is told besides.
    of_api: Vec<(&'static str, String)>,
    set: Vec<(&'static str, String)>,
    environment: Environment,
}

/// Running processes.
pub(crate) struct Fleet {
    pub(crate) kafka: Kafka,
    members: Vec<Member>,
    store: Store,
}

/// A replica of a role, with its sidecar if it has one.
struct Member {
    role: Role,
    set: Vec<(&'static str, String)>,
    process: Option<Process>,
    sidecar: Option<Sidecar>,
}

impl Plan {
    /// One replica of each role on this bus.
    pub(crate) fn on(bus: Bus) -> Self {
        let token = |name: &str| Stack::get().text(name).to_owned();
        let mut set = vec![("state.redis_url", redis::stack_url().to_owned())];
        match bus {
            Bus::Kafka => set.push(("state.kind", "redis".to_owned())),
            Bus::Dapr => set.extend([
                ("bus.kind", "dapr".to_owned()),
                ("state.kind", "dapr".to_owned()),
                ("dapr.api_token", token("/daprd/environment/DAPR_API_TOKEN")),
                ("dapr.app_token", token("/daprd/environment/APP_API_TOKEN")),
            ]),
        }
        Self {
            bus,
            apis: 1,
            others: 1,
            of_api: Vec::new(),
            set,
            environment: Environment::new(),
        }
    }

    /// Two replicas of each role.
    pub(crate) fn twice(mut self) -> Self {
        (self.apis, self.others) = (2, 2);
        self
    }

    /// Two replicas of the API.
    pub(crate) fn with_two_apis(mut self) -> Self {
        self.apis = 2;
        self
    }

    /// Nobody publishes what the API says, but the test.
    pub(crate) fn with_quiet_api(mut self) -> Self {
        self.of_api.push(("bus.kind", "embedded".to_owned()));
        self
    }

    /// On these brokers.
    pub(crate) fn with_brokers(mut self, brokers: &str) -> Self {
        self.set.push(("kafka.brokers", brokers.to_owned()));
        self.environment
            .insert("STACK_KAFKA_BROKERS", brokers.to_owned());
        self
    }

    /// On the PostgreSQL of this URL, which is empty.
    pub(crate) fn with_postgres(mut self, url: &str) -> Self {
        stack::migrate(url);
        self.set.push(("database.url", url.to_owned()));
        self
    }

    /// On this Redis.
    pub(crate) fn with_redis(mut self, redis: &RedisServer) -> Self {
        self.set.push(("state.redis_url", redis.url()));
        let password = redis::PASSWORD.to_owned();
        self.environment.insert("STACK_REDIS_HOST", redis.address());
        self.environment.insert("STACK_REDIS_PASSWORD", password);
        self
    }
}

impl Member {
    async fn start(kafka: &Kafka, plan: &Plan, (role, replica): (Role, usize)) -> Self {
        let sidecar = match plan.bus {
            Bus::Kafka => None,
            Bus::Dapr => {
                let app_id = format!("{}-{}", kafka.database(), name(role));
                let options = Options {
                    environment: plan.environment.clone(),
                    ..Options::default()
                };
                Some(Sidecar::with(&app_id, options).await)
            }
        };
        // So that the database can tell who waits.
        let url = kafka.config().database_url();
        let url = format!("{url}?application_name={}", said_of(role, replica));
        let mut set = vec![("database.url", url)];
        if let Some(sidecar) = &sidecar {
            let internal = format!("127.0.0.1:{}", sidecar.app_port);
            set.push(("dapr.http_port", sidecar.http_port.to_string()));
            set.push(("http.internal_addr", internal));
        }
        if role == Role::Api {
            // Where clients look for it when it is back.
            let [port] = free_ports();
            set.push(("http.public_addr", format!("127.0.0.1:{port}")));
            set.extend(plan.of_api.clone());
        }
        let mut member = Self {
            role,
            set,
            process: None,
            sidecar,
        };
        member.begin(kafka).await;
        member
    }

    async fn begin(&mut self, kafka: &Kafka) {
        let mut all = kafka.set();
        all.extend(self.set.iter().map(|(key, value)| (*key, value.as_str())));
        let mut command = Process::command(kafka.folder.path(), &all);
        command.args(["--role", name(self.role)]);
        self.process = Some(Process::spawn(command).await);
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }
}

impl Fleet {
    /// Starts all of it.
    pub(crate) async fn start(plan: Plan) -> Self {
        let set: Vec<(&str, &str)> = plan
            .set
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let kafka = Kafka::with(&set).await;
        let replicas = |role| match role {
            Role::Api => plan.apis,
            Role::Projector | Role::Notifier => plan.others,
        };
        let all = Role::ALL.into_iter();
        let all = all.flat_map(|role| (0..replicas(role)).map(move |replica| (role, replica)));
        let members = all.map(|member| Member::start(&kafka, &plan, member));
        let members = join_all(members).await;
        let store = kafka.store().await;
        Self {
            kafka,
            members,
            store,
        }
    }

    /// The addresses of the API.
    pub(crate) fn urls(&self) -> Vec<String> {
        let apis = self.members.iter().filter(|it| it.role == Role::Api);
        apis.map(|it| it.process().url.clone()).collect()
    }

    /// A replica of a role: they are counted from nought.
    pub(crate) fn process(&self, role: Role, replica: usize) -> &Process {
        let mut replicas = self.members.iter().filter(|it| it.role == role);
        replicas.nth(replica).expect("a replica").process()
    }

    fn member(&mut self, role: Role, replica: usize) -> &mut Member {
        let mut replicas = self.members.iter_mut().filter(|it| it.role == role);
        replicas.nth(replica).expect("a replica")
    }

    /// Kills a replica; its sidecar stays.
    pub(crate) fn kill(&mut self, role: Role, replica: usize) {
        drop(self.member(role, replica).process.take());
    }

    /// Kills a replica, and its sidecar with it.
    pub(crate) fn kill_all_of(&mut self, role: Role, replica: usize) {
        self.kill(role, replica);
        if let Some(sidecar) = &mut self.member(role, replica).sidecar {
            sidecar.kill();
        }
    }

    /// Starts a replica again that was killed, where it was.
    pub(crate) async fn start_again(&mut self, role: Role, replica: usize) {
        let mut replicas = self.members.iter_mut().filter(|it| it.role == role);
        let member = replicas.nth(replica).expect("a replica");
        member.begin(&self.kafka).await;
    }

    /// The sidecar of a replica.
    pub(crate) fn sidecar(&mut self, role: Role, replica: usize) -> &mut Sidecar {
        let sidecar = self.member(role, replica).sidecar.as_mut();
        sidecar.expect("a sidecar")
    }

    /// Holds up whoever writes to what this role alone writes, until somebody does: who waits has work
    /// in hand. Gives its replica too.
    pub(crate) async fn hold_up(&self, role: Role) -> (Held, usize) {
        let table = match role {
            Role::Api => "transactions",
            Role::Projector => "monthly_totals",
            Role::Notifier => "alerts",
        };
        let db = stack::connect(&self.kafka.config().database_url()).await;
        let lock = format!("BEGIN; LOCK TABLE {table} IN SHARE MODE");
        db.execute_unprepared(&lock).await.expect("a lock");
        let waiting = format!(
            "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) \
             WHERE relation = '{table}'::regclass AND NOT granted"
        );
        let begun = Instant::now();
        loop {
            let waiting = texts(&db, &waiting).await;
            let replica = (0..).take(self.members.len());
            let mut replica = replica.filter(|it| waiting.contains(&said_of(role, *it)));
            if let Some(replica) = replica.next() {
                return (Held(db), replica);
            }
            assert!(begun.elapsed() < PATIENCE, "nobody writes to {table}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asserts that all that was acknowledged is there and was told once, and nothing else.
    pub(crate) async fn is_whole(&self, booked: &Booked) {
        self.all_is_told(booked).await;
        let counted = recount_of(&self.store).await.agrees();
        let kept = self.texts("SELECT id::text FROM transactions").await;
        let kept: BTreeSet<String> = kept.into_iter().collect();
        let lost: Vec<_> = booked.acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "acknowledged, and not there: {lost:?}");
        let doubled: Vec<_> = kept.difference(&booked.acknowledged).collect();
        assert!(doubled.is_empty(), "not acknowledged: {doubled:?}");
        let crossings = "SELECT budget_id::text || period_start || threshold FROM budget_crossings";
        let crossings = self.texts(crossings).await;
        assert_eq!(crossings.len(), booked.crossings());
        // A booking, a crossing and an alert are an event each.
        let events = booked.acknowledged.len() + 2 * booked.crossings();
        assert_eq!(counted.events, i64::try_from(events).expect("a few"));
        booked.heard_once();
        self.bus_has_all().await;
        self.verifies().await;
    }

    /// Asserts that `verify` finds nothing.
    pub(crate) async fn verifies(&self) {
        let verified = self.kafka.run(&["verify"]).await.ended(0);
        verified.with(" 0 differences, 0 repaired, 0 users with events in flight");
    }

    /// All that was said.
    pub(crate) async fn log(&self) -> Vec<LogEntry> {
        log_of(&self.store, LogPosition::default()).await
    }

    /// Waits until everything is published and handled, and everybody has heard it.
    async fn all_is_told(&self, booked: &Booked) {
        let begun = Instant::now();
        loop {
            let left = self.left(booked).await;
            if left.is_empty() {
                return;
            }
            let some = &left[..left.len().min(20)];
            let count = left.len();
            assert!(
                begun.elapsed() < PATIENCE,
                "not in time: {count}, {some:#?}"
            );
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// What is still on its way.
    async fn left(&self, booked: &Booked) -> Vec<String> {
        let outbox = number(self.store.reads(), "SELECT COUNT(*) FROM outbox").await;
        if outbox > 0 {
            return vec![format!("{outbox} events are not published")];
        }
        let mut left = recount_of(&self.store).await.differences;
        left.extend(booked.not_heard());
        if left.is_empty() {
            // What was handed over and not noted as done comes again.
            let lag = self.kafka.run(&["events", "lag", "--json"]).await.ended(0);
            let total = lag.json()["total"].clone();
            if total != 0 {
                left.push(format!("{total} events are not noted as done"));
            }
        }
        left
    }

    /// Asserts that each event of the log is on its topic, and that no letter is dead.
    async fn bus_has_all(&self) {
        let mut published = BTreeSet::new();
        for event_type in EventType::ALL {
            for record in self.kafka.read(&self.kafka.topic(*event_type)).await {
                let value = record.value.expect("a value");
                let event: Value = serde_json::from_slice(&value).expect("JSON");
                published.insert(event["id"].as_str().expect("an id").to_owned());
            }
        }
        let said = self.texts("SELECT event_id::text FROM event_log").await;
        assert_eq!(published, said.into_iter().collect());
        for event_type in [PROJECTOR_HEARS, NOTIFIER_HEARS].concat() {
            let letters = self.kafka.read(&self.kafka.letters(event_type)).await;
            assert!(letters.is_empty(), "{letters:?}");
        }
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        texts(self.store.reads(), sql).await
    }
}

async fn texts(db: &impl ConnectionTrait, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.expect("rows");
    let texts = rows.iter().map(|row| row.try_get_by_index(0));
    texts.map(|text| text.expect("a text")).collect()
}

/// A lock, until it is let go.
pub(crate) struct Held(DatabaseConnection);

impl Held {
    /// Whoever was held up goes on.
    pub(crate) async fn let_go(self) {
        self.0.close().await.expect("it ends");
    }
}

/// What a replica says that it is.
fn said_of(role: Role, replica: usize) -> String {
    format!("{}-{replica}", name(role))
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Api => "api",
        Role::Projector => "projector",
        Role::Notifier => "notifier",
    }
}
