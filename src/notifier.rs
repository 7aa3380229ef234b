//! Role `notifier`: turns warnings and insights into alerts, and delivers them.
//!
//! It hears the projector from the bus. One unit of work for a batch records the events in the
//! inbox, writes the alerts and says that they were sent; the streams of the api tail the alerts.
//! What is to go out by mail is queued in the same unit of work, and sent after it: alerts, and what the api asks for,
//! the mail by which somebody shows that their address is theirs.

/// Channel: the list and the live stream of the application.
pub mod in_app;
/// Channel: e-mail.
pub mod mail;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::bus::{Handler, Heard, Outcome};
use crate::clock::{Clock, Ids};
use crate::crash;
use crate::events::catalogue::{AlertSent, DeliveryStatus};
use crate::events::{Event, EventData, EventType, Source, catalogue};
use crate::store::alerts::{self, NewAlert};
use crate::store::deliveries::{self, NewDelivery};
use crate::store::notifications::{self, Notifications};
use crate::store::users::{self, Concerned};
use crate::store::{Store, StoreError, Tx, event_log, inbox};
use crate::telemetry::metrics::names;

/// The handler of the role.
#[derive(Debug, Clone)]
pub struct Notifier {
    store: Store,
    clock: Clock,
    ids: Ids,
    sends_email: bool,
}

impl Notifier {
    /// A notifier on this database.
    #[must_use]
    pub fn new(store: Store, clock: Clock, ids: Ids) -> Self {
        Self {
            store,
            clock,
            ids,
            sends_email: false,
        }
    }

    /// The same, which queues alerts for [`mail::Post`] if mail is sent at all.
    #[must_use]
    pub fn sending_email(self, sends_email: bool) -> Self {
        Self {
            sends_email,
            ..self
        }
    }
}

impl Handler for Notifier {
    fn consumer(&self) -> &'static str {
        catalogue::NOTIFIER
    }

    fn hears(&self) -> &'static [EventType] {
        catalogue::NOTIFIER_HEARS
    }

    fn handle(&self, batch: Arc<[Heard]>) -> BoxFuture<'_, Result<Vec<Outcome>, StoreError>> {
        let unit = Unit {
            now: self.clock.now(),
            ids: self.ids.clone(),
            sends_email: self.sends_email,
        };
        async move {
            let (outcomes, written) = self
                .store
                .write(move |tx| async move { unit.notify(&tx, &batch).await })
                .await
                .inspect_err(|_| metrics::counter!(names::ALERTS_FAILED_TOTAL).increment(1))?;
            crash::point("notifier.after_commit_before_ack");
            for alert in written {
                metrics::counter!(names::ALERTS_CREATED_TOTAL, "kind" => alert.kind.as_str())
                    .increment(1);
                tracing::info!(
                    alert_id = %alert.id,
                    kind = alert.kind.as_str(),
                    event_id = %alert.source_event_id,
                    user_id = %alert.user_id,
                    correlation_id = %alert.cause.correlation_id,
                    trace_id = alert.cause.trace.trace_id_hex(),
                    "alert"
                );
            }
            Ok(outcomes)
        }
        .boxed()
    }
}

/// What comes of an event.
enum Wish {
    /// An alert for somebody whose days are of this zone.
    Alert(Tz, NewAlert),
    /// A mail that asks whether an address is its user's.
    Confirmation(NewDelivery<'static>),
}

/// One batch, at one moment.
struct Unit {
    now: DateTime<Utc>,
    ids: Ids,
    sends_email: bool,
}

impl Unit {
    async fn notify(
        &self,
        tx: &Tx,
        batch: &[Heard],
    ) -> Result<(Vec<Outcome>, Vec<NewAlert>), StoreError> {
        let owners = batch.iter().map(|heard| heard.event.data.user_id());
        let concerned = users::concerned(&**tx, owners).await?;
        let mut accepted: Vec<(usize, Wish)> = Vec::new();
        let mut outcomes = vec![Outcome::Duplicate; batch.len()];
        for (index, heard) in batch.iter().enumerate() {
            match concerned.get(&heard.event.data.user_id()) {
                Some(Concerned::User { time_zone, .. }) => match self.wish(heard, *time_zone) {
                    Some(wish) => accepted.push((index, wish)),
                    None => outcomes[index] = Outcome::Handled,
                },
                Some(Concerned::Left) => outcomes[index] = Outcome::Handled,
                _ => outcomes[index] = Outcome::nobody(),
            }
        }
        // What the inbox knows already stays a duplicate.
        let ids: Vec<Uuid> = accepted
            .iter()
            .map(|(index, _)| batch[*index].event.id)
            .collect();
        let mut fresh = inbox::record(tx, catalogue::NOTIFIER, &ids, self.now).await?;
        accepted.retain(|(index, _)| fresh.remove(&batch[*index].event.id));
        let (mut alerts, mut confirmations) = (Vec::new(), Vec::new());
        for (index, wish) in accepted {
            outcomes[index] = Outcome::Handled;
            match wish {
                Wish::Alert(time_zone, alert) => alerts.push((time_zone, alert)),
                Wish::Confirmation(delivery) => confirmations.push(delivery),
            }
        }
        // Whether it is still to be asked is looked at when it is sent.
        if self.sends_email {
            deliveries::queue(tx, &confirmations, self.now).await?;
        }
        let shown = self.deliver(tx, alerts).await?;
        crash::point("notifier.before_commit");
        Ok((outcomes, shown))
    }

    fn wish(&self, heard: &Heard, time_zone: Tz) -> Option<Wish> {
        let id = self.ids.v7(self.now);
        if let EventData::ConfirmationRequested(asked) = &heard.event.data {
            let (event_id, cause) = (heard.event.id, heard.as_cause());
            let delivery = NewDelivery::confirmation(id, asked, event_id, cause);
            return Some(Wish::Confirmation(delivery));
        }
        in_app::alert(id, heard).map(|alert| Wish::Alert(time_zone, alert))
    }

    /// Hands each alert to the channels that its user has chosen for its kind; gives those that are shown in the
    /// application. One that no channel takes is handled all the same.
    async fn deliver(
        &self,
        tx: &Tx,
        accepted: Vec<(Tz, NewAlert)>,
    ) -> Result<Vec<NewAlert>, StoreError> {
        let users = accepted.iter().map(|(_, alert)| alert.user_id);
        let chosen = notifications::of_all_users(&**tx, users).await?;
        let usual = Notifications::default();
        let of = |alert: &NewAlert| chosen.get(&alert.user_id).unwrap_or(&usual);
        let mailed = accepted.iter().filter(|(_, alert)| {
            self.sends_email && !alert.historic && of(alert).mails(alert.kind)
        });
        let mailed = mailed.map(|(zone, alert)| {
            let due_at = of(alert).choices.due_at(self.now, *zone);
            NewDelivery::alert(self.ids.v7(self.now), alert, due_at)
        });
        let mailed: Vec<_> = mailed.collect();
        deliveries::queue(tx, &mailed, self.now).await?;
        let alerts = accepted.into_iter().map(|(_, alert)| alert);
        let shown: Vec<NewAlert> = alerts.filter(|alert| of(alert).shows(alert.kind)).collect();
        alerts::write(tx, &shown, self.now).await?;
        let sent = shown.iter().filter(|alert| !alert.historic);
        let sent: Vec<Event> = sent.map(|alert| self.sent(alert)).collect();
        event_log::append(tx, &sent).await?;
        Ok(shown)
    }

    fn sent(&self, alert: &NewAlert) -> Event {
        let data = AlertSent {
            alert_id: alert.id,
            user_id: alert.user_id,
            channel: in_app::CHANNEL,
            source_event: alert.source_event.to_owned(),
            source_event_id: alert.source_event_id,
            delivered_at: self.now,
            status: DeliveryStatus::Delivered,
        };
        Event::new(
            self.ids.v4(),
            Source::Notifier,
            alert.id,
            self.now,
            alert.cause,
            data,
        )
    }
}
