//! A copy of the embedded database as it is at one moment, made beside a server that goes on.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sea_orm::sqlx::{self, Connection as _};

use super::{StoreError, sqlite};
use crate::config::Config;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A server's database is copied by its own tools.
    #[error(
        "the database is PostgreSQL's, which its own tools copy (pg_dump, or a restore to a point in time): see docs/operations.md"
    )]
    Server,
    /// Nothing is written over.
    #[error("{0} is there already: name another file, or move it away")]
    Exists(String),
    /// The file cannot be written.
    #[error("{file}: {error}")]
    File {
        /// Which.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The copy cannot be read; it was removed.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes all of the database to a new file, which only its owner may read; gives its length in bytes. What is
/// being committed meanwhile is in it whole or not at all. It is not there before it is complete.
///
/// # Errors
/// See [`BackupError`]; then no file is left.
pub async fn write(config: &Config, file: &Path) -> Result<u64, BackupError> {
    if config.is_server_database() {
        return Err(BackupError::Server);
    }
    sqlite::expect_existing(config)?;
    if file.exists() {
        return Err(BackupError::Exists(file.display().to_string()));
    }
    let part = Part::begin(file)?;
    copy(config, &part.0).await?;
    let at = |error| of_file(file, error);
    let written = File::open(&part.0).map_err(at)?;
    written.sync_all().map_err(at)?;
    fs::rename(&part.0, file).map_err(at)?;
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(at)?;
    folder.sync_all().map_err(at)?;
    Ok(written.metadata().map_err(at)?.len())
}

async fn copy(config: &Config, part: &Path) -> Result<(), BackupError> {
    let busy = |error: sqlx::Error| StoreError::Busy(error.to_string());
    let text = part.to_string_lossy().into_owned();
    let mut db = sqlite::reader(config).await?;
    sqlx::query("VACUUM INTO ?")
        .bind(&text)
        .execute(&mut db)
        .await
        .map_err(busy)?;
    db.close().await.map_err(busy)?;
    let mut copied = sqlite::reader_of(part).await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut copied)
        .await
        .map_err(busy)?;
    copied.close().await.map_err(busy)?;
    if found == "ok" {
        Ok(())
    } else {
        Err(BackupError::Damaged(found))
    }
}

/// A file that is not complete; it is removed, unless it has got its name before.
struct Part(PathBuf);

impl Part {
    /// Beside the file, under a name of this process: two that copy at once do not take each other's.
    fn begin(file: &Path) -> Result<Self, BackupError> {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&path).map_err(|error| of_file(&path, error))?;
        Ok(Self(path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn of_file(file: &Path, error: io::Error) -> BackupError {
    BackupError::File {
        file: file.display().to_string(),
        error,
    }
}
