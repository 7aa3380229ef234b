//! A running server, with all roles in this process.

use std::collections::BTreeSet;

use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use wealth_companion::app::{App, Role};
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::config::Config;
use wealth_companion::lifecycle::Lifecycle;
use wealth_companion::store::Store;

use super::{Answer, Person};

/// A running server. It ends with the test.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) internal_url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) clock: Clock,
    pub(crate) data_dir: TempDir,
    lifecycle: Lifecycle,
    run: JoinHandle<anyhow::Result<()>>,
}

/// The password of everybody in the stories.
pub(crate) const PASSWORD: &str = "correct horse battery";

impl World {
    /// All roles, the system's clock.
    pub(crate) async fn start() -> Self {
        Self::with(&[], Clock::system()).await
    }

    /// All roles with these settings and this clock.
    pub(crate) async fn with(set: &[(&str, &str)], clock: Clock) -> Self {
        let data_dir = TempDir::new().expect("a folder");
        Self::on(data_dir, set, clock).await
    }

    /// All roles on a folder that was there before.
    pub(crate) async fn on(data_dir: TempDir, set: &[(&str, &str)], clock: Clock) -> Self {
        Self::of(&Role::ALL, data_dir, set, clock).await
    }

    /// Some roles. Without the API its address is empty.
    pub(crate) async fn of(
        roles: &[Role],
        data_dir: TempDir,
        set: &[(&str, &str)],
        clock: Clock,
    ) -> Self {
        let config = super::config(data_dir.path(), set);
        Self::run(data_dir, config, roles, clock).await
    }

    /// Another process on the database of this one, of role `api`, with these settings.
    pub(crate) async fn beside(&self, set: &[(&str, &str)]) -> Self {
        let config = super::config(self.data_dir.path(), set);
        let nothing = TempDir::new().expect("a folder");
        Self::run(nothing, config, &[Role::Api], self.clock.clone()).await
    }

    async fn run(data_dir: TempDir, config: Config, roles: &[Role], clock: Clock) -> Self {
        let roles: BTreeSet<Role> = roles.iter().copied().collect();
        let app = App::start(config, &roles, clock.clone(), Ids::system())
            .await
            .expect("it starts");
        let public = app.addresses.public;
        Self {
            url: public.map_or_else(String::new, |public| format!("http://{public}")),
            internal_url: format!("http://{}", app.addresses.internal),
            http: reqwest::Client::new(),
            clock,
            data_dir,
            lifecycle: app.lifecycle().clone(),
            run: tokio::spawn(app.run()),
        }
    }

    /// Stops as on SIGTERM; gives how it ended, and the folder.
    pub(crate) async fn stop(self) -> (anyhow::Result<()>, TempDir) {
        self.lifecycle.trigger("the story ends");
        (self.run.await.expect("it does not panic"), self.data_dir)
    }

    /// Waits until it ends by itself; gives how it ended. Fails after ten seconds.
    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), self.run).await;
        ended.expect("it ends").expect("it does not panic")
    }

    /// Another handle on the database, to look into it and to step what the server does by itself.
    pub(crate) async fn store(&self) -> Store {
        let config = super::config(self.data_dir.path(), &[]);
        Store::open(&config).await.expect("it opens").0
    }

    /// The life of the process, to end it in parts.
    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Somebody new, in US dollars and UTC.
    pub(crate) async fn register(&self, name: &str) -> Person {
        self.register_in(name, "USD", "UTC").await
    }

    /// Somebody new, with a currency and a time zone.
    pub(crate) async fn register_in(&self, name: &str, currency: &str, time_zone: &str) -> Person {
        let body = json!({
            "email": format!("{name}@example.com"), "password": PASSWORD,
            "currency": currency, "time_zone": time_zone
        });
        let answer = self.post("/v1/auth/register", &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Person::new(self, &answer.body)
    }

    /// A POST by nobody.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        Answer::to(request).await
    }

    /// A GET on the internal listener.
    pub(crate) async fn internal(&self, path: &str) -> Answer {
        Answer::to(self.http.get(format!("{}{path}", self.internal_url))).await
    }
}
