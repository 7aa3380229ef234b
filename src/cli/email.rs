//! `email`: whether mail goes out.

use std::process::ExitCode;

use clap::Subcommand;

use super::{on_runtime, print};
use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::mail::{Cause, Mail, Mailer};

#[derive(Debug, Subcommand)]
pub(super) enum EmailCommand {
    /// Send one mail to an address, as [email] says
    ///
    /// Exit code 0: the server has taken it. 2: it has not, and the reason is told with what to do.
    Test {
        /// Whose mailbox you can look into
        address: String,
    },
}

pub(super) fn run(command: &EmailCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let EmailCommand::Test { address } = command;
    on_runtime(async {
        let Some(mailer) = Mailer::new(&config.email)? else {
            anyhow::bail!("no mail server is named: set email.smtp_url (SMTP_URL) and email.from");
        };
        let mail = Mail {
            to: address.clone(),
            id: Ids::system().v7(Clock::system().now()),
            subject: "Wealth Companion can send mail".to_owned(),
            text: "This was sent to see whether mail goes out. It does.\n".to_owned(),
            unsubscribe: None,
        };
        match mailer.send(&mail).await {
            Ok(()) => {
                print(
                    "the mail server has taken a mail for this address; if it does not arrive, \
                     look for it among what is held to be spam, then ask the server\n",
                )?;
                Ok(ExitCode::SUCCESS)
            }
            Err(fault) => anyhow::bail!("{fault}: {}", advice(fault.cause)),
        }
    })
}

fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::Away => {
            "check host and port of email.smtp_url (465 goes with smtps:, 587 with smtp:) and that \
             the network lets us there, or try again later"
        }
        Cause::Tls => {
            "check that email.smtp_url has the name that the certificate is for, that \
             email.ca_file has the authority (empty: the public ones), and that the scheme fits the \
             port (465 goes with smtps:, 587 with smtp:)"
        }
        Cause::SignIn => {
            "check user and password in email.smtp_url, and that this user may send as email.from"
        }
        Cause::Refused { .. } => "the server takes nothing for this address: try another one",
        Cause::Unsendable => "write an address such as ada@example.com",
    }
}
