//! Links in mails that open something without a session: each is for one user and one purpose, and cannot be made by who
//! does not have the key that signs tokens.
//!
//! Nothing of them is kept. They are good as long as the key: where it is replaced, those of its predecessors are as
//! long as these are configured.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;
use uuid::Uuid;

use crate::config::SigningKey;

/// What stands before the user's id in what is signed: no access token begins so, nor will what a link may open later.
const UNSUBSCRIBE: &[u8] = b"wealth-companion link: unsubscribe\0";

/// The path of the link.
pub const UNSUBSCRIBE_PATH: &str = "/v1/unsubscribe";

const ID_BYTES: usize = 16;
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
        let token = self.token(user_id)?;
        let server = public_url.trim_end_matches('/');
        Some(format!("{server}{UNSUBSCRIBE_PATH}?token={token}"))
    }

    fn token(&self, user_id: Uuid) -> Option<String> {
        let mac = signed(self.keys.first()?, user_id).finalize().into_bytes();
        let mut bytes = user_id.as_bytes().to_vec();
        bytes.extend(mac);
        Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
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
        let is_ours = |key| signed(key, user_id).verify_slice(mac).is_ok();
        self.keys.iter().any(is_ours).then_some(user_id)
    }
}

fn signed(key: &Hmac<Sha256>, user_id: Uuid) -> Hmac<Sha256> {
    key.clone()
        .chain_update(UNSUBSCRIBE)
        .chain_update(user_id.as_bytes())
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
}
