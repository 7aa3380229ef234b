//! The command line: roles to run, and what operators and developers do by hand.

/// Dead letters.
mod dlq;
/// Whether mail goes out.
mod email;
/// Topics and what is on them.
mod events;
/// The schema of the database.
mod migrate;
/// Exchange rates.
mod rates;
/// Tables on a terminal.
mod table;
/// Logs and spans, on and off.
mod telemetry;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use dlq::DlqCommand;
use email::EmailCommand;
use events::EventsCommand;
use migrate::MigrateCommand;
use rates::RatesCommand;
use telemetry::Teller;

use crate::app::{App, Role};
use crate::clock::{Clock, Ids};
use crate::config::{Config, LoadArgs, Loaded};
use crate::demo::{self, DemoOptions};
use crate::secrets::store::{self, Need};
use crate::store::audit::Audit;
use crate::store::{Store, backup, schema};
use crate::telemetry::logs::Loki;

/// The backend of Wealth Companion: an HTTP API, a projector that keeps sums and watches budgets, and
/// a notifier that tells at once.
///
/// Without a command it runs the chosen roles until it is told to stop (SIGTERM or Ctrl-C; a second
/// time stops at once). On a machine without anything else it keeps all in one SQLite file.
#[derive(Debug, Parser)]
#[command(
    name = "wealth-companion",
    version,
    after_help = "Examples:\n  \
        wealth-companion                               all roles, everything in ./data\n  \
        wealth-companion --role api --config prod.toml one role, as production runs it\n  \
        wealth-companion --set http.public_addr=127.0.0.1:9000\n  \
        wealth-companion config show                   every setting and where it comes from\n  \
        wealth-companion demo                          play a household's year against a running server\n  \
        wealth-companion migrate status                which migrations the database has\n  \
        wealth-companion verify                        recount the books and compare\n  \
        wealth-companion events lag                    how far the consumers of Kafka are behind\n  \
        wealth-companion dlq list                      events that were refused for good\n  \
        wealth-companion rates list                    which exchange rates there are\n  \
        wealth-companion email test ada@example.com    whether mail goes out\n\n\
        Exit codes of commands: 0 it was done, and all is as it should be; 1 it was done, and something is\n\
        not; 2 it could not be done."
)]
pub struct Cli {
    #[command(flatten)]
    settings: Settings,
    /// What to run; may be given several times [default: all]
    #[arg(long = "role", value_enum, value_name = "ROLE")]
    roles: Vec<RoleArg>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where settings come from.
#[derive(Debug, Args)]
struct Settings {
    /// A TOML file with the settings that differ from the defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of everything the process keeps
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// One setting, over everything else; may be given several times
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// The HTTP API for clients
    Api,
    /// Keeps the read models, watches the budgets
    Projector,
    /// Turns warnings into alerts
    Notifier,
    /// All of them in one process
    All,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a household's year against a running server, and watch the alerts arrive
    Demo {
        /// The server
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        url: String,
        /// Pause between two steps of the story, in milliseconds
        #[arg(long, default_value_t = 0)]
        pace_ms: u64,
        /// Delete the household and its books at the end: for a server that others use
        #[arg(long)]
        forget: bool,
    },
    /// Recount every balance and read model from the bookings and compare
    ///
    /// Exit code 0: all is equal. 1: something differs. 2: it could not tell, since some users have
    /// events in flight (try again when the server is quiet) or the database is away. Periods of budgets
    /// that nobody has asked for since a rebuild are not kept, and so not recounted.
    Verify {
        /// Rebuild what differs; safe beside a running server
        #[arg(long)]
        repair: bool,
    },
    /// Copy the embedded database into a file, beside a server that goes on
    ///
    /// The file holds the books as they are at one moment, and is not there before it is complete. To go back to it,
    /// end the server, move wealth.db, wealth.db-wal and wealth.db-shm away, and put it in the place of wealth.db.
    Backup {
        /// Where to; nothing is written over
        file: PathBuf,
    },
    /// Bring the schema of the database up to date, take it back, or show how far it is
    Migrate {
        #[command(subcommand)]
        command: MigrateCommand,
    },
    /// Look at topics and events, make topics, hand events over again
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Decide about dead letters: events that a consumer has refused for good
    #[command(after_help = "Examples:\n  \
        wealth-companion dlq list                      what was refused, and why\n  \
        wealth-companion dlq show ID                   one with what it says\n  \
        wealth-companion dlq redrive ID                after the cause was mended\n  \
        wealth-companion dlq redrive --all --topic finance.transaction.created\n  \
        wealth-companion dlq discard ID                it shall have no effect")]
    Dlq {
        #[command(subcommand)]
        command: DlqCommand,
    },
    /// Bring public exchange rates in, or show which there are
    #[command(after_help = "Examples:\n  \
        wealth-companion rates import https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist.xml\n  \
        wealth-companion rates import eurofxref-hist.csv\n  \
        unzip -p eurofxref-hist.zip | wealth-companion rates import -\n  \
        wealth-companion rates list                    which there are, and of which days")]
    Rates {
        #[command(subcommand)]
        command: RatesCommand,
    },
    /// See whether mail goes out
    #[command(after_help = "Example:\n  \
        wealth-companion email test ada@example.com    send a mail as [email] says")]
    Email {
        #[command(subcommand)]
        command: EmailCommand,
    },
    /// Check or show the settings
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with the settings, and do nothing else
    Check,
    /// Show every setting with where it comes from; secrets stay hidden
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| "write KEY=VALUE, such as http.public_addr=127.0.0.1:9000".to_owned())
}

impl Cli {
    /// The command line of this process; ends the process with code 2 when it cannot be meant.
    #[must_use]
    pub fn of_process() -> Self {
        let cli = Self::parse();
        // clap keeps those that stand behind the command, and would lose the others without a word.
        let is_set = |arg: &OsString| {
            let arg = arg.to_string_lossy();
            arg == "--set" || arg.starts_with("--set=")
        };
        if std::env::args_os().filter(is_set).count() > cli.settings.set.len() {
            let reason =
                "--set stands before the command and behind it: give all of them in one place";
            Self::command()
                .error(ErrorKind::ArgumentConflict, reason)
                .exit();
        }
        cli
    }

    /// What the process ends with when it could not do it. Commands that look and judge have 1 for "no".
    #[must_use]
    pub fn failure(&self) -> ExitCode {
        match self.command {
            None | Some(Command::Demo { .. } | Command::Config { .. }) => ExitCode::FAILURE,
            Some(_) => ExitCode::from(2),
        }
    }

    /// Does what the command line says.
    ///
    /// # Errors
    /// It could not be done; the error says why and what to do.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            None => serve(&self.settings, &roles(&self.roles)),
            Some(Command::Demo {
                url,
                pace_ms,
                forget,
            }) => play_demo(url, pace_ms, forget),
            Some(Command::Verify { repair }) => verify(&self.settings.with_database()?, repair),
            Some(Command::Backup { file }) => back_up(&self.settings.with_database()?, &file),
            Some(Command::Migrate { command }) => {
                migrate::run(&command, &self.settings.with_database()?)
            }
            Some(Command::Events { command }) => {
                let needs_database = matches!(command, EventsCommand::Replay(_));
                let config = if needs_database {
                    self.settings.with_database()?
                } else {
                    self.settings.load()?.config
                };
                events::run(&command, &config)
            }
            Some(Command::Dlq { command }) => dlq::run(&command, &self.settings.with_database()?),
            Some(Command::Rates { command }) => {
                rates::run(&command, &self.settings.with_database()?)
            }
            Some(Command::Email { command }) => {
                email::run(&command, &self.settings.with(Need::Mail)?)
            }
            Some(Command::Config { command }) => show_config(&command, &self.settings.load()?),
        }
    }
}

impl Settings {
    fn load(&self) -> anyhow::Result<Loaded> {
        Config::load(&self.args()).context("the settings are wrong")
    }

    /// As a command needs it that works on the database.
    fn with_database(&self) -> anyhow::Result<Config> {
        self.with(Need::Database)
    }

    /// With those secrets of the secret store that a command needs, where one is named.
    fn with(&self, need: Need) -> anyhow::Result<Config> {
        let loaded = self.load()?;
        let say = |text: &str| eprintln!("wealth-companion: {text}");
        let resolved = store::resolve(self.args(), loaded, need, say);
        Ok(on_runtime(resolved)?.config)
    }

    fn args(&self) -> LoadArgs {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let data_dir = self
            .data_dir
            .as_ref()
            .map(|dir| dir.to_string_lossy().into_owned());
        let mut args = LoadArgs::new()
            .file(self.config.clone())
            .environment(environment)
            .flag_if("data_dir", data_dir, "--data-dir");
        for (key, value) in &self.set {
            args = args.flag(key.clone(), value.clone(), "--set");
        }
        args
    }
}

fn roles(chosen: &[RoleArg]) -> BTreeSet<Role> {
    if chosen.is_empty() {
        return Role::ALL.into();
    }
    chosen
        .iter()
        .flat_map(|role| match role {
            RoleArg::Api => vec![Role::Api],
            RoleArg::Projector => vec![Role::Projector],
            RoleArg::Notifier => vec![Role::Notifier],
            RoleArg::All => Role::ALL.to_vec(),
        })
        .collect()
}

fn serve(settings: &Settings, roles: &BTreeSet<Role>) -> anyhow::Result<ExitCode> {
    let loaded = settings.load()?;
    let teller = Teller::new(roles);
    let (_flushed_at_the_end, loki) = teller.init_logs(&loaded.config)?;
    on_runtime(async {
        let lines = loki.map(Loki::start);
        let signs = roles.contains(&Role::Api) || roles.contains(&Role::Notifier);
        let need = if signs {
            Need::SigningKey
        } else {
            Need::Database
        };
        let say = |text: &str| tracing::warn!("{text}");
        let config = store::resolve(settings.args(), loaded, need, say)
            .await?
            .config;
        let spans = teller.start_spans(&config)?;
        let app = App::start(config, roles, Clock::system(), Ids::system()).await?;
        app.lifecycle().handle_signals()?;
        let internal = app.addresses.internal;
        match app.addresses.public {
            Some(public) => tracing::info!(
                api = format!("http://{public}"),
                docs = format!("http://{public}/docs"),
                internal = format!("http://{internal}"),
                ?roles,
                "ready"
            ),
            None => tracing::info!(internal = format!("http://{internal}"), ?roles, "ready"),
        }
        let ended = app.run().await;
        telemetry::finish(lines, spans).await;
        ended
    })?;
    Ok(ExitCode::SUCCESS)
}

fn play_demo(url: String, pace_ms: u64, forget: bool) -> anyhow::Result<ExitCode> {
    let ids = Ids::system();
    let id = ids.v4().simple().to_string();
    let options = DemoOptions {
        url,
        pace: Duration::from_millis(pace_ms),
        today: Clock::system().now().date_naive(),
        tag: id[..8].to_owned(),
        forget,
        password: ids.v4().to_string(),
    };
    on_runtime(demo::run(options))?;
    Ok(ExitCode::SUCCESS)
}

fn back_up(config: &Config, file: &Path) -> anyhow::Result<ExitCode> {
    let bytes = on_runtime(async { Ok(backup::write(config, file).await?) })?;
    print(&format!(
        "{}: {bytes} bytes, all of them readable\n",
        file.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn verify(config: &Config, repair: bool) -> anyhow::Result<ExitCode> {
    let report = on_runtime(async {
        let store = open_store(config).await?;
        let mut progress = Progress::on_terminal();
        let audit = Audit::new(&store);
        let report = audit
            .run(repair, Clock::system().now(), |at| {
                progress.show(at.users_done, at.users_total, "users recounted");
            })
            .await?;
        progress.clear();
        Ok(report)
    })?;
    let mut text = String::new();
    for finding in &report.findings {
        writeln!(text, "{finding}")?;
    }
    writeln!(
        text,
        "{} users, {} wallets, {} goals, {} monthly totals, {} days, {} budget periods recounted, {} mails \
         looked at: {} differences, {} repaired, {} users with events in flight",
        report.users,
        report.wallets,
        report.goals,
        report.monthly_cells,
        report.daily_cells,
        report.budget_periods,
        report.deliveries,
        report.found,
        report.repaired,
        report.pending_users
    )?;
    print(&text)?;
    Ok(match (report.left(), report.is_complete()) {
        (0, true) => ExitCode::SUCCESS,
        (0, false) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    })
}

/// The database of the configuration, which must be there and up to date.
async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let store = Store::open_existing(config).await.context("database.url")?;
    let pending = schema::pending(&store).await.context("database.url")?;
    anyhow::ensure!(
        pending.is_empty(),
        "the schema is behind this release: run `wealth-companion migrate up`"
    );
    Ok(store)
}

/// One line that is written over, on a terminal; nothing elsewhere.
struct Progress {
    is_terminal: bool,
}

impl Progress {
    fn on_terminal() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, done: u64, total: u64, what: &str) {
        if self.is_terminal {
            eprint!("\r{done} of {total} {what}");
        }
    }

    fn clear(&mut self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }
}

fn show_config(command: &ConfigCommand, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let text = match command {
        ConfigCommand::Check => "the settings are good\n".to_owned(),
        ConfigCommand::Show { json: true } => format!("{:#}\n", loaded.explain().to_json()),
        ConfigCommand::Show { json: false } => loaded.explain().to_string(),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints it as JSON, for programs.
fn as_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))?;
    Ok(())
}

/// Prints to whoever reads, who may have seen enough, as `head` does.
fn print(text: &str) -> std::io::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn on_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}
