//! HMAC with SHA-256 (RFC 7518, section 3.2), the one algorithm that tokens are signed with. The library's own set
//! brings RSA and elliptic curves along, which nobody here asks for.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use sha2::Sha256;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        let key = Hs256::new(*algorithm, key.family(), key.as_bytes())?;
        Ok(Box::new(key))
    },
    verifier_factory: |algorithm, key| {
        let key = Hs256::new(*algorithm, key.family(), key.try_get_as_bytes()?)?;
        Ok(Box::new(key))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes it what this process signs and verifies with, once.
pub(super) fn install() {
    // Whoever came first installed the same.
    PROVIDER.install_default().ok();
}

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: Algorithm, family: AlgorithmFamily, secret: &[u8]) -> Result<Self> {
        if algorithm != Algorithm::HS256 || family != AlgorithmFamily::Hmac {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        let mac = Hmac::new_from_slice(secret).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Self(mac))
    }

    fn over(&self, message: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update(message)
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        Ok(self.over(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    /// In a time that does not depend on where the two differ.
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        let compared = self.over(message).verify_slice(signature);
        compared.map_err(signature::Error::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use jsonwebtoken::{DecodingKey, EncodingKey, crypto};

    use super::*;

    /// RFC 7515, appendix A.1.
    const KEY: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    const SIGNED: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn signs_and_verifies_what_the_standard_shows() {
        install();
        let secret = BASE64_URL_SAFE_NO_PAD.decode(KEY).expect("base64");
        let (signs, verifies) = (
            EncodingKey::from_secret(&secret),
            DecodingKey::from_secret(&secret),
        );
        let signed = crypto::sign(SIGNED.as_bytes(), &signs, Algorithm::HS256);
        assert_eq!(signed.expect("a signature"), SIGNATURE);
        let holds = |signature, message: &str| {
            let verified =
                crypto::verify(signature, message.as_bytes(), &verifies, Algorithm::HS256);
            verified.expect("a verdict")
        };
        assert!(holds(SIGNATURE, SIGNED));
        assert!(!holds(SIGNATURE, &SIGNED.replace("eyJp", "eyJq")));
        assert!(!holds(&SIGNATURE[..SIGNATURE.len() - 3], SIGNED));
        assert!(!holds("", SIGNED));
    }

    #[test]
    fn no_other_algorithm_is_known() {
        install();
        let (signs, verifies) = (
            EncodingKey::from_secret(b"secret"),
            DecodingKey::from_secret(b"secret"),
        );
        for other in [Algorithm::HS384, Algorithm::RS256, Algorithm::EdDSA] {
            assert!(crypto::sign(b"message", &signs, other).is_err());
            assert!(crypto::verify(SIGNATURE, b"message", &verifies, other).is_err());
        }
    }
}
