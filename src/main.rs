//! Parse, run, say what went wrong, exit.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use wealth_companion::cli::Cli;

/// Gives back what sign-ins and streams have needed, where the system's keeps several times as much
/// (docs/performance.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
