//! `dlq`: what consumers have refused for good.

use std::process::ExitCode;

use chrono::SecondsFormat;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::table::Table;
use super::{Progress, as_json, on_runtime, open_store, print};
use crate::clock::{Clock, Ids};
use crate::config::{BusKind, Config};
use crate::operator::HearingRole;
use crate::operator::letters::{self, Letters, Listed, Redriven};
use crate::store::dead_letters::Which;

#[derive(Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// List dead letters, oldest first; nothing of what they say
    ///
    /// With a bus of Kafka it first takes in what sidecars have put on the topics of dead letters.
    List {
        #[command(flatten)]
        which: WhichArgs,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// Look at the table only, and not at the topics
        #[arg(long)]
        no_import: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one with what it says: somebody's data
    Show {
        /// Which, from `dlq list`
        id: Uuid,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Hand letters to those who refused them; what is handled then is a letter no more
    ///
    /// Each works once, however often it is handed over. Exit code 1: one was refused again.
    #[command(group = ArgGroup::new("letters").required(true).args(["id", "all"]))]
    Redrive {
        /// Which, from `dlq list`
        id: Vec<Uuid>,
        /// All of them
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        which: WhichArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove letters for good: their events will have no effect
    Discard {
        /// Which, from `dlq list`
        #[arg(required = true)]
        id: Vec<Uuid>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take in what sidecars have put on the topics of dead letters
    Import {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which letters.
#[derive(Debug, Args)]
pub(super) struct WhichArgs {
    /// Of this topic only: that of the events, without the prefix
    #[arg(long, value_name = "TOPIC", value_parser = letters::topics())]
    topic: Option<String>,
    /// Of this consumer only
    #[arg(long, value_name = "NAME", value_parser = HearingRole::ALL.map(HearingRole::name))]
    consumer: Option<String>,
}

impl WhichArgs {
    fn which(&self) -> Which {
        Which {
            topic: self.topic.clone(),
            consumer: self.consumer.clone(),
        }
    }
}

pub(super) fn run(command: &DlqCommand, config: &Config) -> anyhow::Result<ExitCode> {
    on_runtime(async {
        let store = open_store(config).await?;
        let letters = Letters::new(store, Clock::system(), Ids::system(), config);
        match command {
            DlqCommand::List {
                which,
                limit,
                no_import,
                json,
            } => {
                if !no_import && config.bus.kind != BusKind::Embedded {
                    import_for_list(&letters).await;
                }
                list(&letters, &which.which(), *limit, *json).await
            }
            DlqCommand::Show { id, json } => show(&letters, *id, *json).await,
            DlqCommand::Redrive {
                id,
                all,
                which,
                json,
            } => {
                let which = which.which();
                let done = if *all {
                    let mut progress = Progress::on_terminal();
                    let show = |done, total| progress.show(done, total, "letters handed over");
                    let done = letters.redrive_all(&which, show).await;
                    progress.clear();
                    done?
                } else {
                    anyhow::ensure!(
                        which.topic.is_none() && which.consumer.is_none(),
                        "--topic and --consumer choose among --all"
                    );
                    letters.redrive(id).await?
                };
                redriven(&done, *json)
            }
            DlqCommand::Discard { id, json } => {
                let gone = letters.discard(id).await?;
                if *json {
                    as_json(&json!({"discarded": gone}))?;
                } else {
                    print(&format!("{} discarded\n", gone.len()))?;
                }
                Ok(ExitCode::SUCCESS)
            }
            DlqCommand::Import { json } => {
                let done = letters.import().await?;
                if *json {
                    as_json(&done)?;
                } else {
                    print(&format!("{} records read, {} new\n", done.read, done.new))?;
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

/// The list is good without it, so it only warns.
async fn import_for_list(letters: &Letters) {
    if let Err(error) = letters.import().await {
        eprintln!(
            "wealth-companion: the topics of dead letters were not looked at: {error:#} (--no-import leaves them out)"
        );
    }
}

async fn list(
    letters: &Letters,
    which: &Which,
    limit: u32,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (listed, total) = letters.list(which, limit).await?;
    if json {
        as_json(&json!({"total": total, "letters": listed}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["id", "kept at", "consumer", "topic", "reason"]);
    for it in &listed {
        table.row([
            it.id.to_string().into(),
            kept_at(it).into(),
            it.consumer.as_str().into(),
            it.topic.as_str().into(),
            it.reason.as_str().into(),
        ]);
    }
    let more = total.saturating_sub(listed.len() as u64);
    let more = match more {
        0 => String::new(),
        more => format!(", {more} of them not shown: see --limit"),
    };
    print(&format!("{}{total} dead letters{more}\n", table.to_text()))?;
    Ok(ExitCode::SUCCESS)
}

fn kept_at(letter: &Listed) -> String {
    letter.kept_at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn show(letters: &Letters, id: Uuid, json: bool) -> anyhow::Result<ExitCode> {
    let shown = letters.show(id).await?;
    if json {
        as_json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let letter = &shown.letter;
    let mut table = Table::new(["id", &letter.id.to_string()]);
    for (name, value) in [
        ("kept at", kept_at(letter)),
        ("consumer", letter.consumer.clone()),
        ("topic", letter.topic.clone()),
        ("event", letter.event_id.to_string()),
        ("reason", letter.reason.clone()),
    ] {
        table.row([name.into(), value.into()]);
    }
    print(&format!("{}\n{:#}\n", table.to_text(), shown.payload))?;
    Ok(ExitCode::SUCCESS)
}

fn redriven(done: &[Redriven], json: bool) -> anyhow::Result<ExitCode> {
    let refused = done.iter().filter(|it| it.refused.is_some()).count();
    if json {
        let handled = done.len() - refused;
        as_json(&json!({"done": handled, "refused": refused, "letters": done}))?;
    } else {
        let mut table = Table::new(["id", "topic", "now", "reason"]);
        for it in done {
            table.row([
                it.id.to_string().into(),
                it.topic.as_str().into(),
                if it.refused.is_none() {
                    "done"
                } else {
                    "refused"
                }
                .into(),
                it.refused.as_deref().unwrap_or_default().into(),
            ]);
        }
        let handled = done.len() - refused;
        print(&format!(
            "{}{handled} done, {refused} refused again\n",
            table.to_text()
        ))?;
    }
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
