//! Roles' consumers outside of their roles: what is handed over by hand goes the ordinary way.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::bus::consumer::Consumer;
use crate::bus::{Delivery, Handler, Heard, Outcome, Verdict};
use crate::clock::{Clock, Ids};
use crate::config::{Config, StateKind};
use crate::events::{EventType, catalogue};
use crate::notifier::Notifier;
use crate::projector::Projector;
use crate::state::State;
use crate::store::{Store, StoreError};

/// A role that hears events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HearingRole {
    /// Keeps the read models.
    Projector,
    /// Makes alerts.
    Notifier,
}

impl HearingRole {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Projector, Self::Notifier];

    /// Its name as a consumer.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Projector => catalogue::PROJECTOR,
            Self::Notifier => catalogue::NOTIFIER,
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What it hears.
    #[must_use]
    pub fn hears(self) -> &'static [EventType] {
        match self {
            Self::Projector => catalogue::PROJECTOR_HEARS,
            Self::Notifier => catalogue::NOTIFIER_HEARS,
        }
    }
}

impl fmt::Display for HearingRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of events that were handed over.
#[derive(Debug, Default)]
struct Counts {
    handled: AtomicU64,
    duplicates: AtomicU64,
}

/// A role's consumer, for events that are handed over by hand.
pub(super) struct Hands {
    consumer: Consumer,
    counts: Arc<Counts>,
    retry_min: std::time::Duration,
}

/// Times that a batch is tried.
const TRIES: u32 = 6;

impl Hands {
    pub(super) fn new(
        role: HearingRole,
        store: &Store,
        clock: &Clock,
        ids: &Ids,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let (store, clock, ids) = (store.clone(), clock.clone(), ids.clone());
        let inner: Arc<dyn Handler> = match role {
            HearingRole::Projector => {
                let (store, clock, ids) = (store.clone(), clock.clone(), ids.clone());
                Arc::new(Projector::new(store, clock, ids))
            }
            HearingRole::Notifier => {
                let (store, clock, ids) = (store.clone(), clock.clone(), ids.clone());
                let notifier = Notifier::new(store, clock, ids);
                Arc::new(notifier.sending_email(config.email.server.is_some()))
            }
        };
        let counts = Arc::new(Counts::default());
        let handler = Arc::new(Counted {
            inner,
            counts: Arc::clone(&counts),
        });
        // What was handled is for the inbox to say: a memory of its own says nothing at first.
        let mut settings = config.clone();
        settings.state.kind = StateKind::Embedded;
        let state = State::open(&settings, None)?;
        Ok(Self {
            consumer: Consumer::new(handler, store, state, clock, ids),
            counts,
            retry_min: config.bus.retry_min,
        })
    }

    /// Hands events over; a fault that passes is waited for, for a while.
    pub(super) async fn take(&self, deliveries: Vec<Delivery>) -> Result<Vec<Verdict>, StoreError> {
        let mut pause = self.retry_min;
        for _ in 1..TRIES {
            match self.consumer.take(deliveries.clone()).await {
                Err(StoreError::Busy(_)) => tokio::time::sleep(pause).await,
                done => return done,
            }
            pause *= 2;
        }
        self.consumer.take(deliveries).await
    }

    /// Events that had their effect now.
    pub(super) fn handled(&self) -> u64 {
        self.counts.handled.load(Ordering::Relaxed)
    }

    /// Events that had had it before.
    pub(super) fn duplicates(&self) -> u64 {
        self.counts.duplicates.load(Ordering::Relaxed)
    }
}

/// Counts what becomes of events.
struct Counted {
    inner: Arc<dyn Handler>,
    counts: Arc<Counts>,
}

impl Handler for Counted {
    fn consumer(&self) -> &'static str {
        self.inner.consumer()
    }

    fn hears(&self) -> &'static [EventType] {
        self.inner.hears()
    }

    fn handle(&self, batch: Arc<[Heard]>) -> BoxFuture<'_, Result<Vec<Outcome>, StoreError>> {
        async move {
            let outcomes = self.inner.handle(batch).await?;
            let count = |wanted: &Outcome| {
                let found = outcomes.iter().filter(|outcome| *outcome == wanted);
                found.count() as u64
            };
            let handled = count(&Outcome::Handled);
            self.counts.handled.fetch_add(handled, Ordering::Relaxed);
            let duplicates = count(&Outcome::Duplicate);
            self.counts
                .duplicates
                .fetch_add(duplicates, Ordering::Relaxed);
            Ok(outcomes)
        }
        .boxed()
    }
}
