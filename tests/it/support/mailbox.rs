//! Mailboxes of the stack's mail server, each of one person of one story.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};
use wealth_companion::clock::Ids;
use wealth_companion::links::Links;

use super::{Person, Stack, World, stack};

/// Where people reach the API, as the links of mails have it.
pub(crate) const PUBLIC_URL: &str = "https://books.example.com";

/// What a server needs to send mail by these parts.
pub(crate) fn settings(stack: &Stack) -> Vec<(&'static str, String)> {
    vec![
        ("email.smtp_url", stack.text("/smtp/url").to_owned()),
        ("email.ca_file", stack.text("/smtp/ca_file").to_owned()),
        ("email.from", "The books <books@example.com>".to_owned()),
        ("email.public_url", PUBLIC_URL.to_owned()),
    ]
}

/// The same, as settings are given.
pub(crate) fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let settings = settings.iter();
    settings.map(|(key, value)| (*key, &**value)).collect()
}

/// A name that nobody else has; what the server makes of mail for it depends on how it begins.
pub(crate) fn name(like: &str) -> String {
    format!("{like}-{}", Ids::system().v4().simple())
}

/// The token of the link in the person's mails.
pub(crate) fn token_of(world: &World, person: &Person) -> String {
    let file = world.data_dir.path().join("jwt_secret_key");
    let key = match stack::on_postgres() {
        true => stack::SIGNING_KEY.to_owned(),
        false => std::fs::read_to_string(file).expect("a key"),
    };
    let config = super::config_with(&[("auth.jwt_secret_key", &key)]);
    let links = Links::new(&config.auth.signing_keys);
    let link = links.unsubscribe("", person.id.parse().expect("an id"));
    let link = link.expect("a link");
    link.split_once('=').expect("a token").1.to_owned()
}

/// A mail as it came.
#[derive(Debug)]
pub(crate) struct Letter {
    /// By their names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// With line ends of Unix.
    pub(crate) body: String,
}

impl Letter {
    fn of(text: &str) -> Self {
        let text = text.replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").expect("a head and a body");
        // Lines that go on.
        let head = head.replace("\n ", " ");
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        Self {
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: body.replace("=\n", ""),
        }
    }
}

/// What has come for an address of the stack's server.
pub(crate) fn came_for(stack: &Stack, address: &str) -> Vec<Letter> {
    let folder = Path::new(stack.text("/smtp/letters"));
    let mut letters = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        // One that is written now is not for us: ours were written before the server said so.
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a letter");
        let letter: Value = serde_json::from_str(&text).expect("JSON");
        if letter["to"] == json!([address]) {
            letters.push(Letter::of(letter["text"].as_str().expect("a text")));
        }
    }
    letters
}
