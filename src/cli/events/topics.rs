//! `events topics`.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::table::Table;
use crate::cli::{as_json, on_runtime, print};
use crate::config::Config;
use crate::operator::topics::{Difference, Need, Plan, Planned, Planner};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TopicsCommand {
    /// Show what differs, and what `apply` would do
    Plan(Shown),
    /// Make what is missing and change what differs; nothing is ever deleted
    ///
    /// Exit code 0: all topics are as they should be; 1: something is left to be done by hand, or the
    /// question was not answered with yes.
    Apply {
        /// Ask nothing
        #[arg(long)]
        yes: bool,
    },
    /// Exit code 0: all topics are as they should be; 1: one differs
    Check(Shown),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Shown {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &TopicsCommand, config: &Config) -> anyhow::Result<ExitCode> {
    on_runtime(async {
        let planner = Planner::new(config)?;
        let plan = planner.plan().await?;
        match command {
            TopicsCommand::Plan(shown) => {
                show(&plan, shown.json)?;
                Ok(ExitCode::SUCCESS)
            }
            TopicsCommand::Check(shown) => {
                show(&plan, shown.json)?;
                Ok(code_of(&plan))
            }
            TopicsCommand::Apply { yes } => apply(&planner, &plan, *yes).await,
        }
    })
}

fn code_of(plan: &Plan) -> ExitCode {
    if plan.is_met() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn apply(planner: &Planner, plan: &Plan, yes: bool) -> anyhow::Result<ExitCode> {
    let steps = plan.steps().count();
    show(plan, false)?;
    if steps == 0 {
        return Ok(code_of(plan));
    }
    if !yes && !std::io::stdin().is_terminal() {
        print("nothing was done: add --yes to do it\n")?;
        return Ok(ExitCode::FAILURE);
    }
    if !yes && !is_agreed(steps)? {
        print("nothing was done\n")?;
        return Ok(ExitCode::FAILURE);
    }
    for step in plan.steps() {
        planner.apply(step).await?;
        let done = if step.need == Need::Made {
            "made"
        } else {
            "changed"
        };
        print(&format!("{done}  {}\n", step.topic))?;
    }
    // What was done is not known everywhere at once; what cannot be done is known already.
    let by_hand = |topic: &&Planned| topic.differences.iter().any(|it| it.by_hand.is_some());
    let left = plan.topics.iter().filter(by_hand).count();
    if left > 0 {
        print(&format!("{left} topics differ in what is done by hand\n"))?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn is_agreed(steps: usize) -> anyhow::Result<bool> {
    eprint!("make or change {steps} topics? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        eprintln!();
    }
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn show(plan: &Plan, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(plan);
    }
    let mut table = Table::new(["topic", "", "setting", "is", "should be", ""]);
    for topic in &plan.topics {
        let need = match topic.need {
            Need::Nothing => continue,
            Need::Made => {
                let name = topic.topic.as_str().into();
                let counts = settings(topic, |it| it.is_count());
                table.row([name, "make".into(), counts.into()]);
                continue;
            }
            Need::Changed => "change",
            Need::ByHand => "by hand",
        };
        for (index, it) in topic.differences.iter().enumerate() {
            let (name, need) = if index == 0 {
                (topic.topic.as_str(), need)
            } else {
                ("", "")
            };
            table.row([
                name.into(),
                need.into(),
                it.setting.as_str().into(),
                it.is.as_deref().unwrap_or("-").into(),
                it.should_be.as_str().into(),
                it.by_hand.unwrap_or_default().into(),
            ]);
        }
    }
    let mut text = String::new();
    if !table.is_empty() {
        text.push_str(&table.to_text());
        text.push('\n');
    }
    // The same for all of them.
    if let Some(new) = plan.topics.iter().find(|it| it.need == Need::Made) {
        let all = settings(new, |it| !it.is_count());
        let _ = writeln!(text, "each that is made gets {all}");
    }
    let _ = writeln!(text, "{}", summary(plan));
    print(&text)?;
    Ok(())
}

fn settings(topic: &Planned, which: impl Fn(&&Difference) -> bool) -> String {
    let chosen = topic.differences.iter().filter(which);
    let chosen: Vec<String> = chosen
        .map(|it| format!("{}={}", it.setting, it.should_be))
        .collect();
    chosen.join(" ")
}

fn summary(plan: &Plan) -> String {
    let all = plan.topics.len();
    if plan.is_met() {
        return format!("all {all} topics are as they should be");
    }
    let count = |need: Need| plan.topics.iter().filter(|it| it.need == need).count();
    let counts = [
        (count(Need::Nothing), "as they should be"),
        (count(Need::Made), "to make"),
        (count(Need::Changed), "to change"),
        (count(Need::ByHand), "to change by hand"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    format!("of {all} topics: {}", counts.join(", "))
}
