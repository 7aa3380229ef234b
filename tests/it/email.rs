//! Mail goes out by a real mail server, over TLS alone; what is not taken says why.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::mail::{Cause, Fault, Letter, Mailer};

use crate::support::config_with;
use crate::support::stack::Stack;

/// A mailer of these settings, beside those of the stack's server.
fn mailer(set: &[(&str, &str)]) -> Mailer {
    let stack = Stack::get();
    let mut all = vec![
        ("email.smtp_url", stack.text("/smtp/url")),
        ("email.ca_file", stack.text("/smtp/ca_file")),
        ("email.from", "The books <books@example.com>"),
    ];
    all.extend(set);
    let mailer = Mailer::of(&config_with(&all).email).expect("a mailer");
    mailer.expect("a server is named")
}

/// A letter to somebody whom no other test writes to.
fn letter(name: &str) -> Letter {
    let id = Ids::system().v7(Clock::system().now());
    Letter {
        to: format!("{name}-{id}@example.com"),
        subject: "Café: 80 % reached".to_owned(),
        text: "90.00 of 100.00 EUR are spent.\nÀ bientôt\n.\nThe end\n".to_owned(),
        message_id: format!("{id}@example.com"),
        unsubscribe: None,
    }
}

/// What has come for somebody: sender and text, in the order in which it came.
fn came_for(address: &str) -> Vec<Value> {
    let folder = Path::new(Stack::get().text("/smtp/letters"));
    let mut letters = Vec::new();
    for entry in std::fs::read_dir(folder).expect("letters") {
        let path = entry.expect("an entry").path();
        // One that is written now is not for us: ours were written before the server said so.
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a letter");
        let letter: Value = serde_json::from_str(&text).expect("JSON");
        if letter["to"] == serde_json::json!([address]) {
            letters.push(letter);
        }
    }
    letters
}

/// The headers, with lines that go on put together, and the body.
fn taken_apart(letter: &Value) -> (HashMap<String, String>, String) {
    let text = letter["text"]
        .as_str()
        .expect("a text")
        .replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").expect("a head and a body");
    let head = head.replace("\n ", " ");
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    (headers.collect(), body.to_owned())
}

#[tokio::test]
async fn a_letter_comes_over_either_kind_of_tls_as_it_was_written() {
    for url in ["/smtp/url", "/smtp/tls_url"] {
        let mailer = mailer(&[("email.smtp_url", Stack::get().text(url))]);
        let mut letter = letter("ada");
        let unsubscribe = "https://books.example.com/v1/unsubscribe?token=abc";
        letter.unsubscribe = Some(unsubscribe.to_owned());
        mailer.send(&letter).await.expect("taken");
        let came = came_for(&letter.to);
        assert_eq!(came.len(), 1, "{url}");
        assert_eq!(came[0]["from"], "books@example.com");
        let (headers, body) = taken_apart(&came[0]);
        assert_eq!(headers["from"], "\"The books\" <books@example.com>");
        assert_eq!(headers["to"], letter.to);
        assert_eq!(headers["message-id"], format!("<{}>", letter.message_id));
        assert_eq!(headers["list-unsubscribe"], format!("<{unsubscribe}>"));
        assert_eq!(
            headers["list-unsubscribe-post"],
            "List-Unsubscribe=One-Click"
        );
        assert_eq!(headers["auto-submitted"], "auto-generated");
        assert!(headers.contains_key("date"), "{headers:?}");
        assert!(headers["subject"].starts_with("=?utf-8?"), "{headers:?}");
        assert!(
            headers.contains_key("content-transfer-encoding"),
            "{headers:?}"
        );
        assert!(body.contains("90.00 of 100.00 EUR are spent."), "{body}");
        assert!(
            body.contains("The end"),
            "a line of a dot is not the end: {body}"
        );
    }
}

#[tokio::test]
async fn nothing_is_said_to_whom_is_not_trusted() {
    let stack = Stack::get();
    for url in ["/smtp/url", "/smtp/tls_url"] {
        let public = [("email.smtp_url", stack.text(url)), ("email.ca_file", "")];
        let letter = letter("bob");
        let told = mailer(&public).send(&letter).await;
        assert_eq!(told, Err(Fault::Later(Cause::Tls)), "{url}");
        assert_eq!(came_for(&letter.to), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_us_is_the_operators_matter() {
    let url = Stack::get().text("/smtp/url");
    let (before, host) = url.rsplit_once('@').expect("a user");
    let user = before.rsplit_once(':').expect("a password").0;
    let strangers = [
        (format!("{user}:S3CR3T@{host}"), Cause::SignIn(535)),
        (format!("smtp://{host}"), Cause::SignIn(530)),
    ];
    for (url, cause) in strangers {
        let letter = letter("carol");
        let told = mailer(&[("email.smtp_url", &url)]).send(&letter).await;
        assert_eq!(told, Err(Fault::Later(cause)), "{url}");
        assert_eq!(came_for(&letter.to), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn what_is_not_taken_says_whether_it_may_be_later() {
    let mailer = mailer(&[]);
    let gone = mailer.send(&letter("gone")).await;
    assert_eq!(gone, Err(Fault::Bounced(Cause::Answer(550))));
    let full = mailer.send(&letter("full")).await;
    assert_eq!(full, Err(Fault::Refused(Cause::Answer(552))));
    let busy = letter("busy");
    let told = mailer.send(&busy).await;
    assert_eq!(told, Err(Fault::Later(Cause::Answer(451))));
    assert_eq!(mailer.send(&busy).await, Ok(()));
    assert_eq!(came_for(&busy.to).len(), 1);
    // The connection is as good as before.
    let ada = letter("ada");
    assert_eq!(mailer.send(&ada).await, Ok(()));
    assert_eq!(came_for(&ada.to).len(), 1);
}

#[tokio::test]
async fn what_is_no_letter_is_not_sent() {
    let mailer = mailer(&[]);
    let malformed = [
        Letter {
            to: "nobody".to_owned(),
            ..letter("x")
        },
        Letter {
            to: "a@example.com\r\nBcc: b@example.com".to_owned(),
            ..letter("x")
        },
        Letter {
            subject: "Hello\r\nBcc: b@example.com".to_owned(),
            ..letter("x")
        },
        Letter {
            unsubscribe: Some("https://x\r\nBcc: b@example.com".to_owned()),
            ..letter("x")
        },
    ];
    for letter in malformed {
        let told = mailer.send(&letter).await;
        assert_eq!(told, Err(Fault::Refused(Cause::Malformed)), "{letter:?}");
        assert_eq!(came_for(&letter.to), Vec::<Value>::new());
    }
}

/// A server that says these lines, one at a time, each after one of the client's, and then nothing. A real one has TLS.
async fn server_that_says(lines: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (reads, mut writes) = stream.into_split();
                let mut asked = BufReader::new(reads).lines();
                for line in lines {
                    let line = format!("{line}\r\n");
                    if writes.write_all(line.as_bytes()).await.is_err() {
                        return;
                    }
                    let said = asked.next_line().await.ok().flatten().unwrap_or_default();
                    assert!(!said.contains("AUTH"), "a password in the clear: {said}");
                    assert!(!said.contains("MAIL FROM"), "a letter in the clear: {said}");
                }
                // Until the other side goes.
                while let Ok(Some(_)) = asked.next_line().await {}
            });
        }
    });
    format!("smtp://ada:S3CR3T@{address}")
}

#[tokio::test]
async fn a_server_that_is_away_hangs_or_has_no_tls_is_tried_later() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nobody = format!("smtp://{}", free.local_addr().expect("an address"));
    drop(free);
    let silent = server_that_says(&[]).await;
    let slow = server_that_says(&["220 hello"]).await;
    let in_the_clear =
        server_that_says(&["220 hello", "250-hello\r\n250 AUTH PLAIN", "221 bye"]).await;
    for (url, cause) in [
        (nobody, Cause::Away),
        (silent, Cause::Late),
        (slow, Cause::Late),
        (in_the_clear, Cause::Tls),
    ] {
        let set = [("email.smtp_url", &*url), ("email.timeout_ms", "300")];
        let mailer = mailer(&set);
        let told = tokio::time::timeout(Duration::from_secs(20), mailer.send(&letter("x"))).await;
        assert_eq!(told.expect("in time"), Err(Fault::Later(cause)), "{url}");
    }
}

fn email_test(set: &[(&str, &str)], address: &str) -> (Option<i32>, String) {
    let folder = TempDir::new().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wealth-companion"));
    command.current_dir(folder.path()).env_clear();
    command
        .envs(set.iter().copied())
        .args(["email", "test", address]);
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8(said).expect("UTF-8"),
    )
}

#[test]
fn an_operator_sees_whether_mail_goes_out() {
    let stack = Stack::get();
    let url = ("SMTP_URL", stack.text("/smtp/url"));
    let ca = ("WEALTH__EMAIL__CA_FILE", stack.text("/smtp/ca_file"));
    let to = letter("operator").to;
    let (code, said) = email_test(&[url, ca], &to);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(came_for(&to).len(), 1);
    for (set, to, why) in [
        (vec![], &*to, "set email.smtp_url"),
        (vec![url], &*to, "the certificate is not trusted"),
        (
            vec![url, ca],
            "gone@example.com",
            "the address takes no mail",
        ),
        (vec![url, ca], "gone", "malformed"),
        (vec![("SMTP_URL", "http://x")], &*to, "smtp"),
    ] {
        let (code, said) = email_test(&set, to);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why), "{said}");
        let password = url.1.split([':', '@']).nth(2).expect("a password");
        assert!(!said.contains(password), "the password is told: {said}");
    }
}
