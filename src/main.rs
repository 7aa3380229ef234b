//! Parse, run, say what went wrong, exit.

use std::process::ExitCode;

use wealth_companion::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let failure = cli.failure();
    cli.run().unwrap_or_else(|error| {
        // The one line that must be seen, whatever the log's form and level.
        eprintln!("wealth-companion: {}", explained(&error));
        failure
    })
}

/// The error with its causes: on one line, but what has several lines begins on a line of its own.
fn explained(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        match (text.is_empty(), cause.contains('\n')) {
            (true, _) => {}
            (false, true) => text.push_str(":\n"),
            (false, false) => text.push_str(": "),
        }
        text.push_str(&cause);
    }
    text
}
