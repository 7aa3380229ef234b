//! What stands between us and the mail server, or in its place while there is nothing to hear of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::support::stack::Stack;

/// Carries connections to the stack's mail server, counts and cuts them.
pub(super) struct Wire {
    /// The server, by this way.
    pub(super) url: String,
    count: Arc<AtomicUsize>,
    cut: Arc<Notify>,
}

impl Wire {
    pub(super) async fn start() -> Self {
        let stack = Stack::get();
        let server = stack.port("/smtp/port");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (count, cut) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counted, is_cut) = (Arc::clone(&count), Arc::clone(&cut));
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let is_cut = Arc::clone(&is_cut);
                tokio::spawn(async move {
                    let far = TcpStream::connect(("127.0.0.1", server)).await;
                    let mut far = far.expect("run `make stack`: the mail server answers");
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        () = is_cut.notified() => {}
                    }
                });
            }
        });
        let direct = format!(":{server}");
        Self {
            url: stack
                .text("/smtp/url")
                .replace(&direct, &format!(":{port}")),
            count,
            cut,
        }
    }

    /// How many there have been.
    pub(super) fn connections(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Cuts all that there are.
    pub(super) fn cut(&self) {
        self.cut.notify_waiters();
    }
}

/// The URL of a port where nobody listens.
pub(super) async fn nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("smtp://{}", free.local_addr().expect("an address"))
}

/// Says these lines, each once the client has said one, and then nothing: no mail server, but what one is taken for that
/// hangs, or has no TLS. Whoever signs in or sends a mail there has told it in the clear.
pub(super) async fn server_that_says(lines: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (reads, mut writes) = stream.into_split();
                let mut asked = BufReader::new(reads).lines();
                for line in lines {
                    let line = format!("{line}\r\n");
                    if writes.write_all(line.as_bytes()).await.is_err() {
                        return;
                    }
                    let said = asked.next_line().await.ok().flatten().unwrap_or_default();
                    assert!(!said.contains("AUTH"), "a password in the clear: {said}");
                    assert!(!said.contains("MAIL FROM"), "a mail in the clear: {said}");
                }
                // Until the other side goes.
                while let Ok(Some(_)) = asked.next_line().await {}
            });
        }
    });
    format!("smtp://ada:S3CR3T@{address}")
}
