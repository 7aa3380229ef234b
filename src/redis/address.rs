//! Where Redis is, and how to get there.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use deadpool_redis::redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use deadpool_redis::redis::{Client, ConnectionInfo, IntoConnectionInfo, TlsCertificates};

use crate::config;

/// When to ask whether a silent connection still has another end, and how often.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);

/// The connection that the configuration describes.
///
/// # Errors
/// The URL is malformed, or the file of certificates cannot be used. No error repeats the URL.
pub(super) fn of(url: &str, config: &config::State) -> anyhow::Result<ConnectionInfo> {
    let info = url.into_connection_info().context("state.redis_url")?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    // Commands are small and answered one by one: waiting for more to send would only delay them.
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    let info = info.set_tcp_settings(tcp);
    match &config.redis_ca_file {
        Some(file) => trusting(info, file).context("state.redis_ca_file"),
        None => Ok(info),
    }
}

/// Trusts who is certified by this file, and nobody else.
fn trusting(info: ConnectionInfo, file: &Path) -> anyhow::Result<ConnectionInfo> {
    let root_cert = std::fs::read(file).with_context(|| file.display().to_string())?;
    anyhow::ensure!(
        root_cert.starts_with(b"-----BEGIN") || root_cert.windows(10).any(|at| at == b"-----BEGIN"),
        "{}: there is no certificate in it (PEM)",
        file.display()
    );
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(root_cert),
    };
    let client = Client::build_with_tls(info, certificates)?;
    Ok(client.get_connection_info().clone())
}
