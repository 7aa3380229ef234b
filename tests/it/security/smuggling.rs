use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Story;
use crate::support::{Answer, Rows};

/// How long the server may take to close a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that comes back until the server closes the connection.
fn answers_to(address: &str, sent: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).expect("a connection");
    let patience = Some(PATIENCE);
    connection.set_read_timeout(patience).expect("a timeout");
    connection.write_all(sent).expect("it is sent");
    let mut answer = Vec::new();
    match connection.read_to_end(&mut answer) {
        Ok(_) => {}
        // What was sent and not read any more.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => {
            let answer = String::from_utf8_lossy(&answer);
            panic!("it is not closed ({error}) after {answer}");
        }
    }
    String::from_utf8(answer).expect("UTF-8")
}

/// What is hidden: a request of hers that would delete her wallet.
fn hidden(story: &Story, address: &str) -> String {
    format!(
        "DELETE /v1/wallets/{} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nIf-Match: *\r\n\r\n",
        story.things.id("wallets"),
        story.ada.token
    )
}

/// Heads of a POST whose end two servers would see in two places, each with the body before what is
/// hidden.
fn doubtful() -> Vec<(&'static str, String)> {
    let heads = [
        (
            "a length and chunks",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
        ),
        (
            "chunks and a length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
        ),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6"),
        (
            "the same length twice",
            "Content-Length: 5\r\nContent-Length: 5",
        ),
        ("a list of lengths", "Content-Length: 5, 5"),
        ("a length with a sign", "Content-Length: +5"),
        ("a length below zero", "Content-Length: -5"),
        ("a length in hexadecimal", "Content-Length: 0x5"),
        ("two words for a length", "Content-Length: 5 5"),
        ("no word for a length", "Content-Length:"),
        (
            "a length beyond all numbers",
            "Content-Length: 18446744073709551621",
        ),
        (
            "chunks twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ),
        (
            "chunks and something else",
            "Transfer-Encoding: chunked, identity",
        ),
        (
            "something else and chunks",
            "Transfer-Encoding: gzip, chunked",
        ),
        ("something else for chunks", "Transfer-Encoding: xchunked"),
        ("chunks in quotes", "Transfer-Encoding: \"chunked\""),
        (
            "no chunks and a length",
            "Transfer-Encoding: identity\r\nContent-Length: 5",
        ),
        ("a space before the colon", "Transfer-Encoding : chunked"),
        ("a tab before the colon", "Content-Length\t: 5"),
        ("a line that goes on", "X-Odd: a\r\n b\r\nContent-Length: 5"),
        ("a value that goes on", "Transfer-Encoding:\r\n chunked"),
        ("a first line that goes on", " Content-Length: 5"),
        (
            "a line feed within a line",
            "X-Odd: a\nTransfer-Encoding: chunked\nContent-Length: 5",
        ),
        (
            "a carriage return within a line",
            "X-Odd: a\rTransfer-Encoding: chunked",
        ),
        ("a null within a line", "X-Odd: a\0b\r\nContent-Length: 5"),
        ("no name", ": chunked\r\nContent-Length: 5"),
        ("two hosts", "Host: elsewhere.example\r\nContent-Length: 5"),
    ];
    let heads = heads.map(|(what, lines)| (what, format!("{lines}\r\n\r\n0\r\n\r\n")));
    let chunks = [
        ("a chunk beyond all numbers", "fffffffffffffffff\r\n"),
        ("a chunk of a length below zero", "-1\r\n"),
        (
            "a chunk of a length with a prefix",
            "0x5\r\nhello\r\n0\r\n\r\n",
        ),
        ("a chunk without a length", "\r\nhello\r\n0\r\n\r\n"),
        (
            "a chunk that is longer than it says",
            "4\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "a line feed after the length of a chunk",
            "5\nhello\r\n0\r\n\r\n",
        ),
        (
            "a line feed in what is said of a chunk",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
        ),
        ("a line feed after a chunk", "5\r\nhello\n0\r\n\r\n"),
    ];
    let head = "Transfer-Encoding: chunked\r\n\r\n";
    let chunks = chunks.map(|(what, body)| (what, format!("{head}{body}")));
    heads.into_iter().chain(chunks).collect()
}

/// A request of hers, so that her connection is kept where nothing is wrong.
fn first(story: &Story, address: &str, line: &str, rest: &str) -> String {
    let token = &story.ada.token;
    format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n{rest}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_end_is_in_doubt_is_refused_and_nothing_after_it_is_read() {
    let story = Story::begin().await;
    let address = story.world.url.strip_prefix("http://").expect("a URL");
    let hidden = hidden(&story, address);
    let rows = Rows::of(&story.world).await;
    let before = rows.all().await;
    for (what, rest) in doubtful() {
        // On a route that reads its body, and on one that has none.
        for line in ["POST /v1/wallets", "GET /v1/me"] {
            let first = first(&story, address, line, &rest);
            let answer = answers_to(address, format!("{first}{hidden}").as_bytes());
            let answers: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).collect();
            // Chunks come after a head that is good. While the request is worked on, the connection goes without
            // an answer; and what was wrong with a body that nobody reads, nobody has seen.
            let is_of_chunk = rest.starts_with("Transfer-Encoding: chunked\r\n\r\n");
            let is_refused = match answers[..] {
                [] => is_of_chunk,
                [only] => only.starts_with("400 ") || (is_of_chunk && line.starts_with("GET")),
                _ => false,
            };
            assert!(is_refused, "{what}, {line}: {answer}");
        }
    }
    rows.unchanged(&before, "what was hidden").await;
    // Where nothing is in doubt, what follows is a request as the first was.
    let last = hidden.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    for rest in [
        "Content-Length: 5\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\n0\r\n0\r\n\r\n",
    ] {
        let first = first(&story, address, "POST /v1/wallets", rest);
        let answer = answers_to(address, format!("{first}{last}").as_bytes());
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{rest}: {answer}");
    }
}

/// RFC 9112, section 3.2: without a host, or in the words of an older HTTP, it is not ours to guess.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_http_is_refused() {
    let story = Story::begin().await;
    let address = story.world.url.strip_prefix("http://").expect("a URL");
    for odd in [
        "GET /v1/me HTTP/1.1\r\n\r\n",
        "GET /v1/me HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /v1/me\r\n\r\n",
        "GET  /v1/me HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v1/me HTTP/1.1 \r\nHost: a\r\n\r\n",
        "G\0T /v1/me HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /v1/auth/login HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n",
    ] {
        let answer = answers_to(address, odd.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{odd:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{odd:?}: {answer}");
    }
    // A head without end is not kept.
    let endless = format!(
        "GET /v1/me HTTP/1.1\r\nHost: {address}\r\n{}",
        "X-Odd: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(4_000)
    );
    let answer = answers_to(address, endless.as_bytes());
    let refused = ["HTTP/1.1 431 ", "HTTP/1.1 400 "];
    assert!(refused.iter().any(|it| answer.starts_with(it)), "{answer}");
    let asks = story.world.http.get(format!("{}/v1/me", story.world.url));
    Answer::to(asks).await.problem(401, "unauthorized");
}
