//! The end of the process in order, and what it says of itself while it runs.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use wealth_companion::telemetry::metrics::names::{self, Kind};

use crate::support::{Answer, Person, Process, World, recount, settled, stack};

/// Waits until readiness fails; gives what it says.
async fn not_ready(server: &Process) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = server.internal("/readyz").await.expect("it listens");
        if answer.status != 200 {
            return answer.expect(503);
        }
        assert!(Instant::now() < deadline, "it still is ready");
    }
}

/// What the log says when the system allows fewer open files than there may be connections.
const FEW_FILES: &str = "the system lets this process have fewer files open than http.connections_max: raise its limit \
     (ulimit -Hn, LimitNOFILE=), or lower http.connections_max";

fn refuses(url: &str) {
    let address = url.strip_prefix("http://").expect("an address");
    let refused = TcpStream::connect(address).expect_err("the port is closed");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

/// A booking of which the server has the head, and waits for the body.
struct Begun {
    connection: TcpStream,
    body: String,
}

impl Begun {
    async fn by(server: &Process, person: &Person) -> Self {
        let wallet = person.wallet("Checking", "USD", "1000.00").await;
        let body = json!({"wallet_id": wallet, "type": "expense", "amount": "1.00"}).to_string();
        let address = server.url.strip_prefix("http://").expect("an address");
        let mut connection = TcpStream::connect(address).expect("a connection");
        let patience = Some(Duration::from_secs(10));
        connection.set_read_timeout(patience).expect("a timeout");
        let head = format!(
            "POST /v1/transactions HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            person.token,
            body.len()
        );
        connection.write_all(head.as_bytes()).expect("it is sent");
        let mut begun = Self { connection, body };
        let go_on = begun.read_until("\r\n\r\n");
        assert!(go_on.starts_with("HTTP/1.1 100"), "{go_on}");
        begun
    }

    fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let mut byte = [0];
            match self.connection.read(&mut byte).expect("an answer") {
                0 => break,
                _ => text.push(byte[0]),
            }
        }
        String::from_utf8(text).expect("UTF-8")
    }

    /// Sends the body; gives the head of the answer.
    fn finish(&mut self) -> String {
        let body = self.body.clone();
        self.connection
            .write_all(body.as_bytes())
            .expect("it is sent");
        self.read_until("\r\n\r\n")
    }
}

#[tokio::test]
async fn the_end_comes_in_order() {
    let folder = TempDir::new().expect("a folder");
    let settings = [("lifecycle.drain_pause_ms", "2000")];
    let mut server = Process::start(folder.path(), &settings).await;
    let ada = server.register("ada").await;
    let mut stream = ada.follow(None).await;
    let answer = ada.get("/v1/wallets").await;
    assert!(!answer.headers.contains_key("connection"), "it is kept");
    server.internal("/readyz").await.expect("ready").expect(200);

    // First load balancers are told to look away; whoever still comes is served.
    server.signal("TERM");
    let said = not_ready(&server).await;
    assert_eq!(said.body["reasons"], json!({"process": "shutting down"}));
    server.internal("/livez").await.expect("alive").expect(200);
    ada.wallet("Checking", "USD", "1.00").await;
    // Who keeps a connection is asked to let it go, before it is closed under a request.
    let answer = ada.get("/v1/wallets").await;
    assert_eq!(answer.header("connection"), "close");

    // Then streams end, ports close, and the process goes in peace.
    assert!(stream.alert().await.is_none());
    assert_eq!(server.ended().await.code(), Some(0));
    refuses(&server.url);
    refuses(&server.internal_url);
    let steps = ["shutting down", "draining", "stopped"];
    assert!(steps.iter().all(|step| server.logged(step).len() == 1));
}

#[tokio::test]
async fn a_request_in_flight_gets_its_answer() {
    let folder = TempDir::new().expect("a folder");
    let mut server = Process::start(folder.path(), &[]).await;
    let ada = server.register("ada").await;
    let mut begun = Begun::by(&server, &ada).await;
    server.signal("TERM");
    // New connections are refused while the one in flight is waited for.
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.logged("draining").is_empty() {
        assert!(Instant::now() < deadline, "it does not drain");
        tokio::task::yield_now().await;
    }
    let answer = begun.finish();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.ended().await.code(), Some(0));

    // What was answered is there, and its event goes on when the server comes back.
    let _server = Process::start(folder.path(), &[]).await;
    settled(folder.path()).await;
    assert_eq!(recount(folder.path()).await.agrees().transactions, 1);
}

#[tokio::test]
async fn a_second_signal_skips_the_pause() {
    let folder = TempDir::new().expect("a folder");
    let settings = [
        ("lifecycle.drain_pause_ms", "500000"),
        ("lifecycle.drain_deadline_ms", "600000"),
    ];
    let mut server = Process::start(folder.path(), &settings).await;
    server.signal("TERM");
    not_ready(&server).await;
    server.signal("TERM");
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_leaves_what_is_in_flight() {
    let folder = TempDir::new().expect("a folder");
    let settings = [
        ("lifecycle.drain_deadline_ms", "600000"),
        ("http.client_timeout_ms", "600000"),
        ("http.request_timeout_ms", "600000"),
    ];
    let mut server = Process::start(folder.path(), &settings).await;
    let ada = server.register("ada").await;
    let _begun = Begun::by(&server, &ada).await;
    server.signal("INT");
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.logged("draining").is_empty() {
        assert!(Instant::now() < deadline, "it does not drain");
        tokio::task::yield_now().await;
    }
    server.signal("TERM");
    // It was cut off, and says so.
    assert_eq!(server.ended().await.code(), Some(1));
    let cut = server.logged("background tasks had to be cut off");
    assert_eq!(cut[0]["tasks"], "public listener");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut_off() {
    let folder = TempDir::new().expect("a folder");
    let settings = [("lifecycle.drain_deadline_ms", "300")];
    let mut server = Process::start(folder.path(), &settings).await;
    let ada = server.register("ada").await;
    let _begun = Begun::by(&server, &ada).await;
    server.signal("TERM");
    assert_eq!(server.ended().await.code(), Some(1));
}

#[tokio::test]
async fn the_death_of_a_background_task_ends_the_process() {
    let world = World::start().await;
    let dying = async { Err(anyhow::anyhow!("no more")) };
    world.lifecycle().spawn("clockwork", dying);
    let failure = world.ended().await.expect_err("a failure");
    assert_eq!(
        failure.to_string(),
        "background task `clockwork` ended: no more"
    );
}

#[tokio::test]
async fn readiness_says_why_it_fails() {
    let world = World::start().await;
    world.internal("/livez").await.expect(200);
    let ready = world.internal("/readyz").await.expect(200);
    assert_eq!(ready.body, json!({"status": "ready"}));
    let readiness = world.lifecycle().readiness();
    readiness.set("database", Err("locked".to_owned()));
    let not_ready = world.internal("/readyz").await.expect(503);
    assert_eq!(not_ready.body["reasons"], json!({"database": "locked"}));
    world.internal("/livez").await.expect(200);
    readiness.set("database", Ok(()));
    world.internal("/readyz").await.expect(200);
}

#[tokio::test]
async fn metrics_explain_themselves_and_tell_nothing_of_anybody() {
    let folder = TempDir::new().expect("a folder");
    let server = Process::start(folder.path(), &[]).await;
    let ada = server.register("ada").await;
    let wallet = ada.wallet("Checking", "USD", "1000.00").await;
    let groceries = ada.category("Groceries").await;
    let budget = ada.budget(&[&groceries], "1.00").await;
    ada.spend(&wallet, &groceries, "5.00", "2026-02-10").await;
    ada.alerts(2).await;

    let url = format!("{}/metrics", server.internal_url);
    let text = Answer::to(server.http.get(url)).await.expect(200);
    let Value::String(text) = text.body else {
        panic!("no text: {text:?}");
    };
    for metric in names::CATALOGUE {
        let help = format!("# HELP {} {}\n", metric.name, metric.help);
        // What has labels shows when it has happened; what has none, from the start.
        let shows = text.contains(&format!("# TYPE {} ", metric.name));
        assert_eq!(text.contains(&help), shows, "{help} in {text}");
        let is_there = !(stack::on_postgres() && metric.name.starts_with("wealth_data_dir_"));
        let always =
            is_there && metric.labels.is_empty() && !matches!(metric.kind, Kind::Histogram(_));
        assert!(shows || !always, "no {} in {text}", metric.name);
    }
    for secret in [&ada.id, &ada.email, &wallet, &groceries, &budget] {
        assert!(!text.contains(secret.as_str()), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_shell_that_allows_few_open_files_does_not_keep_clients_away() {
    let folder = TempDir::new().expect("a folder");
    let command = Process::command_after("ulimit -Sn 64", folder.path(), &[]);
    let server = Process::spawn(command).await;
    let address = server.url.strip_prefix("http://").expect("an address");
    let connect = |_| TcpStream::connect(address).expect("a connection");
    // All stay open.
    let mut connections: Vec<TcpStream> = (0..100).map(connect).collect();
    for connection in &mut connections {
        let patience = Some(Duration::from_secs(10));
        connection.set_read_timeout(patience).expect("a timeout");
        let request = format!("GET /v1/me HTTP/1.1\r\nHost: {address}\r\n\r\n");
        connection
            .write_all(request.as_bytes())
            .expect("it is sent");
        let mut status = [0; 12];
        connection.read_exact(&mut status).expect("an answer");
        assert_eq!(&status, b"HTTP/1.1 401");
    }
    assert_eq!(server.logged(FEW_FILES), [] as [Value; 0]);
}

#[tokio::test]
async fn a_system_that_allows_too_few_open_files_is_told_of() {
    let folder = TempDir::new().expect("a folder");
    let set = [("http.connections_max", "200")];
    let command = Process::command_after("ulimit -n 300", folder.path(), &set);
    let server = Process::spawn(command).await;
    let [told] = &server.logged(FEW_FILES)[..] else {
        panic!("it is told of once");
    };
    assert_eq!(
        (&told["files"], &told["connections_max"]),
        (&json!(300), &json!(200))
    );
}
