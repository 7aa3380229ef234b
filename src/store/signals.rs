//! Wake-ups between those who write and those who wait, sent after the commit.
//!
//! A wake-up is a hint that shortens a wait, never the news itself: who is woken looks at the
//! database, and who was not woken looks again after a while.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::{Notify, watch};

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
    /// Another recurring booking may be due.
    Due = 16,
    /// Another mail may be due.
    Queued = 32,
}

/// What those who wait in other processes want to hear of. New events in the log are not among it, nor what is
/// due or queued: the process that wrote them takes them on.
const SHARED: u8 = Signal::Published as u8 | Signal::Projected as u8 | Signal::Alerted as u8;

/// One channel for each kind of wake-up.
#[derive(Debug)]
pub struct Signals {
    logged: watch::Sender<()>,
    published: watch::Sender<()>,
    projected: watch::Sender<()>,
    alerted: watch::Sender<()>,
    due: watch::Sender<()>,
    queued: watch::Sender<()>,
    /// The bits of what was committed here and other processes were not told of.
    untold: AtomicU8,
    tell: Notify,
}

impl Default for Signals {
    fn default() -> Self {
        let channel = || watch::channel(()).0;
        Self {
            logged: channel(),
            published: channel(),
            projected: channel(),
            alerted: channel(),
            due: channel(),
            queued: channel(),
            untold: AtomicU8::new(0),
            tell: Notify::new(),
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

    /// Woken when a recurring booking was made or changed.
    #[must_use]
    pub fn due(&self) -> watch::Receiver<()> {
        self.due.subscribe()
    }

    /// Woken when an alert was queued to be sent by mail.
    #[must_use]
    pub fn queued(&self) -> watch::Receiver<()> {
        self.queued.subscribe()
    }

    /// Sends the wake-ups whose bits are set, for what was committed here. Telling other processes
    /// is left to whoever waits for it: a commit waits for nobody.
    pub(super) fn send(&self, bits: u8) {
        self.wake(bits);
        let bits = bits & SHARED;
        if bits != 0 {
            self.untold.fetch_or(bits, Ordering::Relaxed);
            self.tell.notify_one();
        }
    }

    /// Waits for commits of this process that others should hear of; gives the bits of all since the
    /// last time.
    pub async fn to_tell(&self) -> u8 {
        loop {
            let bits = self.untold.swap(0, Ordering::Relaxed);
            if bits != 0 {
                return bits;
            }
            self.tell.notified().await;
        }
    }

    /// Wakes whoever waits for what other processes may have committed.
    pub fn wake_for_others(&self, bits: u8) {
        self.wake(bits & SHARED);
    }

    fn wake(&self, bits: u8) {
        for (signal, channel) in [
            (Signal::Logged, &self.logged),
            (Signal::Published, &self.published),
            (Signal::Projected, &self.projected),
            (Signal::Alerted, &self.alerted),
            (Signal::Due, &self.due),
            (Signal::Queued, &self.queued),
        ] {
            if bits & signal as u8 != 0 {
                channel.send_replace(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{Signal, Signals};

    const ALERTED: u8 = Signal::Alerted as u8;

    #[test]
    fn others_are_told_of_what_concerns_them_once() {
        let signals = Signals::default();
        assert_eq!(signals.to_tell().now_or_never(), None);
        signals.send(Signal::Logged as u8);
        assert_eq!(signals.to_tell().now_or_never(), None);
        signals.send(ALERTED | Signal::Logged as u8);
        signals.send(Signal::Projected as u8);
        let all = ALERTED | Signal::Projected as u8;
        assert_eq!(signals.to_tell().now_or_never(), Some(all));
        assert_eq!(signals.to_tell().now_or_never(), None);
    }

    #[test]
    fn what_others_tell_wakes_here_and_is_not_passed_on() {
        let signals = Signals::default();
        let (alerted, projected) = (signals.alerted(), signals.projected());
        let logged = signals.logged();
        signals.wake_for_others(ALERTED | Signal::Logged as u8 | 0xf0);
        let woken = |waits: &tokio::sync::watch::Receiver<()>| waits.has_changed().unwrap();
        assert!(woken(&alerted) && !woken(&projected) && !woken(&logged));
        assert_eq!(signals.to_tell().now_or_never(), None);
    }
}
