//! The client against a server of a few lines.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Client, is_loopback};
use crate::demo::answers::Created;
use crate::demo::story::Teller;

const ID: &str = r#"{"id":"0196b1c0-0000-7000-8000-000000000001","name":"x"}"#;

/// Answers one request on each connection, in this order.
async fn server(answers: Vec<(&'static str, &'static str)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for (head, body) in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            let answer = format!(
                "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

fn untold() -> Arc<Teller> {
    Arc::new(Teller::new(Box::new(std::io::sink()), false, false))
}

fn client(url: &str) -> Client {
    Client::new(url, untold()).unwrap()
}

#[tokio::test]
async fn it_pauses_when_it_is_asked_to_and_then_reads_the_answer() {
    let url = server(vec![
        ("429 Too Many Requests\r\nretry-after: 1", "{}"),
        (
            "201 Created\r\nx-log-position: 7\r\nidempotent-replayed: true",
            ID,
        ),
    ])
    .await;
    let begun = std::time::Instant::now();
    let answer = client(&url)
        .post::<Created>("/v1/x", &1, None)
        .await
        .unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (answer.position.as_deref(), answer.replayed),
        (Some("7"), true)
    );
    assert!(answer.body.id.to_string().starts_with("0196b1c0"));
}

#[tokio::test]
async fn it_says_why_a_request_was_refused() {
    let url = server(vec![
        (
            "409 Conflict",
            r#"{"title":"It contradicts","detail":"taken"}"#,
        ),
        ("404 Not Found", "<html>"),
        ("200 OK", "[]"),
    ])
    .await;
    let client = client(&url);
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(
            client
                .get::<Created>("/v1/x", &[])
                .await
                .unwrap_err()
                .to_string(),
        );
    }
    assert_eq!(said[0], "GET /v1/x: It contradicts: taken");
    assert!(said[1].contains("answered 404 Not Found"), "{}", said[1]);
    assert!(said[2].contains("not what the API promises"), "{}", said[2]);
}

#[tokio::test]
async fn it_says_what_to_do_when_nobody_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url).get::<Created>("/v1/x", &[]).await.unwrap_err();
    let said = format!("{error:#}");
    assert!(
        said.contains("make run") && said.contains("--url") && !said.contains('\n'),
        "{said}"
    );
}

#[test]
fn it_refuses_what_is_no_address() {
    for url in ["127.0.0.1:8080", "ftp://example.com", ""] {
        let Err(error) = Client::new(url, untold()) else {
            panic!("{url} was taken");
        };
        assert!(error.to_string().starts_with("--url takes"), "{error}");
    }
}

#[test]
fn loopback_addresses_are_known() {
    let is = |url: &str| is_loopback(&Url::parse(url).unwrap());
    assert!(is("http://127.0.0.1:8080") && is("http://localhost") && is("http://[::1]:8080"));
    assert!(!is("https://example.com"));
}
