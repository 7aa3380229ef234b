//! `events`: topics, and what goes over them.

mod lag;
mod replay;
mod tail;
mod topics;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::{BusKind, Config};
use crate::operator::KafkaFault;

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Compare the topics of Kafka with the catalogue, make them, change them
    #[command(after_help = "Examples:\n  \
        wealth-companion events topics plan            what `apply` would do\n  \
        wealth-companion events topics apply           do it, after a question\n  \
        wealth-companion events topics apply --yes     do it, in a script\n  \
        wealth-companion events topics check           exit code 1 when a topic differs\n\n\
        How topics should be is in the settings `[kafka]` and `bus.topic_prefix`. Nothing is ever deleted.")]
    Topics {
        #[command(subcommand)]
        command: topics::TopicsCommand,
    },
    /// Show events as they pass
    #[command(after_help = "Examples:\n  \
        wealth-companion events tail                                       from now on, all topics\n  \
        wealth-companion events tail --topic finance.budget.exceeded --from -1h\n  \
        wealth-companion events tail --user ID --from beginning --no-follow --json\n\n\
        Without --json nothing of what an event says is shown but its ids.")]
    Tail(tail::TailArgs),
    /// Show how far the consumers are behind
    #[command(after_help = "Examples:\n  \
        wealth-companion events lag                    each partition, and the total\n  \
        wealth-companion events lag --max 1000         exit code 1 when the total is more\n  \
        wealth-companion events lag --json")]
    Lag(lag::LagArgs),
    /// Hand events to a role once more
    ///
    /// What was handled is passed over, so it may be done at any time, beside running roles, and as
    /// often as one likes. What is so old that nobody remembers whether it was handled is passed over
    /// too; so is, for the projector, what the log of this database does not have.
    ///
    /// Exit code 1: something of it is among the dead letters, now or already (`dlq list`).
    #[command(after_help = "Examples:\n  \
        wealth-companion events replay --role projector --from -2d --dry-run   what would happen\n  \
        wealth-companion events replay --role projector --from -2d             events were lost on the way\n  \
        wealth-companion events replay --role notifier --from 2026-02-10T12:00:00Z --until -1h\n  \
        wealth-companion events replay --role projector --rebuild              sums are wrong or gone\n\n\
        With --rebuild the sums are first counted anew from the bookings: they hold more than any topic.")]
    Replay(replay::ReplayArgs),
}

pub(super) fn run(command: &EventsCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let done = match command {
        EventsCommand::Topics { command } => topics::run(command, config),
        EventsCommand::Tail(args) => tail::run(args, config),
        EventsCommand::Lag(args) => lag::run(args, config),
        EventsCommand::Replay(args) => replay::run(args, config),
    };
    done.map_err(|error| match config.bus.kind {
        BusKind::Embedded if error.is::<KafkaFault>() => anyhow::anyhow!(
            "{error:#} (bus.kind is \"embedded\", which carries events in the database and has no topics)"
        ),
        _ => error,
    })
}
