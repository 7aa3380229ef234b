//! Mail that goes out: plain text, by SMTP (RFC 5321) to the one server that the operator names.
//!
//! It knows no alerts and no users. Nothing is tried twice: what was not taken says why, and whoever sends decides.
//! Written here, sent over `connections`; `fault` reads what the server made of it.

mod connections;
mod fault;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, SinglePart};
use lettre::{Address, Message};
use uuid::Uuid;

use crate::clock::Clock;
use crate::config;
use connections::Connections;
pub use fault::{Cause, Fault};

/// What mail is sent by. Clones share its connections.
#[derive(Clone)]
pub struct Mailer {
    connections: Arc<Connections>,
    from: Mailbox,
    domain: Arc<str>,
    clock: Clock,
}

/// Plain text for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// To whom: an address, without a name.
    pub to: String,
    /// Becomes the `Message-ID`. What is sent again keeps it, so that who has it already can tell.
    pub id: Uuid,
    /// What it is about, in one line.
    pub subject: String,
    /// What it says; any kind of line ends.
    pub text: String,
    /// An `https:` URL that ends such mail when it is posted to (RFC 8058).
    pub unsubscribe: Option<String>,
}

impl Mailer {
    /// What the configuration names; `None` where it names no server. Nobody is spoken to yet.
    ///
    /// # Errors
    /// The file of certificates cannot be read, or has none; nobody is named whom mail is from.
    pub fn new(config: &config::Email) -> anyhow::Result<Option<Self>> {
        let Some(server) = &config.server else {
            return Ok(None);
        };
        let from = config
            .from
            .as_ref()
            .context("email.from: must say whom mail is from")?;
        let address = address(&from.address).context("email.from: that is no address")?;
        let connections = Connections::new(server, config, from.domain())?;
        Ok(Some(Self {
            connections: Arc::new(connections),
            from: Mailbox::new(from.name.clone(), address),
            domain: from.domain().into(),
            clock: Clock::system(),
        }))
    }

    /// The same, by another clock: mail says when it was sent.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Hands one mail to the server, in the time that `email.timeout_ms` allows once it is its turn: few are
    /// under way at a time.
    ///
    /// # Errors
    /// It was not taken, or nobody knows: a server that does not answer in the end may have taken it all the same.
    pub async fn send(&self, mail: &Mail) -> Result<(), Fault> {
        let message = self.message(mail)?;
        self.connections.send(&message).await
    }

    fn message(&self, mail: &Mail) -> Result<Message, Fault> {
        let plain = |what: &'static str, text: &str| match text.contains(char::is_control) {
            true => Err(Fault::unsendable(what)),
            false => Ok(()),
        };
        plain("the address has control characters", &mail.to)?;
        plain("the subject has control characters", &mail.subject)?;
        let to = address(&mail.to).ok_or_else(|| Fault::unsendable("that is no address"))?;
        // What is read out of the headers again loses the quotes of an address, and is another.
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.clone()])
            .map_err(|_| Fault::unsendable("that is no address"))?;
        let mut message = Message::builder()
            .envelope(envelope)
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&mail.subject)
            .date(SystemTime::from(self.clock.now()))
            .message_id(Some(format!("<{}@{}>", mail.id, self.domain)));
        // A program has written it: nobody answers that they are away (RFC 3834).
        message = with(message, "Auto-Submitted", "auto-generated".to_owned());
        if let Some(url) = &mail.unsubscribe {
            // All that a URL may hold, and nothing that ends the brackets it stands in.
            let is_url = |byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'<' | b'>');
            if !url.starts_with("https://") || !url.bytes().all(is_url) {
                return Err(Fault::unsendable("the URL to unsubscribe is no https: URL"));
            }
            message = with(message, "List-Unsubscribe", format!("<{url}>"));
            message = with(
                message,
                "List-Unsubscribe-Post",
                "List-Unsubscribe=One-Click".to_owned(),
            );
        }
        message
            .singlepart(SinglePart::plain(mail.text.clone()))
            .map_err(|_| Fault::unsendable("it cannot be written as mail"))
    }
}

/// An address that mail goes to or comes from. A domain must be in ASCII, as it is in the DNS: `idna_adapter` 1.0, which
/// is built in, says so of most others as well, but stumbles over some, such as `Aé`.
fn address(text: &str) -> Option<Address> {
    let (_, domain) = text.rsplit_once('@')?;
    if domain.is_ascii() {
        text.parse().ok()
    } else {
        None
    }
}

/// A header whose value is plain ASCII.
fn with(message: MessageBuilder, name: &'static str, value: String) -> MessageBuilder {
    message.raw_header(HeaderValue::new(
        HeaderName::new_from_ascii_str(name),
        value,
    ))
}

/// Shows no address.
impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Mail, Mailer};
    use crate::config::{Config, LoadArgs};
    use crate::mail::Cause;

    fn mailer(from: &str) -> Mailer {
        let args = LoadArgs::new()
            .flag(
                "email.smtp_url",
                "smtps://ann:S3CR3T@mail.example.com",
                "--set",
            )
            .flag("email.from", from, "--set")
            .flag("email.public_url", "https://books.example.com", "--set");
        let config = Config::load(&args).expect("good settings").config;
        Mailer::new(&config.email)
            .expect("a mailer")
            .expect("a server is named")
    }

    /// The names of the headers, in their order.
    fn names(written: &[u8]) -> Vec<String> {
        let text = String::from_utf8(written.to_vec()).expect("UTF-8");
        let (head, _) = text.split_once("\r\n\r\n").expect("an end of the headers");
        let lines = head.split("\r\n");
        let lines = lines.filter(|line| !line.starts_with([' ', '\t']));
        lines
            .map(|line| line.split(':').next().unwrap_or_default().to_owned())
            .collect()
    }

    const NAMES: [&str; 10] = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "MIME-Version",
        "Content-Transfer-Encoding",
    ];

    /// What somebody tries who wants to send mail of their own: line ends of all kinds, names of headers, brackets.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\r\n".to_owned()),
            Just("\n".to_owned()),
            Just("\r".to_owned()),
            Just("\u{2028}".to_owned()),
            Just("\0".to_owned()),
            Just("Bcc: eve@example.com".to_owned()),
            Just("=?utf-8?b?DQo=?=".to_owned()),
            Just(">".to_owned()),
            "\\PC{0,80}",
            "[ -~]{0,80}",
            any::<String>(),
        ];
        proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn a_domain_that_is_not_in_ascii_is_no_address() {
        for to in ["ada@A\u{1b170}[", "ada@Aé.example", "ada@éA.example"] {
            let mail = Mail {
                to: to.to_owned(),
                id: uuid::Uuid::nil(),
                subject: String::new(),
                text: String::new(),
                unsubscribe: None,
            };
            let refused = mailer("a@example.com").message(&mail);
            let fault = refused.expect_err("no address");
            assert_eq!(fault.cause, Cause::Unsendable, "{to}");
        }
    }

    proptest! {
        #[test]
        fn nobody_adds_a_header_or_one_to_whom_it_goes(
            to in prop_oneof![
                Just("ada@example.com".to_owned()),
                hostile(),
                hostile().prop_map(|it| format!("{it}@example.com")),
                hostile().prop_map(|it| format!("\"{it}\"@example.com")),
                hostile().prop_map(|it| format!("ada@{it}")),
            ],
            subject in hostile(),
            text in hostile(),
            unsubscribe in prop_oneof![
                Just("https://example.com/?token=1".to_owned()),
                hostile().prop_map(|it| format!("https://example.com/{it}")),
            ],
        ) {
            let mail = Mail { to, id: uuid::Uuid::nil(), subject, text, unsubscribe: Some(unsubscribe) };
            match mailer("a@example.com").message(&mail) {
                Ok(message) => {
                    let mut names = names(&message.formatted());
                    let mut expected = NAMES.map(str::to_owned).to_vec();
                    expected.push("Content-Type".to_owned());
                    names.sort();
                    expected.sort();
                    prop_assert_eq!(names, expected);
                    let to = message.envelope().to();
                    prop_assert_eq!(to.len(), 1);
                    prop_assert_eq!(to[0].to_string(), mail.to);
                }
                Err(fault) => {
                    prop_assert_eq!(fault.cause, Cause::Unsendable);
                    prop_assert!(mail.to.len() < 5 || !fault.to_string().contains(&mail.to));
                }
            }
        }
    }

    #[test]
    fn a_mailer_shows_neither_its_password_nor_its_user() {
        let shown = format!("{:?}", mailer("Ann <a@example.com>"));
        assert_eq!(shown, "Mailer { .. }");
    }
}
