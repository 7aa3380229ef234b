//! The program itself, started and stopped as an orchestrator does.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// The program itself. It ends with the test.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    pub(crate) url: String,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    errors: std::thread::JoinHandle<String>,
    _data_dir: TempDir,
}

/// How long to wait for a line.
const DEADLINE: Duration = Duration::from_secs(60);

impl Program {
    /// With logs as JSON, everything else as in the other stories.
    pub(crate) fn start() -> Self {
        let data_dir = TempDir::new().expect("a folder");
        let settings = [
            "http.public_addr=127.0.0.1:0",
            "http.internal_addr=127.0.0.1:0",
            "http.workers=1",
            "auth.hash_memory_kib=8",
            "auth.hash_iterations=1",
            "limits.sign_in_per_minute=0",
            "log.format=json",
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
        command.env_clear().arg("--data-dir").arg(data_dir.path());
        for setting in settings {
            command.args(["--set", setting]);
        }
        let pipes = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = pipes.spawn().expect("it starts");
        let (out, mut err) = (
            child.stdout.take().expect("a pipe"),
            child.stderr.take().expect("a pipe"),
        );
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        let mut program = Self {
            child,
            url: String::new(),
            lines,
            seen: Vec::new(),
            errors,
            _data_dir: data_dir,
        };
        program.url = program.ready();
        program
    }

    /// Waits for the line that says where it listens.
    fn ready(&mut self) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("a line");
            let json: Value = serde_json::from_str(&line).expect("every line is JSON");
            self.seen.push(line);
            if let (Some("ready"), Some(url)) = (json["message"].as_str(), json["api"].as_str()) {
                return url.to_owned();
            }
        }
    }

    /// Stops it as an orchestrator does; gives all lines, and what came on the error output.
    pub(crate) fn stop(mut self) -> (Vec<String>, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill");
        assert!(sent.success());
        let mut seen = std::mem::take(&mut self.seen);
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => seen.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not stop: {seen:#?}"),
            }
        }
        let status = self.child.wait().expect("a status");
        assert!(status.success(), "{status}: {seen:#?}");
        let errors = std::mem::replace(&mut self.errors, std::thread::spawn(String::new));
        (seen, errors.join().expect("what it wrote"))
    }
}

impl Drop for Program {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
