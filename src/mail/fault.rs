//! Why mail was not taken. Nothing here repeats an address, a password, or what a server says in words, which may.

use std::borrow::Cow;
use std::error::Error as _;
use std::io;

use lettre::transport::smtp::Error as SmtpError;

/// Characters of what the TLS library says of a certificate, at the most.
const REASON_CHARS_MAX: usize = 200;
/// Replies to the sender, whoever the mail is for: commands out of place, and "sign in first" (RFC 5321, 4.2.3; RFC
/// 4954, 6).
const OF_THE_SENDER: [u16; 8] = [500, 502, 503, 504, 530, 534, 535, 538];

/// Why mail was not taken. Displays as a sentence without its end, for operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// What kind it is of.
    pub cause: Cause,
    what: Cow<'static, str>,
}

/// The kinds of reasons, by what there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection, no answer in time, or "later" (4xx): it passes.
    Away,
    /// Nobody who is trusted, or nothing in secret: until the operator mends it, on either side.
    Tls,
    /// The server does not let us send: not this user, this password or this sender. Until the operator mends it.
    SignIn,
    /// The server takes nothing for this address (5xx): it has bounced.
    Refused {
        /// The code of its reply.
        code: u16,
    },
    /// It cannot be written: the address is none, or the server does not know its letters.
    Unsendable,
}

/// How far the conversation with the server was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Before it was known who it is: the name, the connection, what is encrypted from the first byte, greetings.
    Connect,
    /// `STARTTLS` and what follows.
    StartTls,
    /// `AUTH`.
    SignIn,
    /// The mail.
    Send,
}

impl Fault {
    fn new(cause: Cause, what: impl Into<Cow<'static, str>>) -> Self {
        let what = what.into();
        Self { cause, what }
    }

    pub(super) fn unsendable(what: &'static str) -> Self {
        Self::new(Cause::Unsendable, what)
    }

    pub(super) fn late() -> Self {
        Self::new(Cause::Away, "the mail server did not answer in time")
    }

    /// Reads what the library tells.
    pub(super) fn of(step: Step, error: &SmtpError) -> Self {
        if let Some(code) = error.status() {
            let words = error.source().map(ToString::to_string);
            return Self::of_reply(step, code.into(), words.as_deref().unwrap_or_default());
        }
        if let Some(reason) = tls_reason(error) {
            return Self::new(Cause::Tls, format!("TLS has failed: {reason}"));
        }
        match step {
            Step::StartTls if error.is_client() => {
                Self::new(Cause::Tls, "the mail server does not offer STARTTLS")
            }
            Step::SignIn if error.is_client() => Self::new(
                Cause::SignIn,
                "the mail server knows no way to sign in that we know (PLAIN, LOGIN)",
            ),
            Step::Send if error.is_client() => Self::unsendable(
                "the mail server does not take letters outside of ASCII in an address",
            ),
            Step::Connect => Self::new(Cause::Away, "the mail server cannot be reached"),
            _ => Self::new(Cause::Away, "the connection to the mail server broke"),
        }
    }

    fn of_reply(step: Step, code: u16, words: &str) -> Self {
        let status = enhanced_status(words);
        let told = status.map_or_else(String::new, |[class, subject, detail]| {
            format!(" {class}.{subject}.{detail}")
        });
        let cause = match (step, code) {
            (Step::StartTls, _) => Cause::Tls,
            (_, 400..500) => Cause::Away,
            (Step::Connect | Step::SignIn, _) => Cause::SignIn,
            (Step::Send, code) if is_of_the_sender(code, status) => Cause::SignIn,
            (Step::Send, code) => Cause::Refused { code },
        };
        Self::new(cause, format!("the mail server answered {code}{told}"))
    }
}

/// Whether a refusal would meet mail for others too. To take it for a bounce would end mail for all of them.
fn is_of_the_sender(code: u16, status: Option<[u16; 3]>) -> bool {
    match status {
        // The sender's address, protocol, and what is not allowed: to relay, most often (RFC 3463, 3).
        Some([_, 1, 7 | 8] | [_, 5 | 7, _]) => true,
        // It is the server that is precise.
        Some(_) => false,
        None => OF_THE_SENDER.contains(&code),
    }
}

/// `5.1.1` at the beginning of a reply's words (RFC 2034).
fn enhanced_status(words: &str) -> Option<[u16; 3]> {
    let mut numbers = words.split_whitespace().next()?.split('.');
    let mut next = || numbers.next()?.parse().ok();
    let status = [next()?, next()?, next()?];
    numbers.next().is_none().then_some(status)
}

/// What rustls has to say, which comes as what cannot be read of a stream: the peer, its certificate, its bytes.
fn tls_reason(error: &SmtpError) -> Option<String> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let reason = error
                .get_ref()
                .filter(|_| error.kind() == io::ErrorKind::InvalidData)?;
            let reason = reason.to_string();
            let shown = reason.chars().filter(|c| !c.is_control());
            return Some(shown.take(REASON_CHARS_MAX).collect());
        }
        source = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Cause, Fault, Step};

    #[test]
    fn replies_are_of_the_address_of_the_sender_or_pass() {
        let refused = |code| Cause::Refused { code };
        for (step, code, words, cause) in [
            (Step::Send, 550, "5.1.1 no such user", refused(550)),
            (Step::Send, 550, "no such user", refused(550)),
            (Step::Send, 552, "5.2.2 full", refused(552)),
            (
                Step::Send,
                550,
                "5.4.1 Recipient address rejected",
                refused(550),
            ),
            (Step::Send, 501, "5.1.3 bad syntax", refused(501)),
            (Step::Send, 451, "4.7.1 greylisted", Cause::Away),
            (Step::Send, 421, "bye", Cause::Away),
            (Step::Send, 530, "5.7.0 sign in first", Cause::SignIn),
            (Step::Send, 554, "5.7.1 relay access denied", Cause::SignIn),
            (Step::Send, 550, "5.1.8 sender is nobody", Cause::SignIn),
            (Step::Send, 503, "bad sequence", Cause::SignIn),
            (Step::SignIn, 535, "5.7.8 wrong", Cause::SignIn),
            (Step::SignIn, 454, "4.7.0 later", Cause::Away),
            (Step::Connect, 554, "not you", Cause::SignIn),
            (Step::Connect, 421, "busy", Cause::Away),
            (Step::StartTls, 454, "4.7.0 no TLS now", Cause::Tls),
        ] {
            let fault = Fault::of_reply(step, code, words);
            assert_eq!(fault.cause, cause, "{step:?} {code} {words}");
        }
    }

    #[test]
    fn of_what_a_server_says_only_numbers_are_told() {
        for (words, told) in [
            (
                "5.1.1 <ann@example.com> is nobody",
                "the mail server answered 550 5.1.1",
            ),
            ("5.1.1", "the mail server answered 550 5.1.1"),
            ("ann@example.com", "the mail server answered 550"),
            ("5.1 ann@example.com", "the mail server answered 550"),
            ("5.1.1.1 x", "the mail server answered 550"),
            ("", "the mail server answered 550"),
        ] {
            assert_eq!(Fault::of_reply(Step::Send, 550, words).to_string(), told);
        }
    }
}
