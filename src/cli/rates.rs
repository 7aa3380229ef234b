//! `rates`: public exchange rates.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::Days;
use clap::{Subcommand, ValueEnum};

use super::table::Table;
use super::{Progress, as_json, on_runtime, open_store, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::operator::rates::ecb::{self, Format};
use crate::operator::rates::{self, Source};
use crate::store::rates::public;

#[derive(Debug, Subcommand)]
pub(super) enum RatesCommand {
    /// Bring in the reference rates of the European Central Bank, as CSV or XML
    ///
    /// A file is taken as a whole or not at all: what is wrong with it is told line by line, and nothing is written. The
    /// same file may be brought in again, beside a running server; a rate that has changed is replaced.
    Import {
        /// A file, a URL, or - for what is piped in
        source: String,
        /// What it looks like
        #[arg(long, value_enum, default_value_t = FormatArg::Auto)]
        format: FormatArg,
        /// Let the URL be http, where anybody on the way can change the rates
        #[arg(long)]
        allow_http: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show which rates there are: what a euro was worth, by currency
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// A column for each currency
    Csv,
    /// An element for each rate
    Xml,
    /// As it begins
    Auto,
}

pub(super) fn run(command: &RatesCommand, config: &Config) -> anyhow::Result<ExitCode> {
    on_runtime(async {
        match command {
            RatesCommand::Import {
                source,
                format,
                allow_http,
                json,
            } => {
                let source = Source::parse(source, *allow_http)?;
                import(config, &source, *format, *json).await
            }
            RatesCommand::List { json } => list(config, *json).await,
        }
    })
}

async fn import(
    config: &Config,
    source: &Source,
    format: FormatArg,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let store = open_store(config).await?;
    let bytes = source.read().await?;
    let format = match format {
        FormatArg::Csv => Format::Csv,
        FormatArg::Xml => Format::Xml,
        FormatArg::Auto => Format::of(&bytes),
    };
    let now = Clock::system().now();
    // Somewhere it is tomorrow already.
    let last_day = now.date_naive() + Days::new(1);
    let sheet = ecb::read(&bytes, format, last_day)
        .with_context(|| format!("{source}: nothing was written"))?;
    let mut progress = Progress::on_terminal();
    let done = rates::import(&store, sheet, now, |done, total| {
        progress.show(done, total, "rates written");
    })
    .await;
    progress.clear();
    let done = done?;
    if json {
        as_json(&done)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!(
        "{} currencies, {} days from {} to {}: {} rates new, {} changed, {} the same\n",
        done.currencies,
        done.days,
        done.first,
        done.last,
        done.rates.new,
        done.rates.changed,
        done.rates.same
    );
    if !done.not_in_use.is_empty() {
        let codes: Vec<&str> = done.not_in_use.iter().map(String::as_str).collect();
        writeln!(
            text,
            "in use no more, and passed over: {}",
            codes.join(", ")
        )?;
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn list(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let store = open_store(config).await?;
    let kept = public::kept(store.reads()).await?;
    if json {
        as_json(&kept)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(["currency", "days", "first", "last", "a euro then"]);
    for it in &kept {
        table.row([
            it.currency.as_str().into(),
            it.days.into(),
            it.first.to_string().into(),
            it.last.to_string().into(),
            it.rate.to_string().into(),
        ]);
    }
    print(&format!("{}{} currencies\n", table.to_text(), kept.len()))?;
    Ok(ExitCode::SUCCESS)
}
