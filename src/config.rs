//! Configuration: the embedded defaults, a file, the environment and flags become one typed
//! [`Config`], or a list of everything that is wrong with them.
//!
//! The flow, one file a step: `layers` reads each source and merges them, `check` parses the
//! winning values, `contradictions` compares them with each other, `schema` holds the types,
//! `explain` shows the result. The table in `keys` says what keys exist; `problem` is the
//! vocabulary of what can be wrong.

mod check;
mod contradictions;
mod email;
mod explain;
mod keys;
mod layers;
mod merged;
mod networks;
mod problem;
mod schema;
mod secrets;
mod suggest;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use secrecy::SecretString;

pub use email::{Encryption, Login, Sender, SmtpServer};
pub use explain::{Explanation, Setting, Shown};
pub use problem::{ConfigErrors, Problem, ProblemKind};
pub use schema::{
    Ai, Auth, Bus, BusKind, Config, Dapr, Database, Email, Http, Kafka, Lifecycle, Limits, Log,
    LogFormat, Retention, State, StateKind, Streams, TraceExporter, Traces,
};
pub use secrets::{ConnectionUrl, SigningKey};

/// What a configuration is loaded from. The default reads nothing but the embedded defaults.
///
/// ```
/// use wealth_companion::config::{Config, LoadArgs};
///
/// let args = LoadArgs::new().flag("data_dir", "/tmp/wealth", "--data-dir");
/// let loaded = Config::load(&args)?;
/// assert_eq!(loaded.config.data_dir.to_str(), Some("/tmp/wealth"));
/// # Ok::<(), wealth_companion::config::ConfigErrors>(())
/// ```
#[derive(Clone, Default)]
pub struct LoadArgs {
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    secrets: Option<Stored>,
    flags: Vec<Flag>,
}

/// What a secret store has.
#[derive(Clone)]
struct Stored {
    store: String,
    values: Vec<(&'static str, SecretString)>,
}

/// One value given on the command line.
#[derive(Clone)]
struct Flag {
    key: String,
    value: String,
    name: String,
}

impl LoadArgs {
    /// Nothing but the embedded defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the TOML file at `path` too; it must exist. `None` reads none.
    #[must_use]
    pub fn file(mut self, path: impl Into<Option<PathBuf>>) -> Self {
        self.file = path.into();
        self
    }

    /// Reads these environment variables too. Names that are not the configuration's are ignored;
    /// of one name given twice the last value counts.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Reads these secrets too, by their names in the environment; `store` is where they are from.
    #[must_use]
    pub fn secrets(
        mut self,
        store: impl Into<String>,
        values: Vec<(&'static str, SecretString)>,
    ) -> Self {
        let store = store.into();
        self.secrets = Some(Stored { store, values });
        self
    }

    /// Sets `key` (for example `http.public_addr`) from the command line; `name` is how the flag is
    /// written there (`--public-addr`). Flags win over everything else, later flags over earlier
    /// ones.
    #[must_use]
    pub fn flag(
        mut self,
        key: impl Into<String>,
        value: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        self.flags.push(Flag {
            key: key.into(),
            value: value.into(),
            name: name.into(),
        });
        self
    }

    /// Like [`flag`](Self::flag), for a flag that may not have been given.
    #[must_use]
    pub fn flag_if(
        self,
        key: impl Into<String>,
        value: Option<impl Into<String>>,
        name: impl Into<String>,
    ) -> Self {
        match value {
            Some(value) => self.flag(key, value, name),
            None => self,
        }
    }
}

/// A valid configuration, and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    settings: Vec<Setting>,
}

impl Loaded {
    /// Every key with its value, secrets hidden, and its source, in the order of `default.toml`.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// What `config show` prints; see [`Explanation`].
    #[must_use]
    pub fn explain(&self) -> Explanation<'_> {
        Explanation::new(&self.settings)
    }
}

impl Config {
    /// The names of what is read from a secret store, where `dapr.secretstore` names one.
    pub const STORED_SECRETS: [&'static str; 5] = keys::STORED;

    /// Reads all layers, later wins: embedded defaults, file, environment, secret store, flags.
    ///
    /// # Errors
    ///
    /// All problems that could be found, not only the first. A value must have its key's type in
    /// each layer; its bounds and its agreement with other keys count for the layer that wins.
    pub fn load(args: &LoadArgs) -> Result<Loaded, ConfigErrors> {
        let mut problems = Vec::new();
        let merged = layers::merge(args, &mut problems);
        check::check(&merged, &mut problems);
        contradictions::find(&merged, &mut problems);
        if !problems.is_empty() {
            return Err(ConfigErrors::new(problems));
        }
        let settings = explain::settings(&merged);
        let config = merged
            .into_config()
            .map_err(|problem| ConfigErrors::new(vec![problem]))?;
        Ok(Loaded { config, settings })
    }
}
