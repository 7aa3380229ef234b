//! A Redis of the test's own, which can be stopped, killed and held up; and what goes between it and
//! its clients.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_redis::redis::{Client, FromRedisValue, cmd};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::Stack;
use super::sidecar::free_ports;

/// The password of every private Redis.
pub(crate) const PASSWORD: &str = "s3cr3t-of-redis";

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A Redis that nobody else uses. It is killed when it is dropped.
pub(crate) struct RedisServer {
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// One that runs.
    pub(crate) async fn start() -> Self {
        let mut server = Self::absent();
        server.begin().await;
        server
    }

    /// One that runs behind TLS, with the certificate that the stack's authority gave.
    pub(crate) async fn start_with_tls() -> Self {
        let mut server = Self::absent();
        let tls = ca_file().parent().expect("a folder").to_owned();
        let port = server.port.to_string();
        let file = |name: &str| tls.join(name).to_str().expect("UTF-8").to_owned();
        let (certificate, key, ca) = (file("server.crt"), file("server.key"), file("ca.crt"));
        server.arguments = [
            "--port",
            "0",
            "--tls-port",
            &port,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            "no",
        ]
        .map(ToOwned::to_owned)
        .into();
        server.begin().await;
        server
    }

    /// One that does not run yet.
    pub(crate) fn absent() -> Self {
        let [port] = free_ports();
        Self {
            port,
            folder: TempDir::new().expect("a folder"),
            arguments: Vec::new(),
            child: None,
        }
    }

    /// Starts it, empty, where it was before.
    pub(crate) async fn begin(&mut self) {
        self.spawn();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn spawn(&mut self) {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--requirepass", PASSWORD, "--dir"])
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(child.expect("run `make stack`: this test needs redis-server"));
    }

    /// Kills it; its memory is lost.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It accepts connections, and says nothing.
    pub(crate) fn hold_up(&self) {
        self.signal("STOP");
    }

    /// It goes on.
    pub(crate) fn let_go(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let script = ["-c", r#"kill -s "$0" "$1""#, name, &pid];
        let sent = Command::new("/bin/sh").args(script).status();
        assert!(sent.expect("a shell").success());
    }

    pub(crate) fn url(&self) -> String {
        self.url_with(PASSWORD)
    }

    pub(crate) fn url_with(&self, password: &str) -> String {
        format!("redis://:{password}@{}/0", self.address())
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("rediss://:{PASSWORD}@127.0.0.1:{}/0", self.port)
    }

    /// What it answers to a command.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &str) -> T {
        ask(&self.url(), words).await
    }

    /// The names of its keys that begin so.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        self.ask(&format!("KEYS {prefix}*")).await
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The stack's Redis.
pub(crate) fn stack_url() -> &'static str {
    Stack::get().text("/redis/url")
}

/// The certificate of the stack's authority.
pub(crate) fn ca_file() -> PathBuf {
    Path::new(Stack::get().text("/postgres/ca_file")).to_owned()
}

/// What a Redis answers to a command, whose words stand apart.
pub(crate) async fn ask<T: FromRedisValue>(url: &str, words: &str) -> T {
    let client = Client::open(url).expect("a good URL");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("run `make stack`: Redis answers");
    let mut words = words.split(' ');
    let mut command = cmd(words.next().expect("a command"));
    for word in words {
        command.arg(word);
    }
    let answer = command.query_async(&mut connection).await;
    answer.expect("an answer")
}

/// Stands between a Redis and its clients, and counts the turns: how often a client that has heard
/// something speaks again. It is what one waits for when one asks one thing after another.
pub(crate) struct Proxy {
    url: String,
    turns: Arc<AtomicU64>,
}

impl Proxy {
    /// In front of the stack's Redis.
    pub(crate) async fn start() -> Self {
        let url = stack_url();
        let server = Stack::get().port("/redis/port");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let turns = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&turns);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await;
                tokio::spawn(pass(client, server.expect("Redis"), Arc::clone(&counted)));
            }
        });
        Self {
            url: url.replace(&format!(":{server}/"), &format!(":{port}/")),
            turns,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Waits until nobody has asked for a while.
    pub(crate) async fn quiet(&self) {
        self.turns();
        loop {
            sleep(Duration::from_millis(100)).await;
            if self.turns() == 0 {
                return;
            }
        }
    }

    /// Turns since it was asked last.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.swap(0, Ordering::Relaxed)
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, turns: Arc<AtomicU64>) {
    let (mut asked, mut told) = ([0; 4096], [0; 4096]);
    let mut is_answered = true;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                if std::mem::take(&mut is_answered) {
                    turns.fetch_add(1, Ordering::Relaxed);
                }
                if server.write_all(&asked[..count]).await.is_err() { return }
            }
            read = server.read(&mut told) => {
                let Ok(count @ 1..) = read else { return };
                is_answered = true;
                if client.write_all(&told[..count]).await.is_err() { return }
            }
        }
    }
}
