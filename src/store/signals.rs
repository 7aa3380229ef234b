//! Wake-ups between those who write and those who wait, sent after the commit.
//!
//! A wake-up is a hint that shortens a wait, never the news itself: who is woken looks at the
//! database, and who was not woken looks again after a while.

use tokio::sync::watch;

/// What a committed unit of work may have brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// New events in the log: the relay has work.
    Logged = 1,
    /// Published events: the embedded bus' consumers have work.
    Published = 2,
    /// The read models have moved on.
    Projected = 4,
    /// New alerts: the streams have work.
    Alerted = 8,
}

/// One channel for each kind of wake-up.
#[derive(Debug)]
pub struct Signals {
    logged: watch::Sender<()>,
    published: watch::Sender<()>,
    projected: watch::Sender<()>,
    alerted: watch::Sender<()>,
}

impl Default for Signals {
    fn default() -> Self {
        let channel = || watch::channel(()).0;
        Self {
            logged: channel(),
            published: channel(),
            projected: channel(),
            alerted: channel(),
        }
    }
}

impl Signals {
    /// Woken when events were appended to the log.
    #[must_use]
    pub fn logged(&self) -> watch::Receiver<()> {
        self.logged.subscribe()
    }

    /// Woken when events were published on the embedded bus.
    #[must_use]
    pub fn published(&self) -> watch::Receiver<()> {
        self.published.subscribe()
    }

    /// Woken when the read models have moved on.
    #[must_use]
    pub fn projected(&self) -> watch::Receiver<()> {
        self.projected.subscribe()
    }

    /// Woken when alerts were written.
    #[must_use]
    pub fn alerted(&self) -> watch::Receiver<()> {
        self.alerted.subscribe()
    }

    /// Sends the wake-ups whose bits are set.
    pub(super) fn send(&self, bits: u8) {
        for (signal, channel) in [
            (Signal::Logged, &self.logged),
            (Signal::Published, &self.published),
            (Signal::Projected, &self.projected),
            (Signal::Alerted, &self.alerted),
        ] {
            if bits & signal as u8 != 0 {
                channel.send_replace(());
            }
        }
    }
}
