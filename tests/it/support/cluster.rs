//! The roles apart, as production runs them: each with a sidecar of its own, on one PostgreSQL, one
//! Kafka and one Redis.

use futures_util::future::join_all;
use tempfile::TempDir;
use wealth_companion::app::Role;
use wealth_companion::clock::Clock;

use super::sidecar::{Environment, Options};
use super::stack::{self, SIGNING_KEY};
use super::{Sidecar, Stack, Topics, World};

/// Some roles with their sidecars, on topics and a database of their own.
pub(crate) struct Cluster {
    pub(crate) topics: Topics,
    pub(crate) members: Vec<Member>,
    pub(crate) database_url: String,
}

/// A role with its sidecar.
pub(crate) struct Member {
    pub(crate) world: World,
    /// It runs as long as the role does.
    pub(crate) sidecar: Sidecar,
}

impl Member {
    /// The role ends as on SIGTERM, and its sidecar after it.
    pub(crate) async fn stop(self) {
        let (ended, _folder) = self.world.stop().await;
        ended.expect("it ends well");
    }
}

impl Cluster {
    /// These roles, with these settings on top.
    pub(crate) async fn start(roles: &[Role], set: &[(&str, &str)]) -> Self {
        Self::with(roles, set, &Environment::new()).await
    }

    /// The same, with something else than the stack's in the environment of the sidecars.
    pub(crate) async fn with(
        roles: &[Role],
        set: &[(&str, &str)],
        environment: &Environment,
    ) -> Self {
        let topics = Topics::create().await;
        let database_url = Stack::get().database_url(&stack::fresh_database());
        let mut cluster = Self {
            topics,
            members: Vec::new(),
            database_url,
        };
        let members = roles
            .iter()
            .map(|role| cluster.member(*role, set, environment));
        let members = join_all(members).await;
        cluster.members = members;
        cluster
    }

    async fn member(&self, role: Role, set: &[(&str, &str)], environment: &Environment) -> Member {
        let name = match role {
            Role::Api => "api",
            Role::Projector => "projector",
            Role::Notifier => "notifier",
        };
        let options = Options {
            environment: environment.clone(),
            ..Options::default()
        };
        let sidecar = Sidecar::with(&self.topics.app_id(name), options).await;
        let world = self.world(role, &sidecar, set).await;
        Member { world, sidecar }
    }

    /// The role beside this sidecar.
    pub(crate) async fn world(&self, role: Role, sidecar: &Sidecar, set: &[(&str, &str)]) -> World {
        let settings = self.settings(sidecar);
        let mut all: Vec<(&str, &str)> = settings
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        all.extend(set);
        let folder = TempDir::new().expect("a folder");
        World::of(&[role], folder, &all, Clock::system()).await
    }

    fn settings(&self, sidecar: &Sidecar) -> Vec<(&'static str, String)> {
        let token = |name| Stack::get().text(name).to_owned();
        vec![
            ("database.url", self.database_url.clone()),
            ("auth.jwt_secret_key", SIGNING_KEY.to_owned()),
            ("bus.kind", "dapr".to_owned()),
            ("bus.topic_prefix", self.topics.prefix.clone()),
            ("state.kind", "dapr".to_owned()),
            ("dapr.http_port", sidecar.http_port.to_string()),
            ("dapr.api_token", token("/daprd/environment/DAPR_API_TOKEN")),
            ("dapr.app_token", token("/daprd/environment/APP_API_TOKEN")),
            (
                "http.internal_addr",
                format!("127.0.0.1:{}", sidecar.app_port),
            ),
        ]
    }

    /// The first column of what a query finds, as texts.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        use sea_orm::{ConnectionTrait, Statement};
        let db = stack::connect(&self.database_url).await;
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let rows = db.query_all_raw(statement).await.expect("rows");
        rows.iter()
            .map(|row| row.try_get_by_index(0).expect("a text"))
            .collect()
    }
}
