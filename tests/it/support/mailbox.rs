//! Mailboxes of the stack's mail server, each of one person of one story.

use std::collections::HashMap;
use std::path::Path;

use chrono::TimeDelta;
use serde::Deserialize;
use wealth_companion::clock::Ids;
use wealth_companion::links::{CONFIRM_PATH, Links};

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

/// What makes links as the server of this world does.
pub(crate) fn links_of(world: &World) -> Links {
    let file = world.data_dir.path().join("jwt_secret_key");
    let key = match stack::on_postgres() {
        true => stack::SIGNING_KEY.to_owned(),
        false => std::fs::read_to_string(file).expect("a key"),
    };
    let config = super::config_with(&[("auth.jwt_secret_key", &key)]);
    Links::new(&config.auth.signing_keys)
}

/// The token of the link in the person's mails.
pub(crate) fn token_of(world: &World, person: &Person) -> String {
    let user_id = person.id.parse().expect("an id");
    token_in(links_of(world).unsubscribe("", user_id))
}

/// The token of a link by which the person confirms this address, good for a day.
pub(crate) fn confirmation_of(world: &World, person: &Person, email: &str) -> String {
    let (user_id, ends_at) = (
        person.id.parse().expect("an id"),
        world.clock.now() + TimeDelta::days(1),
    );
    token_in(links_of(world).confirm("", user_id, email, ends_at))
}

fn token_in(link: Option<String>) -> String {
    let link = link.expect("a link");
    link.split_once('=').expect("a token").1.to_owned()
}

/// A mail as it came.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Letter {
    /// By their names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) text: String,
}

impl Letter {
    /// Where the link leads that asks whether the address is its user's: a path, with the token. None of an alert.
    pub(crate) fn question(&self) -> Option<&str> {
        let links = self.text.lines();
        let mut paths = links.filter_map(|line| line.strip_prefix(PUBLIC_URL));
        paths.find(|path| path.starts_with(CONFIRM_PATH))
    }
}

/// What has come for an address of the stack's server, in the order in which it came.
pub(crate) fn came_for(stack: &Stack, address: &str) -> Vec<Letter> {
    let folder = Path::new(stack.text("/smtp/mails")).join(address);
    let texts = (0..).map_while(|number| {
        let path = folder.join(format!("{number}.json"));
        std::fs::read_to_string(path).ok()
    });
    texts
        .map(|text| serde_json::from_str(&text).expect("JSON"))
        .collect()
}
