//! `migrate`: the schema of the database.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use super::{on_runtime, print};
use crate::config::Config;
use crate::store::schema::Schema;

/// What `migrate down` says of a database without migrations.
const NOTHING_DOWN: &str = "there is nothing to take back\n";

#[derive(Debug, Subcommand)]
pub(super) enum MigrateCommand {
    /// Bring the schema up to date, beside those who use it
    ///
    /// Of two who do so at once, one waits for the other. Run it before a new release serves: the
    /// roles of a PostgreSQL database wait until it was; an SQLite file is migrated at the start.
    /// A database that a newer release has migrated is left as it is: this one runs on it as well.
    Up,
    /// Take back the newest migrations, with the data that only they had room for
    Down {
        /// How many
        #[arg(long, default_value_t = 1, value_name = "N")]
        steps: u32,
        /// Do it; without this it only says what would go
        #[arg(long)]
        yes: bool,
    },
    /// Show which migrations the database has
    ///
    /// Exit code 0: all; 1: some are pending.
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &MigrateCommand, config: &Config) -> anyhow::Result<ExitCode> {
    on_runtime(async {
        let key = match &config.database.direct_url {
            Some(_) => "database.direct_url",
            None => "database.url",
        };
        let schema = match command {
            MigrateCommand::Up => {
                if !config.is_server_database() {
                    make_folder(&config.data_dir)?;
                }
                Schema::open(config).await
            }
            MigrateCommand::Down { .. } | MigrateCommand::Status { .. } => {
                Schema::open_existing(config).await
            }
        };
        let schema = schema.context(key)?;
        match command {
            MigrateCommand::Up => up(&schema).await,
            MigrateCommand::Down { steps, yes } => down(&schema, *steps, *yes).await,
            MigrateCommand::Status { json } => status(&schema, *json).await,
        }
    })
}

fn make_folder(data_dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("data_dir: cannot make {}", data_dir.display()))
}

async fn up(schema: &Schema) -> anyhow::Result<ExitCode> {
    let applied = schema.up().await?;
    let mut text: String = applied
        .iter()
        .map(|name| format!("up    {name}\n"))
        .collect();
    if applied.is_empty() {
        text.push_str("the schema is up to date\n");
    }
    for name in schema.newer().await? {
        writeln!(text, "newer {name}")?;
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn down(schema: &Schema, count: u32, yes: bool) -> anyhow::Result<ExitCode> {
    if let Some(newest) = schema.newer().await?.last() {
        anyhow::bail!("{newest} is of a newer release: take it back with that release");
    }
    if !yes {
        let steps = schema.steps().await?;
        let applied = steps.iter().rev().filter(|step| step.applied);
        let count = usize::try_from(count)?;
        let mut text: String = applied
            .take(count)
            .map(|step| format!("would go down  {}\n", step.name))
            .collect();
        if text.is_empty() {
            print(NOTHING_DOWN)?;
            return Ok(ExitCode::SUCCESS);
        }
        text.push_str("their data would be lost: add --yes to do it\n");
        print(&text)?;
        return Ok(ExitCode::FAILURE);
    }
    let gone = schema.down(count).await?;
    if gone.is_empty() {
        print(NOTHING_DOWN)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text: String = gone.iter().map(|name| format!("down  {name}\n")).collect();
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn status(schema: &Schema, json: bool) -> anyhow::Result<ExitCode> {
    let steps = schema.steps().await?;
    let newer = schema.newer().await?;
    let pending = steps.iter().filter(|step| !step.applied).count();
    let mut text = String::new();
    if json {
        let steps: Vec<_> = steps
            .iter()
            .map(|step| serde_json::json!({"name": step.name, "applied": step.applied}))
            .collect();
        let status = serde_json::json!({"pending": pending, "migrations": steps, "newer": newer});
        writeln!(text, "{status:#}")?;
    } else {
        for step in &steps {
            let state = if step.applied { "up" } else { "pending" };
            writeln!(text, "{state:<8}{}", step.name)?;
        }
        for name in newer {
            writeln!(text, "newer   {name}")?;
        }
        writeln!(text, "{pending} pending")?;
    }
    print(&text)?;
    Ok(if pending == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
