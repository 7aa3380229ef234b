//! `events tail`.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use chrono::SecondsFormat;
use clap::Args;
use uuid::Uuid;

use crate::cli::on_runtime;
use crate::clock::Clock;
use crate::config::Config;
use crate::operator::moment::Moment;
use crate::operator::tail::{self, Passed, Tail};

#[derive(Debug, Args)]
pub(in crate::cli) struct TailArgs {
    /// Of this topic only, without the prefix; may be given several times [default: all]
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Of this user only
    #[arg(long, value_name = "ID")]
    user: Option<Uuid>,
    /// From where on: beginning, end, a time, a day, or how long ago (-90s, -30m, -1h, -2d)
    #[arg(
        long,
        value_name = "MOMENT",
        default_value = "end",
        allow_hyphen_values = true
    )]
    from: Moment,
    /// Stop at the end, where it would wait for more
    #[arg(long)]
    no_follow: bool,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// All that is known of each, as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &TailArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let tail = Tail {
        topics: args.topic.clone(),
        user: args.user,
        from: args.from,
        follow: !args.no_follow,
        limit: args.limit,
    };
    on_runtime(async {
        let shown = tail::run(config, &tail, Clock::system().now(), |passed| {
            show(&passed, args.json)
        });
        tokio::select! {
            shown = shown => shown,
            stopped = tokio::signal::ctrl_c() => Ok(stopped?),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Says whether somebody still reads.
fn show(passed: &Passed, json: bool) -> anyhow::Result<bool> {
    let line = if json {
        serde_json::to_string(passed)?
    } else {
        plain(passed)
    };
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => Ok(written.map(|()| true)?),
    }
}

fn plain(passed: &Passed) -> String {
    let written_at = passed.written_at.map_or_else(
        || "-".to_owned(),
        |at| at.to_rfc3339_opts(SecondsFormat::Millis, true),
    );
    let place = format!("{}/{}", passed.partition, passed.offset);
    let what = match &passed.wrong {
        Some(wrong) => format!("({wrong})"),
        None => format!(
            "{} user {}",
            passed.text("id"),
            passed.value["data"]["userId"].as_str().unwrap_or("-")
        ),
    };
    let line = format!("{written_at}  {:<30}  {place:<10}  {what}", passed.topic);
    // What comes from a topic may hold anything.
    line.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}
