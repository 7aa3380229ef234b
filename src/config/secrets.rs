//! Values that hold secrets: their types never show them, their parsers never repeat them.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// Shorter keys could be guessed by trying (HS256 wants as many bits as it puts out).
const SIGNING_KEY_BYTES_MIN: usize = 32;
const KID_CHARS_MAX: usize = 64;
/// The name of a signing key that is given without one.
const ONLY_KID: &str = "1";
/// What stands in place of a secret part.
const MASK: &str = "***";

/// A URL that may hold a password. Debug and Display show it with `***` in the password's place.
#[derive(Clone)]
pub struct ConnectionUrl(SecretString);

impl ConnectionUrl {
    pub(super) fn new(url: &str) -> Self {
        Self(SecretString::from(url))
    }

    /// The whole URL, password included.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Display for ConnectionUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_url(self.expose()))
    }
}

impl fmt::Debug for ConnectionUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", mask_url(self.expose()))
    }
}

/// A key that signs access tokens.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// Its public name, the `kid` of a token's header: 1 to 64 letters, digits, `-` and `_`.
    pub kid: String,
    /// The secret, at least 32 bytes.
    pub secret: SecretString,
}

/// Why a text is not a list of signing keys. Keys are named by their position: what stands before a
/// colon may well be a part of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SigningKeysError {
    #[error(
        "the secret of key {0} is shorter than {SIGNING_KEY_BYTES_MIN} bytes; \
         make one with `openssl rand -base64 48`"
    )]
    Short(usize),
    #[error("of several keys each needs a name, `kid:secret`; key {0} has none")]
    Nameless(usize),
    #[error("the name of key {0} is not 1 to {KID_CHARS_MAX} letters, digits, `-` and `_`")]
    BadName(usize),
    #[error("key {0} has the name of an earlier key")]
    Duplicate(usize),
}

/// Reads `secret` or `kid:secret,kid2:secret2`; nothing from an empty text. White space around keys
/// is not theirs.
pub(super) fn parse_signing_keys(text: &str) -> Result<Vec<SigningKey>, SigningKeysError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let alone = !text.contains(',');
    let mut keys: Vec<SigningKey> = Vec::new();
    for (entry, number) in text.split(',').zip(1..) {
        let key = parse_signing_key(entry.trim(), number, alone)?;
        if keys.iter().any(|earlier| earlier.kid == key.kid) {
            return Err(SigningKeysError::Duplicate(number));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn parse_signing_key(
    entry: &str,
    number: usize,
    alone: bool,
) -> Result<SigningKey, SigningKeysError> {
    let (kid, secret) = match entry.split_once(':') {
        Some(pair) => pair,
        None if alone => (ONLY_KID, entry),
        None => return Err(SigningKeysError::Nameless(number)),
    };
    let is_kid_char = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if kid.is_empty() || kid.len() > KID_CHARS_MAX || !kid.chars().all(is_kid_char) {
        return Err(SigningKeysError::BadName(number));
    }
    if secret.len() < SIGNING_KEY_BYTES_MIN {
        return Err(SigningKeysError::Short(number));
    }
    Ok(SigningKey {
        kid: kid.to_owned(),
        secret: SecretString::from(secret),
    })
}

/// The scheme of a URL in lower case, or `None` when the text does not begin like a URL.
pub(super) fn url_scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':')?;
    let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_scheme_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (starts_well && scheme.chars().all(is_scheme_char)).then(|| scheme.to_ascii_lowercase())
}

/// `url` with `***` in place of the password, and of query values whose names speak of secrets.
///
/// Where the password ends cannot be known when it holds `/`, `?` or `#` unescaped; then all after
/// the scheme goes.
pub(super) fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return mask_query(url);
    };
    let Some((user_and_password, host_and_path)) = rest.rsplit_once('@') else {
        return mask_query(url);
    };
    match user_and_password.split_once(':') {
        None => mask_query(url),
        Some(_) if user_and_password.contains(['/', '?', '#']) => format!("{scheme}://{MASK}"),
        Some((user, _)) => format!("{scheme}://{user}:{MASK}@{}", mask_query(host_and_path)),
    }
}

fn mask_query(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let pairs: Vec<String> = query.split('&').map(mask_pair).collect();
    format!("{path}?{}", pairs.join("&"))
}

fn mask_pair(pair: &str) -> String {
    const TELLING: [&str; 6] = ["pass", "pwd", "secret", "token", "key", "auth"];
    match pair.split_once('=') {
        Some((name, _))
            if TELLING
                .iter()
                .any(|word| name.to_ascii_lowercase().contains(word)) =>
        {
            format!("{name}={MASK}")
        }
        _ => pair.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::{ConnectionUrl, SigningKeysError, mask_url, parse_signing_keys, url_scheme};

    const LONG: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn one_secret_is_key_1() {
        let keys = parse_signing_keys(&format!(" {LONG}\n")).expect("valid");
        assert_eq!(keys.len(), 1);
        assert_eq!(
            (keys[0].kid.as_str(), keys[0].secret.expose_secret()),
            ("1", LONG)
        );
    }

    #[test]
    fn several_keys_keep_their_order_and_names() {
        let keys = parse_signing_keys(&format!("new:{LONG}, old:{OTHER}")).expect("valid");
        let read: Vec<_> = keys
            .iter()
            .map(|key| (key.kid.as_str(), key.secret.expose_secret()))
            .collect();
        assert_eq!(read, [("new", LONG), ("old", OTHER)]);
    }

    #[test]
    fn empty_means_no_key() {
        assert!(parse_signing_keys("").expect("valid").is_empty());
        assert!(parse_signing_keys(" \n").expect("valid").is_empty());
    }

    #[test]
    fn bad_keys_are_refused_by_position() {
        let refusal = |text: &str| parse_signing_keys(text).expect_err("refused");
        assert_eq!(refusal("short"), SigningKeysError::Short(1));
        assert_eq!(
            refusal(&format!("a:{LONG},b:short")),
            SigningKeysError::Short(2)
        );
        assert_eq!(
            refusal(&format!("a:{LONG},{OTHER}")),
            SigningKeysError::Nameless(2)
        );
        assert_eq!(
            refusal(&format!("a:{LONG},")),
            SigningKeysError::Nameless(2)
        );
        assert_eq!(refusal(&format!(":{LONG}")), SigningKeysError::BadName(1));
        assert_eq!(
            refusal(&format!("a b:{LONG}")),
            SigningKeysError::BadName(1)
        );
        assert_eq!(
            refusal(&format!("a:{LONG},a:{OTHER}")),
            SigningKeysError::Duplicate(2)
        );
    }

    #[test]
    fn schemes() {
        assert_eq!(url_scheme("SQLite:x.db").as_deref(), Some("sqlite"));
        assert_eq!(url_scheme("postgres://h/d").as_deref(), Some("postgres"));
        assert_eq!(url_scheme("no url"), None);
        assert_eq!(url_scheme("1x:y"), None);
    }

    #[test]
    fn passwords_are_masked() {
        for (url, masked) in [
            (
                "sqlite:data/wealth.db?mode=rwc",
                "sqlite:data/wealth.db?mode=rwc",
            ),
            (
                "sqlite:x.db?key=s3cr3t&mode=rwc",
                "sqlite:x.db?key=***&mode=rwc",
            ),
            ("sqlite://a@b/x.db", "sqlite://a@b/x.db"),
            (
                "postgres://ann:s3cr3t@host:5432/db",
                "postgres://ann:***@host:5432/db",
            ),
            (
                "postgres://ann:s3@cr3t@host/db?sslpassword=s3cr3t",
                "postgres://ann:***@host/db?sslpassword=***",
            ),
            ("postgres://ann:s3cr3t/x@host/db", "postgres://***"),
            ("redis://:s3cr3t@host", "redis://:***@host"),
            ("redis://host?password=a:s3cr3t@x", "redis://***"),
        ] {
            assert_eq!(mask_url(url), masked);
        }
    }

    #[test]
    fn a_url_shows_its_password_only_when_asked() {
        let url = ConnectionUrl::new("redis://:s3cr3t@host");
        assert_eq!(
            format!("{url} {url:?}"),
            r#"redis://:***@host "redis://:***@host""#
        );
        assert_eq!(url.expose(), "redis://:s3cr3t@host");
    }
}
