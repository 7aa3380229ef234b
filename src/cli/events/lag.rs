//! `events lag`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::table::Table;
use crate::cli::{as_json, on_runtime, print};
use crate::config::Config;
use crate::operator::lag::{self, Behind};

#[derive(Debug, Args)]
pub(in crate::cli) struct LagArgs {
    /// Exit code 1 when the total is more than this
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &LagArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let lag = on_runtime(lag::read(config))?;
    if args.json {
        as_json(&lag)?;
    } else {
        let mut table = Table::new(["group", "topic", "partition", "at", "end", "lag"]);
        let empty = |it: &&Behind| it.end == 0 && it.committed.is_none();
        let empty_ones = lag.partitions.iter().filter(empty).count();
        for it in lag.partitions.iter().filter(|it| !empty(it)) {
            table.row([
                it.group.as_str().into(),
                it.topic.as_str().into(),
                it.partition.into(),
                it.committed.map_or_else(|| "-".into(), Into::into),
                it.end.into(),
                it.lag.into(),
            ]);
        }
        let empty_ones = match empty_ones {
            0 => String::new(),
            count => format!(" ({count} partitions never had any)"),
        };
        let total = lag.total;
        print(&format!(
            "{}{total} events behind{empty_ones}\n",
            table.to_text()
        ))?;
    }
    Ok(if args.max.is_some_and(|max| lag.total > max) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
