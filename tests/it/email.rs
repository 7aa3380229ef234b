//! Mail goes out by a real mail server; what is not taken says why, to programs by its cause and to operators in words.

/// What an operator sees of it.
mod command;
/// What stands between us and the mail server.
mod wire;

use std::path::Path;

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use wealth_companion::clock::{Clock, Ids};
use wealth_companion::mail::{Cause, Fault, Mail, Mailer};

use crate::support::config_with;
use crate::support::stack::Stack;
use wire::{Wire, server_that_says};

/// A mailer of these settings, beside those of the stack's server.
fn mailer(set: &[(&str, &str)]) -> Mailer {
    let stack = Stack::get();
    let mut all = vec![
        ("email.smtp_url", stack.text("/smtp/url")),
        ("email.ca_file", stack.text("/smtp/ca_file")),
        ("email.from", "The books <books@example.com>"),
        ("email.public_url", "https://books.example.com"),
    ];
    all.extend(set);
    let mailer = Mailer::new(&config_with(&all).email).expect("a mailer");
    mailer.expect("a server is named")
}

/// A mail to somebody whom no other test writes to.
fn mail(name: &str) -> Mail {
    let id = Ids::system().v7(Clock::system().now());
    Mail {
        to: format!("{name}-{id}@example.com"),
        id,
        subject: "Café: 80 % reached".to_owned(),
        text: "90.00 of 100.00 EUR are spent.\nÀ bientôt\n.\nThe end\n".to_owned(),
        unsubscribe: None,
    }
}

/// Whose bytes are written as `%XX` in the name of the folder of an address.
const STRANGE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'@').remove(b'.').remove(b'-');

/// What has come for somebody, in the order in which it came.
fn came_for(address: &str) -> Vec<Value> {
    let folder = utf8_percent_encode(address, STRANGE).to_string();
    let folder = Path::new(Stack::get().text("/smtp/mails")).join(folder);
    let texts = (0..).map_while(|number| {
        let path = folder.join(format!("{number}.json"));
        std::fs::read_to_string(path).ok()
    });
    texts
        .map(|text| serde_json::from_str(&text).expect("JSON"))
        .collect()
}

/// What it was not taken for.
fn cause(told: Result<(), Fault>) -> Cause {
    told.expect_err("it is not taken").cause
}

#[tokio::test]
async fn a_mail_comes_by_either_kind_of_tls_as_it_was_written() {
    let at: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().expect("a time");
    for url in ["/smtp/url", "/smtp/tls_url"] {
        let mailer = mailer(&[("email.smtp_url", Stack::get().text(url))]);
        let mailer = mailer.with_clock(Clock::fixed(at));
        let mut mail = mail("ada");
        let unsubscribe = format!(
            "https://books.example.com/v1/unsubscribe?token={}",
            "abc".repeat(40)
        );
        mail.unsubscribe = Some(unsubscribe.clone());
        mailer.send(&mail).await.expect("taken");

        let came = came_for(&mail.to);
        assert_eq!(came.len(), 1, "{url}");
        assert_eq!(came[0]["from"], "books@example.com");
        assert_eq!(came[0]["to"], json!([mail.to]));
        let headers = &came[0]["headers"];
        for (name, value) in [
            ("from", "The books <books@example.com>"),
            ("to", &*mail.to),
            ("subject", &*mail.subject),
            ("date", "Sun, 01 Mar 2026 12:00:00 +0000"),
            ("message-id", &*format!("<{}@example.com>", mail.id)),
            ("auto-submitted", "auto-generated"),
            ("list-unsubscribe", &*format!("<{unsubscribe}>")),
            ("list-unsubscribe-post", "List-Unsubscribe=One-Click"),
            ("mime-version", "1.0"),
            ("content-type", "text/plain; charset=\"utf-8\""),
        ] {
            assert_eq!(headers[name], value, "{name}: {}", came[0]);
        }
        // The same lines, that of a dot alone among them; there are empty ones behind.
        let text = came[0]["text"].as_str().expect("a text");
        let text = text.replace("\r\n", "\n");
        assert_eq!(text.trim_end(), mail.text.trim_end());
    }
}

#[tokio::test]
async fn starttls_is_taken_where_it_is_offered() {
    let url = format!("{}?tls=opportunistic", Stack::get().text("/smtp/url"));
    let mail = mail("bea");
    // The server signs nobody in before.
    let told = mailer(&[("email.smtp_url", &url)]).send(&mail).await;
    assert_eq!(told, Ok(()));
    assert_eq!(came_for(&mail.to).len(), 1);
}

#[tokio::test]
async fn an_address_may_have_letters_of_any_alphabet_and_quotes() {
    let mailer = mailer(&[]);
    let mail = mail("x");
    for to in [
        format!("jörg-{}@example.com", mail.id),
        format!("\"j, rg-{}\"@example.com", mail.id),
    ] {
        let mail = Mail { to, ..mail.clone() };
        let mailer = mailer.clone();
        let sent = tokio::spawn(async move { (mailer.send(&mail).await, mail.to) });
        let (told, to) = sent.await.expect("it does not panic");
        assert_eq!(told, Ok(()), "{to}");
        let came = came_for(&to);
        assert_eq!(came.len(), 1, "{to}");
        assert_eq!(came[0]["to"], json!([to]));
    }
}

#[tokio::test]
async fn nothing_is_said_to_whom_is_not_trusted() {
    let stack = Stack::get();
    for url in ["/smtp/url", "/smtp/tls_url"] {
        let public = [("email.smtp_url", stack.text(url)), ("email.ca_file", "")];
        let mail = mail("bob");
        let told = mailer(&public).send(&mail).await;
        assert_eq!(cause(told.clone()), Cause::Tls, "{url}");
        let said = told.expect_err("a fault").to_string();
        assert!(said.contains("UnknownIssuer"), "{said}");
        assert_eq!(came_for(&mail.to), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_scheme_that_does_not_fit_the_port_is_told() {
    let stack = Stack::get();
    // TLS from the first byte, where the server greets in the clear.
    let port = stack.port("/smtp/port");
    let url = format!("smtps://localhost:{port}");
    let told = mailer(&[("email.smtp_url", &url)]).send(&mail("x")).await;
    assert_eq!(cause(told), Cause::Tls);
    // In the clear, where the server waits for TLS: both wait for the other.
    let port = stack.port("/smtp/tls_port");
    let url = format!("smtp://localhost:{port}");
    let set = [("email.smtp_url", &*url), ("email.timeout_ms", "300")];
    assert_eq!(cause(mailer(&set).send(&mail("x")).await), Cause::Away);
}

#[tokio::test]
async fn a_server_that_does_not_know_us_is_the_operators_matter() {
    let url = Stack::get().text("/smtp/url");
    let (before, host) = url.rsplit_once('@').expect("a user");
    let user = before.rsplit_once(':').expect("a password").0;
    for (url, said) in [
        (
            format!("{user}:S3CR3T@{host}"),
            "the mail server answered 535 5.7.8",
        ),
        (
            format!("smtp://{host}"),
            "the mail server answered 530 5.7.0",
        ),
    ] {
        let mail = mail("carol");
        let told = mailer(&[("email.smtp_url", &url)]).send(&mail).await;
        let fault = told.expect_err("it is not taken");
        assert_eq!(
            (fault.cause, fault.to_string().as_str()),
            (Cause::SignIn, said)
        );
        assert_eq!(came_for(&mail.to), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn what_is_refused_passes_or_is_of_the_address_or_of_us() {
    let mailer = mailer(&[]);
    for (name, cause, said) in [
        (
            "bounce-550",
            Cause::Refused { code: 550 },
            "the mail server answered 550 5.1.1",
        ),
        (
            "bounce-552",
            Cause::Refused { code: 552 },
            "the mail server answered 552 5.2.2",
        ),
        (
            "bounce-521",
            Cause::Refused { code: 521 },
            "the mail server answered 521",
        ),
        (
            "bounce-554",
            Cause::SignIn,
            "the mail server answered 554 5.7.1",
        ),
        (
            "later-451",
            Cause::Away,
            "the mail server answered 451 4.7.1",
        ),
        ("later-421", Cause::Away, "the mail server answered 421"),
    ] {
        let mail = mail(name);
        let fault = mailer.send(&mail).await.expect_err(name);
        // The server has said whom it is about.
        assert_eq!((fault.cause, fault.to_string().as_str()), (cause, said));
        assert!(!format!("{fault:?}").contains(&mail.to), "{fault:?}");
        assert_eq!(came_for(&mail.to), Vec::<Value>::new());
    }
    let greylisted = mail("first-451");
    assert_eq!(cause(mailer.send(&greylisted).await), Cause::Away);
    assert_eq!(mailer.send(&greylisted).await, Ok(()));
    assert_eq!(came_for(&greylisted.to).len(), 1);
}

#[tokio::test]
async fn what_is_no_mail_is_sent_to_nobody() {
    let free = wire::nobody().await;
    let mailer = mailer(&[("email.smtp_url", &free)]);
    let with_to = |to: &str| Mail {
        to: to.to_owned(),
        ..mail("x")
    };
    let subject = Mail {
        subject: "Hello\r\nBcc: eve@example.com".to_owned(),
        ..mail("x")
    };
    let unsubscribe = |url: &str| Mail {
        unsubscribe: Some(url.to_owned()),
        ..mail("x")
    };
    for mail in [
        with_to(""),
        with_to("nobody"),
        with_to("Ann <ann@example.com>"),
        with_to("a@example.com, b@example.com"),
        with_to("a@example.com\r\nBcc: eve@example.com"),
        with_to("a@example.com>\r\nRCPT TO:<eve@example.com"),
        with_to("\"a\r\n\"@example.com"),
        subject,
        unsubscribe("http://x.example.com"),
        unsubscribe("https://x\r\nBcc: eve@example.com"),
        unsubscribe("https://x>, <https://eve.example.com"),
    ] {
        let told = mailer.send(&mail).await;
        assert_eq!(cause(told), Cause::Unsendable, "{mail:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_hangs_or_has_no_tls_says_so_in_time() {
    let silent = server_that_says(&[]).await;
    let slow = server_that_says(&["220 hello"]).await;
    for url in [wire::nobody().await, silent, slow] {
        let set = [("email.smtp_url", &*url), ("email.timeout_ms", "300")];
        assert_eq!(
            cause(mailer(&set).send(&mail("x")).await),
            Cause::Away,
            "{url}"
        );
    }
    // Neither is our name told in the clear, nor a mail.
    let url = server_that_says(&["220 hello", "250-hello\r\n250 AUTH PLAIN", "221 bye"]).await;
    let told = mailer(&[("email.smtp_url", &url)]).send(&mail("x")).await;
    assert_eq!(cause(told.clone()), Cause::Tls);
    let said = told.expect_err("a fault").to_string();
    assert_eq!(said, "the mail server does not offer STARTTLS");
    // It speaks something else.
    let url = server_that_says(&["HTTP/1.1 400 Bad Request", "", ""]).await;
    let told = mailer(&[("email.smtp_url", &url)]).send(&mail("x")).await;
    assert_eq!(cause(told), Cause::Away);
    // There is no such host.
    let nowhere = [("email.smtp_url", "smtps://mail.invalid")];
    assert_eq!(cause(mailer(&nowhere).send(&mail("x")).await), Cause::Away);
}

#[tokio::test]
async fn a_conversation_that_was_given_up_is_over() {
    let wire = Wire::start().await;
    let mailer = mailer(&[("email.smtp_url", &*wire.url), ("email.timeout_ms", "3000")]);
    let before = mail("dora");
    assert_eq!(mailer.send(&before).await, Ok(()));
    assert_eq!(cause(mailer.send(&mail("hang")).await), Cause::Away);
    // It was the same connection until then, and is another one since: nobody takes the answer to what was asked
    // before for their own.
    assert_eq!(wire.connections(), 1);
    let refused = mailer.send(&mail("bounce-550")).await;
    assert_eq!(cause(refused), Cause::Refused { code: 550 });
    let after = mail("dora");
    assert_eq!(mailer.send(&after).await, Ok(()));
    assert_eq!(came_for(&after.to).len(), 1);
}

#[tokio::test]
async fn connections_are_few_are_used_again_and_made_anew_when_they_break() {
    let wire = Wire::start().await;
    let mailer = mailer(&[("email.smtp_url", &*wire.url)]);
    for _ in 0..3 {
        assert_eq!(mailer.send(&mail("emil")).await, Ok(()));
    }
    assert_eq!(wire.connections(), 1);
    wire.cut();
    assert_eq!(mailer.send(&mail("emil")).await, Ok(()));
    assert_eq!(wire.connections(), 2);
    wire.cut();

    let mails: Vec<Mail> = (0..16)
        .map(|number| mail(&format!("fay-{number}")))
        .collect();
    let sent = mails.iter().map(|mail| mailer.send(mail));
    assert_eq!(futures_util::future::join_all(sent).await, vec![Ok(()); 16]);
    assert!(wire.connections() <= 2 + 4, "{}", wire.connections());
    for mail in mails {
        let came = came_for(&mail.to);
        assert_eq!(came.len(), 1);
        let id = format!("<{}@example.com>", mail.id);
        assert_eq!(came[0]["headers"]["message-id"], *id);
    }
}

#[test]
fn without_a_server_there_is_no_mail_and_a_file_of_no_certificates_is_told() {
    let none = Mailer::new(&config_with(&[]).email).expect("it is no fault");
    assert!(none.is_none());
    let folder = tempfile::TempDir::new().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing\n").expect("a file");
    for (file, said) in [
        (&*folder.path().join("none.pem"), "No such file"),
        (&*empty, "there is no certificate in it"),
    ] {
        let file = file.to_str().expect("UTF-8");
        let config = config_with(&[
            ("email.smtp_url", "smtps://ann:S3CR3T@mail.example.com"),
            ("email.from", "books@example.com"),
            ("email.public_url", "https://books.example.com"),
            ("email.ca_file", file),
        ]);
        let told = Mailer::new(&config.email).map(drop).expect_err("a fault");
        let told = format!("{told:#}");
        assert!(
            told.starts_with("email.ca_file: ") && told.contains(said),
            "{told}"
        );
        assert!(!told.contains("S3CR3T"), "{told}");
    }
}
