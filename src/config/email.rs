//! What `[email]` names: the server that takes mail, and whom it is from.

use std::fmt;

use email_address::{EmailAddress, Options};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use secrecy::SecretString;

/// Where mail is handed in that is encrypted from the first byte (RFC 8314), and where it is not (RFC 6409).
const PORT_TLS: u16 = 465;
const PORT_SUBMISSION: u16 = 587;

/// A mail server, as a URL names it.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    /// Its name or its address; one of IPv6 without brackets.
    pub host: String,
    /// The port, by its scheme if the URL names none.
    pub port: u16,
    /// When it is spoken to in secret.
    pub encryption: Encryption,
    /// Who we are to it; `None` does not sign in.
    pub login: Option<Login>,
}

/// When a mail server is spoken to in secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte.
    Always,
    /// After `STARTTLS`, or not at all.
    StartTls,
    /// After `STARTTLS` if that is offered, else never.
    IfOffered,
    /// Never.
    Never,
}

impl Encryption {
    /// Whether nothing but greetings goes over the wire in the clear.
    #[must_use]
    pub fn is_certain(self) -> bool {
        matches!(self, Self::Always | Self::StartTls)
    }
}

/// Who we are to a mail server.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// Shows neither: the user is somebody's address often.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl SmtpServer {
    /// Reads a URL. What is wrong with it is told without its parts, which may be a password.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| FORM)?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(FORM)?.trim_matches(['[', ']']).to_owned();
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(FORM);
        }
        let encryption = encryption(&url)?;
        let port = url.port().unwrap_or(match encryption {
            Encryption::Always => PORT_TLS,
            _ => PORT_SUBMISSION,
        });
        if port == 0 {
            return Err(FORM);
        }
        let login = login(&url)?;
        Ok(Self {
            host,
            port,
            encryption,
            login,
        })
    }
}

const FORM: &str = "is not a URL of the form smtps://USER:PASSWORD@HOST:PORT or \
     smtp://USER:PASSWORD@HOST:PORT?tls=required, with what is no letter and no digit in the \
     password as %XX";

fn encryption(url: &Url) -> Result<Encryption, &'static str> {
    match (url.scheme(), url.query()) {
        ("smtps", None) => Ok(Encryption::Always),
        ("smtps", Some(_)) => Err("smtps: is always encrypted: nothing may follow the port"),
        (_, None | Some("tls=required")) => Ok(Encryption::StartTls),
        (_, Some("tls=opportunistic")) => Ok(Encryption::IfOffered),
        (_, Some("tls=none")) => Ok(Encryption::Never),
        _ => Err("may end with ?tls=required, ?tls=opportunistic or ?tls=none, and nothing else"),
    }
}

fn login(url: &Url) -> Result<Option<Login>, &'static str> {
    let decoded = |part| percent_decode_str(part).decode_utf8().map_err(|_| FORM);
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None | Some("")) => Err("needs a user and a password, or neither"),
        (user, Some(password)) => Ok(Some(Login {
            user: decoded(user)?.into_owned(),
            password: SecretString::from(decoded(password)?.into_owned()),
        })),
    }
}

/// Whom mail is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The name that is shown.
    pub name: Option<String>,
    /// The address.
    pub address: String,
}

impl Sender {
    /// Reads `ADDRESS` or `NAME <ADDRESS>`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, address) = match text.trim().strip_suffix('>') {
            Some(rest) => rest.split_once('<').ok_or(MAILBOX)?,
            None => ("", text.trim()),
        };
        let name = name.trim().trim_matches('"').trim();
        // Every mail server takes such an address.
        let is_plain = address.is_ascii()
            && EmailAddress::parse_with_options(address, Options::default().without_display_text())
                .is_ok();
        if !is_plain || text.chars().any(char::is_control) || name.contains(['<', '>', '"']) {
            return Err(MAILBOX);
        }
        Ok(Self {
            name: (!name.is_empty()).then(|| name.to_owned()),
            address: address.to_owned(),
        })
    }

    /// What follows the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.address
            .rsplit_once('@')
            .map_or("", |(_, domain)| domain)
    }
}

const MAILBOX: &str = "is not of the form no-reply@example.com or \
     Wealth Companion <no-reply@example.com>";

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::{Encryption, Sender, SmtpServer};

    #[test]
    fn a_url_says_where_how_and_as_whom() {
        for (text, host, port, encryption) in [
            (
                "smtps://mail.example.com",
                "mail.example.com",
                465,
                Encryption::Always,
            ),
            ("smtps://h:2465/", "h", 2465, Encryption::Always),
            ("smtp://h", "h", 587, Encryption::StartTls),
            ("SMTP://h?tls=required", "h", 587, Encryption::StartTls),
            (
                "smtp://h:25?tls=opportunistic",
                "h",
                25,
                Encryption::IfOffered,
            ),
            (
                "smtp://127.0.0.1:1025/?tls=none",
                "127.0.0.1",
                1025,
                Encryption::Never,
            ),
            ("smtp://[::1]:1025", "::1", 1025, Encryption::StartTls),
        ] {
            let server = SmtpServer::parse(text).expect(text);
            assert_eq!((server.host.as_str(), server.port), (host, port), "{text}");
            assert_eq!(server.encryption, encryption, "{text}");
            assert!(server.login.is_none(), "{text}");
        }
    }

    #[test]
    fn a_password_is_read_as_it_was_meant_and_never_shown() {
        let server =
            SmtpServer::parse("smtps://ann%40example.com:s3%2Fcr%3A3t@h").expect("a server");
        assert!(!format!("{server:?}").contains("3t"), "{server:?}");
        assert!(!format!("{server:?}").contains("example"), "{server:?}");
        let login = server.login.expect("a login");
        assert_eq!(login.user, "ann@example.com");
        assert_eq!(login.password.expose_secret(), "s3/cr:3t");
    }

    #[test]
    fn what_is_no_server_is_refused_and_not_repeated() {
        for text in [
            "smtp:s3cr3t",
            "smtp://",
            "smtp://ann:s3cr3t@",
            "smtp://ann:s3#cr3t@h",
            "smtp://ann:s3cr3t@h:0",
            "smtp://ann:s3cr3t@h:65536",
            "smtp://ann:s3cr3t@h/s3cr3t",
            "smtp://ann:s3cr3t@h#s3cr3t",
            "smtp://ann:s3cr3t%FF@h",
            "smtp://ann:s3cr3t@h?tls=maybe-s3cr3t",
            "smtp://ann:s3cr3t@h?tls=none&tls=required",
            "smtp://ann:s3cr3t@h?",
            "smtps://ann:s3cr3t@h?tls=required",
            "smtp://:s3cr3t@h",
            "smtp://ann-s3cr3t@h",
            "smtp://ann-s3cr3t:@h",
        ] {
            let fault = SmtpServer::parse(text).expect_err(text);
            assert!(!fault.contains("cr3t"), "{fault}");
        }
    }

    #[test]
    fn a_sender_has_an_address_and_maybe_a_name() {
        for (text, name, address) in [
            ("a@example.com", None, "a@example.com"),
            (" <a@example.com> ", None, "a@example.com"),
            (
                "Wealth Companion <a@example.com>",
                Some("Wealth Companion"),
                "a@example.com",
            ),
            (
                "\"Smith, Ann\" <a@example.com>",
                Some("Smith, Ann"),
                "a@example.com",
            ),
            ("Café <a@example.com>", Some("Café"), "a@example.com"),
        ] {
            let sender = Sender::parse(text).expect(text);
            assert_eq!(
                (sender.name.as_deref(), sender.address.as_str()),
                (name, address)
            );
            assert_eq!(sender.domain(), "example.com");
        }
    }

    #[test]
    fn what_is_no_sender_is_refused() {
        for text in [
            " ",
            "example.com",
            "a@",
            "@example.com",
            "Ann a@example.com",
            "Ann <a@example.com",
            "Ann a@example.com>",
            "Ann <a@example.com> <b@example.com>",
            "a@example.com, b@example.com",
            "Ann\r\nBcc: b@example.com <a@example.com>",
            "Ann <a@example.com\r\nBcc: b@example.com>",
            "é@example.com",
        ] {
            assert!(Sender::parse(text).is_err(), "{text}");
        }
    }
}
