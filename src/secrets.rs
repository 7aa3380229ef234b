//! Secrets that are not configured: [`store`] reads them from a secret store at the start, and
//! [`signing_key`] makes one up for the embedded profile.

/// The signing key of the embedded profile.
pub mod signing_key;
/// Secrets of the secret store.
pub mod store;
