//! A proxy in front of PostgreSQL that counts the round trips which go through it, measures what the
//! clients send, and hears what the server has to remark.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::Stack;

/// Counts what a client waits for: each `Sync` and each simple query, by the protocol's letters
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
pub(super) struct Proxy {
    port: u16,
    seen: Arc<Seen>,
}

/// What has gone through.
struct Seen {
    round_trips: AtomicU64,
    largest_message: AtomicU64,
    /// What the server still has to answer with that it is ready.
    unanswered: watch::Sender<i64>,
    notices: Mutex<Vec<String>>,
}

impl Proxy {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Stack::get().port("/postgres/port");
        let seen = Arc::new(Seen {
            round_trips: AtomicU64::new(0),
            largest_message: AtomicU64::new(0),
            unanswered: watch::Sender::new(0),
            notices: Mutex::default(),
        });
        let (of_clients, of_server) = (Arc::clone(&seen), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await;
                let server = server.expect("PostgreSQL");
                // Messages go on one by one: none waits until the one before it is acknowledged.
                for side in [&client, &server] {
                    side.set_nodelay(true).expect("a socket");
                }
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(Arc::clone(&of_server).answers(from_server, to_client));
                tokio::spawn(Arc::clone(&of_clients).questions(from_client, to_server));
            }
        });
        Self { port, seen }
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
        self.seen.round_trips.load(Ordering::Relaxed)
    }

    /// The bytes of the largest message of a client so far.
    pub(super) fn largest_message(&self) -> u64 {
        self.seen.largest_message.load(Ordering::Relaxed)
    }

    /// What the server has remarked since it was asked for last, up to the end of all that it is doing.
    pub(super) async fn notices(&self) -> Vec<String> {
        let mut unanswered = self.seen.unanswered.subscribe();
        let answered = unanswered.wait_for(|count| *count == 0).await;
        drop(answered.expect("the proxy runs"));
        std::mem::take(&mut *self.seen.notices.lock().expect("no panic before"))
    }
}

impl Seen {
    /// Takes what a client sends to the server.
    async fn questions(
        self: Arc<Self>,
        mut client: impl AsyncRead + Unpin,
        mut server: impl AsyncWrite + Unpin,
    ) {
        // The first message has no letter.
        let mut letter = None;
        while let Some(message) = message(&mut client, letter.is_some()).await {
            let is_first = letter.is_none();
            let before = letter.replace(message[0]);
            let bytes = message.len() as u64;
            self.largest_message.fetch_max(bytes, Ordering::Relaxed);
            // A `Sync` of its own asks nothing: a pool sends it with a connection that comes back, and
            // nobody waits for it.
            let asks = match message[0] {
                b'S' => !matches!(before, Some(b'S' | b'Q')),
                letter => letter == b'Q',
            };
            if asks {
                self.round_trips.fetch_add(1, Ordering::Relaxed);
            }
            if is_first || matches!(message[0], b'S' | b'Q') {
                self.unanswered.send_modify(|count| *count += 1);
            }
            if server.write_all(&message).await.is_err() {
                break;
            }
        }
    }

    /// Takes what the server sends to a client.
    async fn answers(
        self: Arc<Self>,
        mut server: impl AsyncRead + Unpin,
        mut client: impl AsyncWrite + Unpin,
    ) {
        while let Some(message) = message(&mut server, true).await {
            match message[0] {
                b'N' => {
                    let mut notices = self.notices.lock().expect("no panic before");
                    notices.extend(text_of(&message));
                }
                b'Z' => self.unanswered.send_modify(|count| *count -= 1),
                _ => {}
            }
            if client.write_all(&message).await.is_err() {
                break;
            }
        }
    }
}

/// The text of a notice.
fn text_of(notice: &[u8]) -> Option<String> {
    let fields = notice[5..].split(|byte| *byte == 0);
    let text = fields
        .into_iter()
        .find_map(|field| field.strip_prefix(b"M"))?;
    Some(String::from_utf8_lossy(text).into_owned())
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
