//! Parts of a test's own, to be stopped and killed.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::Stack;

/// Some parts in a folder of their own, beside those that all tests share.
pub(crate) struct Parts {
    folder: TempDir,
    pub(crate) stack: Stack,
}

impl Parts {
    /// Starts these parts.
    pub(crate) fn start(parts: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        run(&folder, &["start", "--no-install", "--only", parts]);
        let stack = Stack::of(folder.path());
        Self { folder, stack }
    }

    /// Stops a part in order.
    pub(crate) fn stop(&self, part: &str) {
        run(&self.folder, &["stop", "--only", part]);
    }

    /// Starts a part again, on the port and with the data that it had.
    pub(crate) fn start_again(&self, part: &str) {
        run(&self.folder, &["start", "--no-install", "--only", part]);
    }

    /// Sends a signal to a part, by its name without SIG.
    pub(crate) fn signal(&self, part: &str, name: &str) {
        let status = run(&self.folder, &["status", "--json"]);
        let status: Value = serde_json::from_str(&status).expect("JSON");
        let parts = status["parts"].as_array().expect("parts");
        let found = parts.iter().find(|found| found["part"] == part);
        let pid = found.expect(part)["pid"].to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let _ = stack_py(&self.folder, &["stop", "--wipe"]).output();
    }
}

fn run(folder: &TempDir, args: &[&str]) -> String {
    let output = stack_py(folder, args).output().expect("python3");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() || args[0] == "status",
        "run `make stack`: {args:?}: {errors}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stack_py(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tools/stack.py"))
        .args(args)
        .env("WEALTH_STACK_DIR", folder.path());
    command
}
