//! Somebody who holds something, and takes their time.

use sea_orm::ConnectionTrait;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::Chain;

/// A unit of work that holds something, and takes its time.
pub(super) struct Slow {
    release: oneshot::Sender<()>,
    unit: JoinHandle<()>,
}

impl Slow {
    pub(super) async fn with(chain: &Chain, text: impl Into<String>) -> Self {
        let (holding, held) = oneshot::channel();
        let (release, released) = oneshot::channel::<()>();
        let (store, text) = (chain.store.clone(), text.into());
        let unit = tokio::spawn(async move {
            let unit = store.write(move |tx| async move {
                tx.execute_unprepared(&text).await?;
                let _ = holding.send(());
                let _ = released.await;
                Ok(())
            });
            unit.await.expect("it is held to the end");
        });
        held.await.expect("it is held");
        Self { release, unit }
    }

    pub(super) async fn end(self) {
        self.release.send(()).expect("it waits");
        self.unit.await.expect("no panic");
    }
}
