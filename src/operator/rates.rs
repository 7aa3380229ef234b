//! Public exchange rates, brought in from the files of the European Central Bank: of a disk, a pipe or a web server.

/// What the files look like.
pub mod ecb;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, NaiveDate, Utc};
use reqwest::Url;
use serde::Serialize;

use crate::domain::exchange::PublicRate;
use crate::store::Store;
use crate::store::rates::public::{self, BroughtIn};

use ecb::Sheet;

/// Bytes of a file at the most. All days since 1999 are less than 10 MB.
pub const BYTES_MAX: usize = 64 << 20;

/// How long to try to connect.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a download may take.
const DOWNLOAD_MAX: Duration = Duration::from_secs(120);
/// How often to follow a server to another address.
const REDIRECTS_MAX: usize = 5;

/// Rates that are written in one unit of work: others write between them.
const BATCH: usize = 2_000;

/// Where files of rates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// What is piped in.
    Stdin,
    /// A file.
    Path(String),
    /// A web server.
    Url(Url),
}

impl Source {
    /// `-`, a URL, or else a file. Of other schemes than `https` only `http` where that is allowed: whoever is between
    /// could change the rates.
    ///
    /// # Errors
    /// A URL of another scheme.
    pub fn parse(text: &str, allow_http: bool) -> anyhow::Result<Self> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        if !text.contains("://") {
            return Ok(Self::Path(text.to_owned()));
        }
        let url = Url::parse(text).context("this is no URL")?;
        ensure!(
            url.username().is_empty() && url.password().is_none(),
            "a URL with a name or a password in it is not asked: it would be shown"
        );
        match url.scheme() {
            "https" => Ok(Self::Url(url)),
            "http" if allow_http => Ok(Self::Url(url)),
            "http" => bail!(
                "{url}: over http anybody on the way can change the rates; take https, or say --allow-http"
            ),
            scheme => bail!("{url}: {scheme} is not known, take https"),
        }
    }

    /// All that it has.
    ///
    /// # Errors
    /// It cannot be read, or is too large; a server that does not answer, or not with a file.
    pub async fn read(&self) -> anyhow::Result<Vec<u8>> {
        let bytes = match self {
            Self::Stdin => read_bounded(std::io::stdin().lock()),
            Self::Path(path) => {
                let file = File::open(path).map_err(anyhow::Error::new);
                file.and_then(read_bounded)
            }
            Self::Url(url) => fetch(url).await,
        };
        bytes.with_context(|| self.to_string())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdin => "standard input",
            Self::Path(path) => path,
            Self::Url(url) => url.as_str(),
        })
    }
}

fn read_bounded(from: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    check_size(bytes.len())?;
    Ok(bytes)
}

fn check_size(bytes: usize) -> anyhow::Result<()> {
    ensure!(
        bytes <= BYTES_MAX,
        "more than {} MiB: this is no file of rates",
        BYTES_MAX >> 20
    );
    Ok(())
}

async fn fetch(url: &Url) -> anyhow::Result<Vec<u8>> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_MAX)
        .timeout(DOWNLOAD_MAX)
        // Nor is it sent elsewhere by a server.
        .https_only(url.scheme() == "https")
        .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
        .build()?;
    // Whoever called tells the URL.
    let answer = client.get(url.clone()).send().await;
    let mut answer = answer.map_err(reqwest::Error::without_url)?;
    ensure!(
        answer.status().is_success(),
        "the server answers {}",
        answer.status()
    );
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        bytes.extend_from_slice(&part);
        check_size(bytes.len())?;
    }
    Ok(bytes)
}

/// What was brought in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// How many days.
    pub days: usize,
    /// The first of them.
    pub first: NaiveDate,
    /// The last of them.
    pub last: NaiveDate,
    /// How many currencies.
    pub currencies: usize,
    /// What became of the rates.
    #[serde(flatten)]
    pub rates: BroughtIn,
    /// Currencies of the file that are in use no more, and were passed over.
    pub not_in_use: BTreeSet<String>,
}

/// Writes the rates of a file, those that are there already but once. Tells after each unit of work how many are done, and
/// how many there are.
///
/// # Errors
/// The database cannot be written. What is written then is good; the same file again writes the rest.
pub async fn import(
    store: &Store,
    sheet: Sheet,
    now: DateTime<Utc>,
    mut tell: impl FnMut(u64, u64),
) -> anyhow::Result<Imported> {
    let rates = sheet.rates();
    let days: BTreeSet<NaiveDate> = rates.iter().map(|it| it.date).collect();
    let currencies: BTreeSet<_> = rates.iter().map(|it| it.currency).collect();
    let (first, last) = days.first().zip(days.last()).context("no rates")?;
    let total = rates.len() as u64;
    let mut done = BroughtIn::default();
    for batch in rates.chunks(BATCH) {
        let batch: Vec<PublicRate> = batch.to_vec();
        let written = store
            .write(move |tx| async move { public::bring_in(&tx, &batch, now).await })
            .await?;
        done = done.and(written);
        tell(done.new + done.changed + done.same, total);
    }
    Ok(Imported {
        days: days.len(),
        first: *first,
        last: *last,
        currencies: currencies.len(),
        rates: done,
        not_in_use: sheet.not_in_use().clone(),
    })
}
