//! Links in mails that open something without a session: each is for one user and one purpose, and cannot be made by who
//! does not have the key that signs tokens.
//!
//! Nothing of them is kept. They are good as long as the key, those that have an end until then: where the key is
//! replaced, those of its predecessors are as long as these are configured.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;
use uuid::Uuid;

use crate::config::SigningKey;

/// What stands before the user's id in what is signed: no access token begins so, nor does what the other opens.
const UNSUBSCRIBE: &[u8] = b"wealth-companion link: unsubscribe\0";
const CONFIRM: &[u8] = b"wealth-companion link: confirm\0";

/// The path of the link that turns mail off.
pub const UNSUBSCRIBE_PATH: &str = "/v1/unsubscribe";
/// The path of the link that confirms an address.
pub const CONFIRM_PATH: &str = "/v1/confirm-email";

const ID_BYTES: usize = 16;
const TIME_BYTES: usize = 8;
const MAC_BYTES: usize = 32;

/// What makes links and reads them.
#[derive(Clone)]
pub struct Links {
    /// The first signs, all verify.
    keys: Vec<Hmac<Sha256>>,
}

impl Links {
    /// By these keys.
    #[must_use]
    pub fn new(keys: &[SigningKey]) -> Self {
        let keys = keys
            .iter()
            .filter_map(|key| Hmac::new_from_slice(key.secret.expose_secret().as_bytes()).ok());
        Self {
            keys: keys.collect(),
        }
    }

    /// Where the user turns mail off, on the server at this address; none without a key.
    #[must_use]
    pub fn unsubscribe(&self, public_url: &str, user_id: Uuid) -> Option<String> {
        let mac = signed(self.keys.first()?, UNSUBSCRIBE, user_id);
        let token = token(&[user_id.as_bytes()], mac);
        Some(link(public_url, UNSUBSCRIBE_PATH, &token))
    }

    /// Where the user shows that this address is theirs, until a moment; none without a key.
    #[must_use]
    pub fn confirm(
        &self,
        public_url: &str,
        user_id: Uuid,
        email: &str,
        ends_at: DateTime<Utc>,
    ) -> Option<String> {
        let seconds = ends_at.timestamp().to_be_bytes();
        let mac = confirms(self.keys.first()?, user_id, seconds, email);
        let token = token(&[user_id.as_bytes(), &seconds], mac);
        Some(link(public_url, CONFIRM_PATH, &token))
    }

    /// Whether it was made here, for this address.
    #[must_use]
    pub fn made(&self, confirmation: &Confirmation, email: &str) -> bool {
        let Confirmation { user_id, mac, .. } = confirmation;
        let seconds = confirmation.ends_at.timestamp().to_be_bytes();
        let is_ours = |key| {
            confirms(key, *user_id, seconds, email)
                .verify_slice(mac)
                .is_ok()
        };
        self.keys.iter().any(is_ours)
    }

    /// Whose mail this token of a link turns off; none of one that nobody made here.
    #[must_use]
    pub fn whose(&self, token: &str) -> Option<Uuid> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        if bytes.len() != ID_BYTES + MAC_BYTES {
            return None;
        }
        let (id, mac) = bytes.split_at(ID_BYTES);
        let user_id = Uuid::from_slice(id).ok()?;
        // In a time that does not depend on where the two differ.
        let is_ours = |key| signed(key, UNSUBSCRIBE, user_id).verify_slice(mac).is_ok();
        self.keys.iter().any(is_ours).then_some(user_id)
    }
}

/// What the token of a link to confirm an address says. The address is signed and not in it: whether the link was made
/// here is not known before it is asked whose address that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// Whose address.
    pub user_id: Uuid,
    /// Until when it is good, to the second.
    pub ends_at: DateTime<Utc>,
    mac: [u8; MAC_BYTES],
}

impl Confirmation {
    /// Reads a token; none of what is none.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
        let (seconds, mac) = rest.split_first_chunk::<TIME_BYTES>()?;
        Some(Self {
            user_id: Uuid::from_bytes(*id),
            ends_at: DateTime::from_timestamp(i64::from_be_bytes(*seconds), 0)?,
            mac: mac.try_into().ok()?,
        })
    }
}

fn signed(key: &Hmac<Sha256>, purpose: &[u8], user_id: Uuid) -> Hmac<Sha256> {
    key.clone()
        .chain_update(purpose)
        .chain_update(user_id.as_bytes())
}

fn confirms(
    key: &Hmac<Sha256>,
    user_id: Uuid,
    seconds: [u8; TIME_BYTES],
    email: &str,
) -> Hmac<Sha256> {
    signed(key, CONFIRM, user_id)
        .chain_update(seconds)
        .chain_update(email)
}

fn token(says: &[&[u8]], mac: Hmac<Sha256>) -> String {
    let mut bytes = says.concat();
    bytes.extend(mac.finalize().into_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn link(public_url: &str, path: &str, token: &str) -> String {
    let server = public_url.trim_end_matches('/');
    format!("{server}{path}?token={token}")
}

/// Shows nothing of the keys.
impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrecy::SecretString;

    use super::*;
    use crate::clock::Ids;

    fn key(letter: char) -> SigningKey {
        SigningKey {
            kid: letter.to_string(),
            secret: SecretString::from(letter.to_string().repeat(32)),
        }
    }

    fn token_of(links: &Links, user_id: Uuid) -> String {
        let link = links.unsubscribe("https://books.example.com/", user_id);
        let link = link.unwrap();
        let token = link.strip_prefix("https://books.example.com/v1/unsubscribe?token=");
        token.unwrap().to_owned()
    }

    #[test]
    fn a_link_is_for_whom_it_was_made() {
        let links = Links::new(&[key('a')]);
        let (ada, bob) = (Ids::seeded(1).v4(), Ids::seeded(2).v4());
        let token = token_of(&links, ada);
        assert_eq!(links.whose(&token), Some(ada));
        assert_eq!(token_of(&links, ada), token, "it is the same each time");
        assert_ne!(token_of(&links, bob), token);
        assert_eq!(format!("{links:?}"), "Links { .. }");
    }

    #[test]
    fn nobody_else_can_make_one() {
        let links = Links::new(&[key('a')]);
        let ada = Ids::seeded(1).v4();
        let token = token_of(&links, ada);
        for index in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[index] = if other[index] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(links.whose(&other), None, "{other}");
        }
        for wrong in [
            "",
            "A",
            &token[1..],
            &format!("{token}AA"),
            &format!("{token}="),
            "🦀",
        ] {
            assert_eq!(links.whose(wrong), None, "{wrong}");
        }
        assert_eq!(Links::new(&[key('b')]).whose(&token), None);
        assert_eq!(Links::new(&[]).whose(&token), None);
        assert_eq!(Links::new(&[]).unsubscribe("https://a", ada), None);
    }

    #[test]
    fn links_of_a_key_that_was_replaced_are_good_as_long_as_it_is_there() {
        let (old, ada) = (Links::new(&[key('a')]), Ids::seeded(1).v4());
        let token = token_of(&old, ada);
        let both = Links::new(&[key('b'), key('a')]);
        assert_eq!(both.whose(&token), Some(ada));
        assert_ne!(token_of(&both, ada), token);
    }

    const END: i64 = 1_771_000_000;

    fn ends_at() -> DateTime<Utc> {
        DateTime::from_timestamp(END, 0).unwrap()
    }

    fn confirming(links: &Links, user_id: Uuid, email: &str) -> String {
        let link = links.confirm("https://books.example.com/", user_id, email, ends_at());
        let link = link.unwrap();
        let token = link.strip_prefix("https://books.example.com/v1/confirm-email?token=");
        token.unwrap().to_owned()
    }

    #[test]
    fn a_confirmation_is_of_one_user_one_address_and_one_end() {
        let links = Links::new(&[key('a')]);
        let (ada, bob) = (Ids::seeded(1).v4(), Ids::seeded(2).v4());
        let token = confirming(&links, ada, "ada@example.com");
        assert_eq!(token.len(), 75);
        let read = Confirmation::parse(&token).unwrap();
        assert_eq!((read.user_id, read.ends_at), (ada, ends_at()));
        assert!(links.made(&read, "ada@example.com"));
        for other in ["ada@example.org", "Ada@example.com", "", "ada@example.com "] {
            assert!(!links.made(&read, other), "{other}");
        }
        let later = ends_at() + chrono::TimeDelta::seconds(1);
        for changed in [
            Confirmation {
                user_id: bob,
                ..read
            },
            Confirmation {
                ends_at: later,
                ..read
            },
        ] {
            assert!(!links.made(&changed, "ada@example.com"), "{changed:?}");
        }
        let of_bob = confirming(&links, bob, "ada@example.com");
        let of_bob = Confirmation::parse(&of_bob).unwrap();
        assert!(!links.made(
            &Confirmation {
                user_id: ada,
                ..of_bob
            },
            "ada@example.com"
        ));
        assert!(!Links::new(&[key('b')]).made(&read, "ada@example.com"));
        assert!(Links::new(&[key('b'), key('a')]).made(&read, "ada@example.com"));
        let none = Links::new(&[]).confirm("https://a", ada, "ada@example.com", ends_at());
        assert_eq!(none, None);
    }

    #[test]
    fn nobody_else_can_make_a_confirmation() {
        let links = Links::new(&[key('a')]);
        let ada = Ids::seeded(1).v4();
        let email = "ada@example.com";
        let token = confirming(&links, ada, email);
        let is_good =
            |token: &str| Confirmation::parse(token).is_some_and(|read| links.made(&read, email));
        assert!(is_good(&token));
        for index in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[index] = if other[index] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(!is_good(&other), "{other}");
        }
        for wrong in ["", "A", &token[1..], &format!("{token}A"), "🦀"] {
            assert_eq!(Confirmation::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_one_opens_the_other_does_not() {
        let links = Links::new(&[key('a')]);
        let ada = Ids::seeded(1).v4();
        assert_eq!(links.whose(&confirming(&links, ada, "")), None);
        assert_eq!(Confirmation::parse(&token_of(&links, ada)), None);
        // Of the same bytes, under the other's purpose.
        let seconds = END.to_be_bytes();
        let mac = links.keys[0]
            .clone()
            .chain_update(UNSUBSCRIBE)
            .chain_update(ada.as_bytes())
            .chain_update(seconds);
        let crossed = token(&[ada.as_bytes(), &seconds], mac);
        let crossed = Confirmation::parse(&crossed).unwrap();
        assert!(!links.made(&crossed, ""));
    }
}
