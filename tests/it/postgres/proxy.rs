//! A proxy in front of PostgreSQL that counts the round trips which go through it, and measures what
//! the clients send.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Stack;

/// Counts what a client waits for: each `Sync` and each simple query, by the protocol's letters
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
pub(super) struct Proxy {
    port: u16,
    round_trips: Arc<AtomicU64>,
    largest_message: Arc<AtomicU64>,
}

impl Proxy {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Stack::get().port("/postgres/port");
        let round_trips = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&round_trips);
        let largest_message = Arc::new(AtomicU64::new(0));
        let measured = Arc::clone(&largest_message);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await;
                let server = server.expect("PostgreSQL");
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let (counted, measured) = (Arc::clone(&counted), Arc::clone(&measured));
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
                });
                tokio::spawn(async move {
                    // The first message has no letter.
                    let mut letter = None;
                    while let Some(message) = message(&mut from_client, letter.is_some()).await {
                        let before = letter.replace(message[0]);
                        measured.fetch_max(message.len() as u64, Ordering::Relaxed);
                        // A `Sync` of its own asks nothing: a pool sends it with a connection
                        // that comes back, and nobody waits for it.
                        let asks = match message[0] {
                            b'S' => !matches!(before, Some(b'S' | b'Q')),
                            letter => letter == b'Q',
                        };
                        if asks {
                            counted.fetch_add(1, Ordering::Relaxed);
                        }
                        let sent = to_server.write_all(&message).await;
                        if sent.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self {
            port,
            round_trips,
            largest_message,
        }
    }

    /// The URL of a database through the proxy. It cannot look into TLS.
    pub(super) fn database_url(&self, name: &str) -> String {
        let url = Stack::get().database_url(name);
        let direct = format!(":{}/", Stack::get().port("/postgres/port"));
        let url = url.replace(&direct, &format!(":{}/", self.port));
        format!("{url}?sslmode=disable")
    }

    /// How many round trips there were so far.
    pub(super) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// The bytes of the largest message of a client so far.
    pub(super) fn largest_message(&self) -> u64 {
        self.largest_message.load(Ordering::Relaxed)
    }
}

/// The next message, whole; none at the end.
async fn message(from: &mut (impl AsyncRead + Unpin), has_letter: bool) -> Option<Vec<u8>> {
    let before = usize::from(has_letter);
    let mut message = vec![0; before + 4];
    from.read_exact(&mut message).await.ok()?;
    let length = u32::from_be_bytes(message[before..].try_into().expect("four bytes"));
    message.resize(before + usize::try_from(length).expect("a length"), 0);
    from.read_exact(&mut message[before + 4..]).await.ok()?;
    Some(message)
}
