//! Parse, run, say what went wrong, exit.

use std::process::ExitCode;

use clap::Parser;
use wealth_companion::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            // The one line that must be seen, whatever the log's form and level.
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("wealth-companion: {}", causes.join(":\n"));
            ExitCode::FAILURE
        }
    }
}
