//! Turns the plain values of a file into the types of the fields.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};

use crate::config::email::{Sender, SmtpServer};
use crate::config::networks;
use crate::config::secrets::{self, ConnectionUrl, SigningKey};

/// Milliseconds.
pub(super) fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

/// Milliseconds, where 0 is none.
pub(super) fn some_millis<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let millis = millis(deserializer)?;
    Ok((!millis.is_zero()).then_some(millis))
}

/// Seconds.
pub(super) fn secs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

/// Hours.
pub(super) fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(|hours| Duration::from_secs(hours.saturating_mul(3_600)))
}

/// Days.
pub(super) fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(|days| Duration::from_secs(days.saturating_mul(86_400)))
}

/// A limit, where 0 is none.
pub(super) fn limit<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroU32>, D::Error> {
    u32::deserialize(deserializer).map(NonZeroU32::new)
}

/// A count, where 0 leaves the choice to the program.
pub(super) fn count_or_default<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroUsize>, D::Error> {
    usize::deserialize(deserializer).map(NonZeroUsize::new)
}

/// A secret without white space around it; empty is none.
pub(super) fn secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.trim().is_empty()).then(|| SecretString::from(text.trim())))
}

/// A URL; empty is none.
pub(super) fn url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ConnectionUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| ConnectionUrl::new(&text)))
}

/// A path; empty is none.
pub(super) fn file<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// A list of networks.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    networks::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// A list of signing keys.
pub(super) fn signing_keys<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SigningKey>, D::Error> {
    secrets::parse_signing_keys(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// The URL of a mail server; empty is none.
pub(super) fn smtp_server<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SmtpServer>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let server = (!text.is_empty()).then(|| SmtpServer::parse(&text));
    server.transpose().map_err(de::Error::custom)
}

/// Whom mail is from; empty is nobody.
pub(super) fn sender<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Sender>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let sender = (!text.is_empty()).then(|| Sender::parse(&text));
    sender.transpose().map_err(de::Error::custom)
}
