//! `email`: whether mail goes out.

use std::process::ExitCode;

use clap::Subcommand;

use super::{on_runtime, print};
use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::mail::{Letter, Mailer};

#[derive(Debug, Subcommand)]
pub(super) enum EmailCommand {
    /// Send a letter to an address, as it is set up in [email]
    Test {
        /// Whose mailbox you can look into
        address: String,
    },
}

pub(super) fn run(command: &EmailCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let EmailCommand::Test { address } = command;
    on_runtime(async {
        let Some(mailer) = Mailer::of(&config.email)? else {
            anyhow::bail!(
                "no mail server is named: set email.smtp_url, or SMTP_URL in the environment, \
                 to smtps://USER:PASSWORD@HOST"
            );
        };
        let id = Ids::system().v7(Clock::system().now());
        let letter = Letter {
            to: address.clone(),
            subject: "Wealth Companion can send mail".to_owned(),
            text: "This letter was sent to see whether mail goes out. It does.\n".to_owned(),
            message_id: format!("{id}@wealth-companion"),
            unsubscribe: None,
        };
        mailer.send(&letter).await?;
        print(
            "The mail server has taken the letter. If it does not come, look at what the server says of it.\n",
        )?;
        Ok(ExitCode::SUCCESS)
    })
}
