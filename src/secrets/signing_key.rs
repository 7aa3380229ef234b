//! The key that signs tokens, where none is configured: only the embedded profile makes one up, and
//! keeps it in the data folder.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use crate::clock::Ids;
use crate::config::{Config, SigningKey};

const FILE: &str = "jwt_secret_key";
const KID: &str = "embedded";

/// Sees to it that there is a key to sign with: the configured one, or the one of the data folder.
///
/// # Errors
/// The data folder cannot be read or written.
pub fn ensure(config: &mut Config, ids: &Ids) -> anyhow::Result<()> {
    if !config.auth.signing_keys.is_empty() {
        return Ok(());
    }
    let path = config.data_dir.join(FILE);
    let about = || format!("auth.jwt_secret_key: cannot use {}", path.display());
    if !path.exists() {
        make(&path, ids).with_context(about)?;
    }
    let secret = fs::read_to_string(&path).with_context(about)?;
    anyhow::ensure!(
        secret.len() >= 32,
        "{}: it is too short; delete it to make a new one",
        about()
    );
    config.auth.signing_keys = vec![SigningKey {
        kid: KID.to_owned(),
        secret: SecretString::from(secret),
    }];
    Ok(())
}

/// The file appears whole or not at all, and the first of two processes wins.
fn make(path: &Path, ids: &Ids) -> io::Result<()> {
    let draft = path.with_extension(format!("{}", ids.v4().simple()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(URL_SAFE_NO_PAD.encode(ids.secret()).as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}
