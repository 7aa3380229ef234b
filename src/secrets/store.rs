//! Reads the secrets of the secret store at the start, and lays them over the configuration: from
//! there on they are as if they had been configured.
//!
//! They are looked for as keys of one secret (a Secret of Kubernetes has them so), and what it has
//! not as secrets of their own (a file at home).

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep};

use crate::config::{Config, LoadArgs, Loaded, StateKind};
use crate::dapr::{Sidecar, SidecarError};

const DATABASE_URL: &str = "DATABASE_URL";
const JWT_SECRET_KEY: &str = "JWT_SECRET_KEY";
const REDIS_URL: &str = "REDIS_URL";
const SMTP_URL: &str = "SMTP_URL";

/// How long the sidecar may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look whether it has.
const POLL: Duration = Duration::from_millis(200);
/// How long nothing is said of the wait.
const QUIET: Duration = Duration::from_secs(1);

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// What who signs needs, too: the API its tokens, the notifier the links in mails.
    SigningKey,
    /// What everybody else who opens the database needs.
    Database,
    /// The mail server alone.
    Mail,
}

impl Need {
    /// Whether it takes the secret of this name. Nobody has one that they do not need.
    fn takes(self, name: &str) -> bool {
        match self {
            Self::SigningKey => true,
            Self::Database => name != JWT_SECRET_KEY,
            Self::Mail => name == SMTP_URL,
        }
    }
}

/// The configuration with the secrets of the store that it names; as it is when it names none.
/// `say` is told what is waited for.
///
/// # Errors
/// The sidecar does not come up; a secret is missing, said by its name and where it was looked for;
/// one is not what it should be.
pub async fn resolve(
    args: LoadArgs,
    loaded: Loaded,
    need: Need,
    say: impl Fn(&str),
) -> anyhow::Result<Loaded> {
    let config = &loaded.config;
    if config.dapr.secretstore.is_empty() {
        return Ok(loaded);
    }
    let sidecar = Sidecar::new(&config.dapr)?;
    wait(&sidecar, config, say).await?;
    let found = Found::in_store(&sidecar, config, need).await;
    let args = args.secrets(&config.dapr.secretstore, found.values);
    let resolved = Config::load(&args).context("the settings are wrong")?;
    let missing = missing(&resolved.config, need);
    anyhow::ensure!(
        missing.is_empty(),
        "{}",
        tell(&missing, config, &found.refusals)
    );
    Ok(resolved)
}

async fn wait(sidecar: &Sidecar, config: &Config, say: impl Fn(&str)) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut said = false;
    loop {
        let Err(error) = sidecar.check().await else {
            return Ok(());
        };
        let dapr = &config.dapr;
        let asked = format!(
            "the Dapr sidecar on port {} (dapr.http_port), for the secrets of the store {:?}",
            dapr.http_port, dapr.secretstore
        );
        if begun.elapsed() >= PATIENCE {
            return Err(anyhow::Error::new(error).context(format!("waited in vain for {asked}")));
        }
        if !said && begun.elapsed() >= QUIET {
            say(&format!("waits for {asked}"));
            said = true;
        }
        sleep(POLL).await;
    }
}

/// What the store has, and what it said of what it has not.
struct Found {
    values: Vec<(&'static str, SecretString)>,
    refusals: Vec<(String, SidecarError)>,
}

impl Found {
    async fn in_store(sidecar: &Sidecar, config: &Config, need: Need) -> Self {
        let (store, whole) = (&config.dapr.secretstore, &config.dapr.secret);
        let mut found = Self {
            values: Vec::new(),
            refusals: Vec::new(),
        };
        let wanted = Config::STORED_SECRETS.into_iter();
        let wanted = wanted.filter(|name| need.takes(name));
        let mut keys = found.read(sidecar, store, whole).await;
        for name in wanted {
            let value = match keys.remove(name).filter(is_set) {
                Some(value) => Some(value),
                None => found.read(sidecar, store, name).await.remove(name),
            };
            if let Some(value) = value.filter(is_set) {
                found.values.push((name, value));
            }
        }
        found
    }

    async fn read(
        &mut self,
        sidecar: &Sidecar,
        store: &str,
        name: &str,
    ) -> std::collections::HashMap<String, SecretString> {
        match sidecar.secret(store, name).await {
            Ok(keys) => keys,
            Err(error) => {
                self.refusals.push((name.to_owned(), error));
                std::collections::HashMap::new()
            }
        }
    }
}

fn is_set(value: &SecretString) -> bool {
    !value.expose_secret().trim().is_empty()
}

/// What must be there, from wherever, and is not.
fn missing(config: &Config, need: Need) -> Vec<&'static str> {
    let is_redis_missing =
        config.state.kind == StateKind::Redis && config.state.redis_url.is_none();
    let needed = [
        (DATABASE_URL, config.database.url.is_none()),
        (JWT_SECRET_KEY, config.auth.signing_keys.is_empty()),
        (REDIS_URL, is_redis_missing),
        // Only who asks for nothing else cannot do without mail.
        (
            SMTP_URL,
            need == Need::Mail && config.email.server.is_none(),
        ),
    ];
    let needed = needed.into_iter();
    needed
        .filter(|(name, is_missing)| *is_missing && need.takes(name))
        .map(|(name, _)| name)
        .collect()
}

/// Says what is missing, and for each place where it was looked for what was found there.
fn tell(missing: &[&'static str], config: &Config, refusals: &[(String, SidecarError)]) -> String {
    let said = |place: &str| {
        let refusal = refusals.iter().find(|(name, _)| name == place);
        refusal.map_or_else(
            || "it is not there, or empty".to_owned(),
            |(_, error)| error.to_string(),
        )
    };
    let (store, whole) = (&config.dapr.secretstore, &config.dapr.secret);
    let mut text = format!("secrets are missing in the secret store {store:?}");
    for name in missing {
        let _ = write!(
            text,
            "\n{name}: looked for as a key of the secret {whole:?} ({}), \
             and as a secret of its own ({})",
            said(whole),
            said(name)
        );
    }
    text
}
