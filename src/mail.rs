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
        let address: Address = from.address.parse().context("email.from")?;
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
        let to: Address = mail
            .to
            .parse()
            .map_err(|_| Fault::unsendable("the address is none"))?;
        let mut message = Message::builder()
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
