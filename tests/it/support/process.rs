//! The real binary in a process of its own, which can be told to stop, killed, and cut off from the
//! disk.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::world::PASSWORD;
use super::{Answer, Person};

/// How long a process may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running process. It is killed when it is dropped.
pub(crate) struct Process {
    pub(crate) url: String,
    pub(crate) internal_url: String,
    pub(crate) http: reqwest::Client,
    child: Killed,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    errors: Option<JoinHandle<String>>,
}

/// A child that does not outlive its test, however that ends.
struct Killed(Child);

impl Process {
    /// All roles on this folder.
    pub(crate) async fn start(data_dir: &Path, set: &[(&str, &str)]) -> Self {
        Self::spawn(Self::command(data_dir, set)).await
    }

    /// What [`start`](Self::start) runs, to be changed before it is spawned. It knows nothing of the
    /// developer's environment, and passes over the signal of the limit of file sizes.
    pub(crate) fn command(data_dir: &Path, set: &[(&str, &str)]) -> Command {
        Self::command_after(r#"trap "" XFSZ"#, data_dir, set)
    }

    /// What starts all roles on this folder, in a shell that has run something before.
    pub(crate) fn command_after(before: &str, data_dir: &Path, set: &[(&str, &str)]) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .env_clear()
            .args(["-c", &format!(r#"{before}; exec "$0" "$@""#)])
            .arg(env!("CARGO_BIN_EXE_wealth-companion"));
        let json = [("log.format", "json")];
        let settings = super::settings(data_dir);
        let settings = settings.iter().map(|(key, value)| (*key, &**value));
        for (key, value) in settings.chain(json).chain(set.iter().copied()) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command
    }

    /// Runs it, and waits until it says that it is ready.
    pub(crate) async fn spawn(mut command: Command) -> Self {
        let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Killed(pipes.spawn().expect("it runs"));
        let mut errors = child.0.stderr.take().expect("a pipe");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).expect("UTF-8");
            text
        });
        let lines = BufReader::new(child.0.stdout.take().expect("a pipe")).lines();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (said_ready, ready) = oneshot::channel();
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut said_ready = Some(said_ready);
            for line in lines.map_while(Result::ok) {
                let json = parsed(&line);
                if json["message"] == "ready"
                    && let Some(said_ready) = said_ready.take()
                {
                    let _ = said_ready.send(json);
                }
                lock(&kept).push(line);
            }
        });
        let ready = tokio::time::timeout(PATIENCE, ready).await;
        let Some(ready) = ready.ok().and_then(Result::ok) else {
            let ended = child.0.try_wait();
            drop(child);
            let errors = errors.join();
            panic!("it never was ready: {ended:?} {errors:?} {:?}", lock(&log));
        };
        // Only role `api` has two.
        let address = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
        Self {
            url: address("api"),
            internal_url: address("internal"),
            http: reqwest::Client::new(),
            child,
            log,
            reader: Some(reader),
            errors: Some(errors),
        }
    }

    /// Somebody new, in US dollars and UTC.
    pub(crate) async fn register(&self, name: &str) -> Person {
        let body = json!({"email": format!("{name}@example.com"), "password": PASSWORD});
        let url = format!("{}/v1/auth/register", self.url);
        let session = Answer::to(self.http.post(url).json(&body)).await;
        Person::signed_in(&self.url, &self.http, &session.expect(201).body)
    }

    /// A GET on the internal listener; none where nobody listens any more.
    pub(crate) async fn internal(&self, path: &str) -> Option<Answer> {
        let url = format!("{}{path}", self.internal_url);
        // A new connection each time: one that is kept would say nothing of the listener.
        let request = self.http.get(&url).header("connection", "close");
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.json().await.unwrap_or_default();
        Some(Answer {
            status,
            headers,
            body,
        })
    }

    /// A text of the internal listener.
    pub(crate) async fn internal_text(&self, path: &str) -> String {
        let url = format!("{}{path}", self.internal_url);
        let answer = self.http.get(url).send().await.expect("an answer");
        answer.text().await.expect("a text")
    }

    /// The value of a series, written as it is shown: its name and its labels.
    pub(crate) async fn metric<T: FromStr>(&self, series: &str) -> T {
        let text = self.internal_text("/metrics").await;
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        let found = text.lines().find_map(value);
        found.unwrap_or_else(|| panic!("no {series} in {text}"))
    }

    /// What it has logged under this message.
    pub(crate) fn logged(&self, message: &str) -> Vec<Value> {
        let log = lock(&self.log);
        let said = log.iter().map(|line| parsed(line));
        said.filter(|line| line["message"] == message).collect()
    }

    /// Stops it as an orchestrator does; gives all lines, and what came on the error output.
    pub(crate) async fn stop(mut self) -> (Vec<String>, String) {
        self.signal("TERM");
        let status = self.ended().await;
        let lines = std::mem::take(&mut *lock(&self.log));
        assert!(status.success(), "{status}: {lines:#?}");
        let errors = self.errors.take().expect("it was not read before");
        (lines, errors.join().expect("it reads to the end"))
    }

    /// Sends a signal, by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.0.id().to_string();
        let script = ["-c", r#"kill -s "$0" "$1""#, name, &pid];
        let sent = Command::new("/bin/sh").args(script).status();
        assert!(sent.expect("a shell").success());
    }

    /// Limits the size of the files that it writes, as a full disk would; none lifts the limit.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let set = Command::new("prlimit")
            .args(["--pid", &self.child.0.id().to_string()])
            .arg(format!("--fsize={limit}:"))
            .status();
        assert!(set.expect("prlimit of util-linux").success());
    }

    /// How it ended, when all that it logged is read. Fails when it does not end in time.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.0.try_wait().expect("a child") {
                if let Some(reader) = self.reader.take() {
                    reader.join().expect("it reads to the end");
                }
                return status;
            }
            assert!(Instant::now() < deadline, "it still runs");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line that is no JSON is a text.
fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| line.into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
