//! `events replay`.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::{Progress, as_json, on_runtime, open_store, print};
use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::operator::HearingRole;
use crate::operator::moment::Moment;
use crate::operator::replay::{Replay, Replayed, Replayer};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleOfEvents {
    /// Keeps the read models, watches the budgets
    Projector,
    /// Turns warnings into alerts
    Notifier,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArgs {
    /// To whom
    #[arg(long = "role", value_enum, value_name = "ROLE")]
    to: RoleOfEvents,
    /// From where on: beginning, a time, a day, or how long ago (-90s, -30m, -1h, -2d)
    #[arg(
        long,
        value_name = "MOMENT",
        allow_hyphen_values = true,
        required_unless_present = "rebuild"
    )]
    from: Option<Moment>,
    /// Up to when [default: where the topics end now]
    #[arg(
        long,
        value_name = "MOMENT",
        allow_hyphen_values = true,
        requires = "from"
    )]
    until: Option<Moment>,
    /// Count the sums anew from the bookings first, user by user, and note that the events of those
    /// bookings are done with; safe beside running roles, and to be begun again
    #[arg(long, conflicts_with = "dry_run")]
    rebuild: bool,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ReplayArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let role = match args.to {
        RoleOfEvents::Projector => HearingRole::Projector,
        RoleOfEvents::Notifier => HearingRole::Notifier,
    };
    if args.rebuild && role != HearingRole::Projector {
        bail!(
            "--rebuild is for the projector: alerts are written once, and cannot be counted anew"
        );
    }
    let now = Clock::system().now();
    if let (Some(from), Some(until)) = (args.from, args.until)
        && let (Some(from), Some(until)) = (from.at(now), until.at(now))
        && from >= until
    {
        bail!("--until is not after --from: nothing lies between them");
    }
    let (users, replayed) = on_runtime(async {
        let store = open_store(config).await?;
        let replayer = Replayer::new(store, Clock::system(), Ids::system(), config);
        let mut progress = Progress::on_terminal();
        let mut users = None;
        if args.rebuild {
            let rebuilt = replayer.rebuild(|at| {
                progress.show(at.users_done, at.users_total, "users rebuilt");
            });
            users = Some(rebuilt.await.context("it may be begun again")?);
            progress.clear();
        }
        let Some(from) = args.from else {
            return Ok((users, None));
        };
        let replay = Replay {
            role,
            from,
            until: args.until,
            dry_run: args.dry_run,
        };
        let replayed = replayer
            .run(&replay, |read, total| {
                progress.show(read, total, "records read");
            })
            .await;
        progress.clear();
        Ok((users, Some(replayed?)))
    })?;
    if args.json {
        as_json(&json!({"users_rebuilt": users, "dry_run": args.dry_run, "replayed": replayed}))?;
    } else {
        print(&told(users, replayed, args.dry_run))?;
    }
    let is_refused = replayed.is_some_and(|it| it.refused > 0);
    Ok(if is_refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn told(users: Option<u64>, replayed: Option<Replayed>, dry_run: bool) -> String {
    let mut text = String::new();
    if let Some(users) = users {
        text.push_str(&format!(
            "the sums of {users} users were counted anew from their bookings\n"
        ));
    }
    let Some(it) = replayed else { return text };
    let (handled, refused) = if dry_run {
        ("would be handed over", "cannot be read")
    } else {
        ("were handled now", "are among the dead letters")
    };
    text.push_str(&format!(
        "{} records read: {} {handled}, {} had been handled before, {} {refused}, \
         {} passed over because they are too old, {} because they are not in the log\n",
        it.read, it.handled, it.handled_before, it.refused, it.too_old, it.not_in_log
    ));
    text
}
