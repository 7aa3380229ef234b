//! Mail, by SMTP (RFC 5321) to the one server that the operator names, over TLS alone: from the first byte (`smtps:`, RFC 8314)
//! or after `STARTTLS`, which must be offered (`smtp:`).
//!
//! It knows no alerts and no users. Nothing is tried twice: what did not work says whether it may be worth it later.

use std::time::Duration;

use anyhow::Context;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use reqwest::Url;

use crate::config;

/// Where mail is handed in that is encrypted from the first byte, and where it is encrypted later.
const PORT_TLS: u16 = 465;
const PORT_STARTTLS: u16 = 587;
/// Connections to the server at the most, and how long one that nobody uses is kept.
const CONNECTIONS_MAX: u32 = 4;
const IDLE: Duration = Duration::from_secs(60);
/// Refused by its name, for whoever it is for: there is no such mailbox, it has moved, it may not be written to.
/// RFC 5321, 4.2.3.
const OF_THE_ADDRESS: [u16; 4] = [550, 551, 553, 556];
/// It does not know us, or wants to: that is the operator's matter, whoever the letter is for. RFC 4954, 6.
const OF_THE_SENDER: [u16; 5] = [502, 530, 534, 535, 538];

/// The server that takes our mail.
#[derive(Debug, Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// A letter: plain text, to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// To whom: an address.
    pub to: String,
    /// What it is about, in a line.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// Its `Message-ID`, without angle brackets. One that is sent again has the same, so that it is shown once.
    pub message_id: String,
    /// Where one may ask for no more of them, with a click (RFC 8058).
    pub unsubscribe: Option<String>,
}

/// Why a letter was not taken. It does not say whose it was, nor what the server has said, which may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not now: the server is away, too busy, or does not accept us.
    #[error("not now: {0}")]
    Later(Cause),
    /// Nothing is taken for this address.
    #[error("the address takes no mail: {0}")]
    Bounced(Cause),
    /// This letter will never be taken.
    #[error("the letter is not taken: {0}")]
    Refused(Cause),
}

/// What it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No connection, or it broke.
    #[error("the mail server cannot be reached, or the connection broke")]
    Away,
    /// No answer in time.
    #[error("the mail server did not answer in time")]
    Late,
    /// No TLS, or a certificate that is not trusted.
    #[error("no TLS: the certificate is not trusted, or is another's; or the server has none")]
    Tls,
    /// It does not let us in.
    #[error("the mail server does not accept the user, the password or the sender (SMTP {0})")]
    SignIn(u16),
    /// Another answer.
    #[error("the mail server answered SMTP {0}")]
    Answer(u16),
    /// What is to be sent is no letter.
    #[error("the address, the subject or the text is malformed")]
    Malformed,
}

impl Mailer {
    /// The one of the configuration; none where no server is named.
    ///
    /// # Errors
    /// The certificates cannot be read; the sender is no address; the URL is none.
    pub fn of(config: &config::Email) -> anyhow::Result<Option<Self>> {
        let Some(url) = &config.smtp_url else {
            return Ok(None);
        };
        let url = Url::parse(url.expose()).context("email.smtp_url")?;
        let host = url.host_str().context("email.smtp_url: it has no host")?;
        let mut trust = TlsParameters::builder(host.to_owned());
        if let Some(file) = &config.ca_file {
            let text = std::fs::read(file)
                .with_context(|| format!("email.ca_file: {}", file.display()))?;
            // It alone.
            trust = trust.certificate_store(CertificateStore::None);
            trust = trust.add_root_certificate(
                Certificate::from_pem(&text).context("email.ca_file: it is no certificate")?,
            );
        }
        let trust = trust.build().context("email.smtp_url: TLS")?;
        let (port, tls) = match url.scheme() {
            "smtps" => (PORT_TLS, Tls::Wrapper(trust)),
            _ => (PORT_STARTTLS, Tls::Required(trust)),
        };
        let pool = PoolConfig::new()
            .max_size(CONNECTIONS_MAX)
            .idle_timeout(IDLE);
        // User and password are taken out of it.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str())
            .context("email.smtp_url")?
            .port(url.port().unwrap_or(port))
            .tls(tls)
            .timeout(Some(config.timeout))
            .pool_config(pool)
            .build();
        let from = config.from.parse().context("email.from: no address")?;
        Ok(Some(Self { transport, from }))
    }

    /// Hands a letter to the server.
    ///
    /// # Errors
    /// It was not taken.
    pub async fn send(&self, letter: &Letter) -> Result<(), Fault> {
        let message = self
            .message(letter)
            .ok_or(Fault::Refused(Cause::Malformed))?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(fault(&error)),
        }
    }

    fn message(&self, letter: &Letter) -> Option<Message> {
        let to: Address = letter.to.parse().ok()?;
        if letter.subject.contains(['\r', '\n']) {
            return None;
        }
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&letter.subject)
            .message_id(Some(format!("<{}>", letter.message_id)));
        // A program has written it: nobody answers that they are away (RFC 3834).
        message = with(message, "Auto-Submitted", "auto-generated")?;
        if let Some(url) = &letter.unsubscribe {
            message = with(message, "List-Unsubscribe", &format!("<{url}>"))?;
            message = with(
                message,
                "List-Unsubscribe-Post",
                "List-Unsubscribe=One-Click",
            )?;
        }
        message.body(letter.text.clone()).ok()
    }
}

fn with(message: MessageBuilder, name: &'static str, value: &str) -> Option<MessageBuilder> {
    let name = HeaderName::new_from_ascii(name.to_owned()).ok()?;
    let is_plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    is_plain.then(|| message.raw_header(HeaderValue::new(name, value.to_owned())))
}

fn fault(error: &SmtpError) -> Fault {
    let Some(code) = error.status().map(u16::from) else {
        return match error {
            error if error.is_timeout() => Fault::Later(Cause::Late),
            error if error.is_tls() => Fault::Later(Cause::Tls),
            error if error.is_client() => Fault::Refused(Cause::Malformed),
            _ => Fault::Later(Cause::Away),
        };
    };
    match code {
        code if OF_THE_SENDER.contains(&code) => Fault::Later(Cause::SignIn(code)),
        code if OF_THE_ADDRESS.contains(&code) => Fault::Bounced(Cause::Answer(code)),
        code if error.is_permanent() => Fault::Refused(Cause::Answer(code)),
        code => Fault::Later(Cause::Answer(code)),
    }
}
