//! A real daprd beside an app, on free ports, with the components that `make stack` uses.

use std::collections::HashMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;
use wealth_companion::clock::Ids;

use super::Stack;

/// How long daprd may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lines of its log that are shown when a test fails.
const LINES_MAX: usize = 40;

/// A running sidecar. It is killed when it is dropped.
pub(crate) struct Sidecar {
    pub(crate) http_port: u16,
    pub(crate) app_port: u16,
    command: Command,
    child: Child,
    log: PathBuf,
    _folder: TempDir,
}

/// Variables of a sidecar.
pub(crate) type Environment = HashMap<&'static str, String>;

/// What may differ between sidecars.
#[derive(Default)]
pub(crate) struct Options {
    /// What the sidecar's environment has instead of the stack's.
    pub(crate) environment: Environment,
    /// The text of the file of secrets.
    pub(crate) secrets: String,
    /// The port of its API, where the app must know it before.
    pub(crate) http_port: Option<u16>,
}

impl Sidecar {
    /// A sidecar of the stack's tokens, without secrets.
    pub(crate) async fn start(app_id: &str) -> Self {
        Self::with(app_id, Options::default()).await
    }

    /// Starts it, and waits until it can be asked for something. Its app need not be there.
    pub(crate) async fn with(app_id: &str, options: Options) -> Self {
        let folder = TempDir::new().expect("a folder");
        let secrets = match options.secrets.as_str() {
            "" => "{}",
            secrets => secrets,
        };
        std::fs::write(folder.path().join("secrets.json"), secrets).expect("written");
        let log = folder.path().join("daprd.log");
        let output = File::create(&log).expect("a file");
        let [free, app_port, grpc, internal_grpc, metrics] = free_ports();
        let http_port = options.http_port.unwrap_or(free);
        let mut command = Command::new(Stack::get().text("/daprd/binary"));
        command
            .env_clear()
            .current_dir(&folder)
            .envs(Stack::get().table("/daprd/environment"))
            .envs(options.environment)
            .args(["--app-id", app_id, "--app-protocol", "http"])
            .args(["--dapr-listen-addresses", "127.0.0.1"])
            .args(["--metrics-listen-address", "127.0.0.1"])
            .args(["--dapr-internal-grpc-listen-address", "127.0.0.1"])
            .arg("--resources-path")
            .arg(components())
            .arg("--config")
            .arg(components().join("config.yaml"))
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .stdin(Stdio::null());
        for (flag, port) in [
            ("--app-port", app_port),
            ("--dapr-http-port", http_port),
            ("--dapr-grpc-port", grpc),
            ("--dapr-internal-grpc-port", internal_grpc),
            ("--metrics-port", metrics),
        ] {
            command.args([flag, &port.to_string()]);
        }
        let mut sidecar = Self {
            http_port,
            app_port,
            child: spawn(&mut command),
            command,
            log,
            _folder: folder,
        };
        sidecar.wait().await;
        sidecar
    }

    /// Kills it; its app stays.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again where it was, and waits until it can be asked for something.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(&mut self.command);
        self.wait().await;
    }

    async fn wait(&mut self) {
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.expect("a client");
        let url = format!("http://127.0.0.1:{}/v1.0/healthz/outbound", self.http_port);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let ended = self.child.try_wait().expect("a child").is_some();
            let late = Instant::now() > deadline;
            assert!(!ended && !late, "daprd does not start: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let telling = |line: &&str| !line.contains("level=info");
            let mut lines: Vec<&str> = log.lines().filter(telling).collect();
            // One that was cut off from its broker says so again and again.
            let before = lines.len().saturating_sub(LINES_MAX);
            let lines = lines.split_off(before);
            eprintln!("daprd on port {}: {lines:#?}", self.http_port);
        }
    }
}

fn components() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dapr/local")
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().expect("run `make stack`: daprd runs")
}

/// Ports that nobody listens on, and that no other test of this process was given. They lie below
/// those that the system gives to connections, so nobody takes one whose owner was killed and will be
/// back.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    std::array::from_fn(|_| {
        loop {
            let port = 10_000 + Ids::system().v4().as_fields().1 % 10_000;
            if !given.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
                given.push(port);
                return port;
            }
        }
    })
}
