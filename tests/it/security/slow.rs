use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval};
use wealth_companion::clock::Clock;

use crate::support::World;

/// How long a client may take, in these stories.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(1500);
/// How far the clock by which the framework measures that may be behind.
const CLOCK_STEP: Duration = Duration::from_millis(500);
/// Between two bytes of a slow client: each comes well before it would be taken for silent.
const PAUSE: Duration = Duration::from_millis(20);
/// When a connection that still is open will never be closed.
const PATIENCE: Duration = Duration::from_secs(20);

async fn world() -> World {
    let set = [
        ("http.client_timeout_ms", "1500"),
        ("http.request_timeout_ms", "4000"),
        ("http.keep_alive_secs", "1"),
        // Whoever holds a place keeps others out.
        ("http.connections_max", "64"),
    ];
    World::with(&set, Clock::system()).await
}

/// Sends the beginning at once, then a byte and a byte, without end; gives what came back, and how long
/// it took until the server closed the connection.
async fn drip(world: &World, at_once: &str, byte: u8) -> (String, Duration) {
    let address = world.url.strip_prefix("http://").expect("a URL");
    let connection = TcpStream::connect(address).await.expect("a connection");
    let (mut read, mut write) = connection.into_split();
    let begun = Instant::now();
    write
        .write_all(at_once.as_bytes())
        .await
        .expect("it is sent");
    let drips = tokio::spawn(async move {
        let mut pause = interval(PAUSE);
        loop {
            pause.tick().await;
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENCE, read.read_to_end(&mut answer)).await;
    drips.abort();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // Closed in order, or with what was sent since.
    assert!(end.is_ok(), "it is not closed after {answer:?}");
    (answer, begun.elapsed())
}

fn head(world: &World, rest: &str) -> String {
    let address = world.url.strip_prefix("http://").expect("a URL");
    format!(
        "POST /v1/auth/login HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{rest}"
    )
}

/// A head, and bodies of both kinds, that come to no end.
#[tokio::test]
async fn a_client_that_takes_its_time_is_cut_off_and_others_are_served_meanwhile() {
    let world = world().await;
    let ada = world.register("ada").await;
    let mut stream = ada.follow(None).await;
    let asks = head(&world, "X-Odd: ");
    let body = head(&world, "Content-Length: 100000\r\n\r\n{\"email\": \"");
    let chunks = head(
        &world,
        "Transfer-Encoding: chunked\r\n\r\nffff\r\n{\"email\": \"",
    );
    let slow = async {
        let heads = futures_util::future::join_all((0..8).map(|_| drip(&world, &asks, b'a')));
        tokio::join!(
            heads,
            drip(&world, &body, b'a'),
            drip(&world, &chunks, b'a')
        )
    };
    let served = async {
        let wallet = ada.wallet("Checking", "USD", "1000.00").await;
        let food = ada.category("Groceries").await;
        ada.budget(&[&food], "10.00").await;
        let today = world.clock.now().date_naive().to_string();
        ada.spend(&wallet, &food, "20.00", &today).await;
        stream.alert().await.expect("an alert")
    };
    let ((heads, of_body, of_chunks), _) = tokio::join!(slow, served);
    for (answer, took) in heads.iter().chain([&of_body, &of_chunks]) {
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(*took >= CLIENT_TIMEOUT - CLOCK_STEP, "{took:?}: {answer}");
    }
    assert!(of_body.0.contains("problem:too-slow"), "{of_body:?}");
    // Nothing was held against the others: the stream goes on, and so does who waits no more.
    ada.get("/v1/me").await.expect(200);
    stream.block().await.expect("a heartbeat");
}

/// The second head on a connection that was kept.
#[tokio::test]
async fn a_connection_that_is_kept_is_cut_off_as_well() {
    let world = world().await;
    let address = world.url.strip_prefix("http://").expect("a URL");
    let first = format!("GET /v1/me HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let second = format!("{first}GET /v1/me HTTP/1.1\r\nX-Odd: ");
    let (answer, _) = drip(&world, &second, b'a').await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

/// A body that nobody reads: the answer was there before it.
#[tokio::test]
async fn a_body_that_was_not_asked_for_does_not_hold_the_connection() {
    let world = world().await;
    for (rest, byte) in [
        ("Content-Length: 100000\r\n\r\n{", b'a'),
        ("Transfer-Encoding: chunked\r\n\r\nffff\r\n{", b'a'),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\nX-Odd: ", b'a'),
    ] {
        let asks = head(&world, rest).replace("/v1/auth/login", "/v1/auth/logout");
        let (answer, _) = drip(&world, &asks, byte).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{rest}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    let body = json!({"email": "ada@example.com", "password": "wrong horse battery"});
    world.post("/v1/auth/login", &body).await.expect(401);
}
