//! What is on its way to people by mail: alerts, written with the alert and settled with the event that says what became of
//! them, and the question whether an address is its user's. Each is taken by a lease.
//!
//! Whoever takes one holds its user, as whoever changes what the user has chosen: any number of processes may look for
//! what is due, and one that ends in the middle leaves it to be taken again when the lease is over. What was sent and not
//! written down is sent again: in the same mail, by its id.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use super::alerts::NewAlert;
use super::entities::deliveries;
use super::given::Given;
use super::notifications::{self, Notifications};
use super::signals::Signal;
use super::sql::{all, execute, one};
use super::{StoreError, Tx, event_log, users};
use crate::domain::notification::{AlertKind, Digest};
use crate::events::catalogue::{AlertSent, Channel, ConfirmationRequested, DeliveryStatus};
use crate::events::{Cause, Event, EventType, Source};
use crate::telemetry::trace::TraceContext;

/// How long after it was due an alert is still sent.
pub const GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(1);

/// Alerts that one mail tells of at the most.
const DIGEST_MAX: i64 = 100;

/// Rows among which those who have waited longest are looked for.
const LOOKED_AT_MAX: i64 = 1_000;

/// As it is kept.
const EMAIL: &str = "email";
const PENDING: &str = "pending";

/// In place of an alert's kind: the question whether the address is its user's. Its text is written when it is sent, for a
/// link in it is kept nowhere.
pub(super) const CONFIRMATION: &str = "confirmation";

/// Why one that could not be sent in time was given up.
const TOO_LATE: &str = "too_late";

/// What became of alerts that were to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The mail server has taken them.
    Delivered,
    /// They will not be sent.
    Failed,
    /// They are not wanted any more.
    Suppressed,
}

impl Settled {
    /// As it is kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Suppressed => "suppressed",
        }
    }
}

/// What is to be sent by mail.
#[derive(Debug)]
pub struct NewDelivery<'a> {
    id: Uuid,
    user_id: Uuid,
    alert_id: Uuid,
    kind: &'static str,
    title: &'a str,
    message: &'a str,
    source_event: &'static str,
    source_event_id: Uuid,
    cause: Cause,
    due_at: DateTime<Utc>,
}

impl<'a> NewDelivery<'a> {
    /// An alert, at its time.
    #[must_use]
    pub fn alert(id: Uuid, alert: &'a NewAlert, due_at: DateTime<Utc>) -> Self {
        Self {
            id,
            user_id: alert.user_id,
            alert_id: alert.id,
            kind: alert.kind.as_str(),
            title: &alert.title,
            message: &alert.message,
            source_event: alert.source_event,
            source_event_id: alert.source_event_id,
            cause: alert.cause,
            due_at,
        }
    }

    /// The question whether the address is the user's, which an event has asked for. The event's id stands for the
    /// alert's: one mail for each, by a key.
    #[must_use]
    pub const fn confirmation(
        id: Uuid,
        asked: &ConfirmationRequested,
        event_id: Uuid,
        cause: Cause,
    ) -> Self {
        Self {
            id,
            user_id: asked.user_id,
            alert_id: event_id,
            kind: CONFIRMATION,
            title: "",
            message: "",
            source_event: EventType::ConfirmationRequested.as_str(),
            source_event_id: event_id,
            cause,
            due_at: asked.requested_at,
        }
    }
}

/// Writes down what is to be sent by mail, each at its time.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn queue(
    tx: &Tx,
    deliveries: &[NewDelivery<'_>],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let columns = [
        "id",
        "user_id",
        "alert_id",
        "kind",
        "title",
        "message",
        "source_event",
        "source_event_id",
        "correlation_id",
        "traceparent",
        "chain_begun_at",
        "due_at",
    ];
    let rows = deliveries.iter().map(|it| {
        [
            it.id.into(),
            it.user_id.into(),
            it.alert_id.into(),
            it.kind.into(),
            it.title.into(),
            it.message.into(),
            it.source_event.into(),
            it.source_event_id.into(),
            it.cause.correlation_id.into(),
            it.cause.trace.to_string().into(),
            it.cause.begun_at.unwrap_or(now).into(),
            it.due_at.into(),
        ]
    });
    let text = "INSERT INTO deliveries (id, user_id, alert_id, channel, kind, title, message, source_event, \
         source_event_id, correlation_id, traceparent, chain_begun_at, status, due_at, next_at, attempts, created_at) \
         SELECT id, user_id, alert_id, $2, kind, title, message, source_event, source_event_id, correlation_id, \
         traceparent, chain_begun_at, $3, due_at, due_at, 0, $1 FROM given";
    Given::new(columns, rows)
        .run(&**tx, text, [now.into(), EMAIL.into(), PENDING.into()])
        .await?;
    tx.after_commit(Signal::Queued);
    Ok(())
}

/// Users of whom something is to be sent now, across users: those who have waited longest first.
///
/// # Errors
/// The database cannot be read.
pub async fn due_of_all_users(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, StoreError> {
    let text = "SELECT user_id FROM (SELECT user_id, next_at FROM deliveries WHERE status = 'pending' AND next_at <= $1 \
         ORDER BY next_at LIMIT $2) AS ordered GROUP BY user_id ORDER BY MIN(next_at), user_id";
    let rows = all(db, text, [now.into(), LOOKED_AT_MAX.into()]).await?;
    let ids = rows.iter().map(|row| Ok(row.try_get_by_index(0)?));
    ids.collect()
}

/// Since when the oldest is due that is not settled, across users.
///
/// # Errors
/// The database cannot be read.
pub async fn oldest_due_of_all_users(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let text = "SELECT due_at FROM deliveries WHERE status = 'pending' AND due_at <= $1 ORDER BY due_at LIMIT 1";
    let row = one(db, text, [now.into()]).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// What a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// An alert of this kind.
    Alert(AlertKind),
    /// The question whether the address is its user's.
    Confirmation,
}

impl Matter {
    fn of(kind: &str) -> Option<Self> {
        match kind {
            CONFIRMATION => Some(Self::Confirmation),
            kind => kind.parse().ok().map(Self::Alert),
        }
    }

    /// Whether it is to be sent to who has chosen so. Never are both: alerts go to addresses that are confirmed alone.
    fn is_wanted(self, chosen: &Notifications) -> bool {
        match self {
            Self::Alert(kind) => chosen.mails(kind),
            Self::Confirmation => chosen.is_to_confirm(),
        }
    }
}

/// What goes out: an alert, or the question whether the address is its user's.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The delivery's id.
    pub id: Uuid,
    /// What it is; none of what a newer release knows.
    pub matter: Option<Matter>,
    /// The alert that it is of.
    pub alert_id: Uuid,
    /// At most 100 characters; none of a question.
    pub title: String,
    /// At most 500 characters; none of a question.
    pub message: String,
    source_event: String,
    source_event_id: Uuid,
    cause: Cause,
    due_at: DateTime<Utc>,
    mail_id: Option<Uuid>,
    attempts: i16,
}

impl TryFrom<deliveries::Model> for Part {
    type Error = StoreError;

    fn try_from(row: deliveries::Model) -> Result<Self, StoreError> {
        let trace = TraceContext::parse(&row.traceparent)
            .ok_or_else(|| StoreError::defect("a delivery has no trace"))?;
        Ok(Self {
            id: row.id,
            matter: Matter::of(&row.kind),
            alert_id: row.alert_id,
            title: row.title,
            message: row.message,
            source_event: row.source_event,
            source_event_id: row.source_event_id,
            cause: Cause {
                correlation_id: row.correlation_id,
                causation_id: Some(row.source_event_id),
                begun_at: Some(row.chain_begun_at),
                trace,
            },
            due_at: row.due_at,
            mail_id: row.mail_id,
            attempts: row.attempts,
        })
    }
}

impl Part {
    fn is_confirmation(&self) -> bool {
        self.matter == Some(Matter::Confirmation)
    }
}

/// A mail that is to be sent now, by who has taken it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The mail's id: that of the first alert's delivery. The same however often it is sent.
    pub id: Uuid,
    /// Whom it is for.
    pub user_id: Uuid,
    /// The user's address.
    pub email: String,
    /// What it tells of, in the order in which it happened; at least one.
    pub parts: Vec<Part>,
    /// The how manieth attempt this is, from 1.
    pub attempt: i16,
}

impl Outgoing {
    /// Whether it asks if the address is its user's. It does nothing else then.
    #[must_use]
    pub fn is_confirmation(&self) -> bool {
        self.parts.iter().any(Part::is_confirmation)
    }

    /// Since when the first of its parts is due.
    #[must_use]
    pub fn due_at(&self) -> DateTime<Utc> {
        let dues = self.parts.iter().map(|part| part.due_at);
        dues.min().unwrap_or_default()
    }
}

/// What there is to be done for a user.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// This is to be sent.
    Mail(Outgoing),
    /// What was due is not to be sent now, or not at all: so many alerts were settled, and how.
    Changed(Vec<(Settled, usize)>),
    /// Nothing is due, or somebody else is at it.
    Nothing,
}

/// Takes the user's next mail, until the lease is over; settles what is not wanted any more, and what is too late.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn claim(
    tx: &Tx,
    user_id: Uuid,
    now: DateTime<Utc>,
    lease: TimeDelta,
    event_id: impl FnMut() -> Uuid,
) -> Result<Claim, StoreError> {
    let Some(zone) = users::hold_if_free(tx, user_id).await? else {
        return Ok(Claim::Nothing);
    };
    let text = "SELECT * FROM deliveries WHERE user_id = $1 AND status = 'pending' AND next_at <= $2 \
         ORDER BY next_at, id LIMIT $3";
    let mut due: Vec<Part> = Vec::new();
    for row in all(&**tx, text, [user_id.into(), now.into(), DIGEST_MAX.into()]).await? {
        due.push(deliveries::Model::from_query_result(&row, "")?.try_into()?);
    }
    if due.is_empty() {
        return Ok(Claim::Nothing);
    }
    let chosen = notifications::get(&**tx, user_id).await?;
    let is_wanted = |part: &Part| part.matter.is_some_and(|it| it.is_wanted(&chosen));
    let (wanted, unwanted): (Vec<Part>, _) = due.into_iter().partition(is_wanted);
    let (wanted, late): (Vec<Part>, _) = wanted
        .into_iter()
        .partition(|part| now - part.due_at <= GIVEN_UP_AFTER);
    let mut settled = Vec::new();
    if !unwanted.is_empty() {
        let how = Settled::Suppressed;
        settle_parts(tx, user_id, &unwanted, how, None, now).await?;
        settled.push((how, unwanted.len()));
    }
    if !late.is_empty() {
        let how = Settled::Failed;
        settle_parts(tx, user_id, &late, how, Some(TOO_LATE), now).await?;
        tell(tx, user_id, &late, DeliveryStatus::Failed, now, event_id).await?;
        settled.push((how, late.len()));
    }
    if !settled.is_empty() || hold_back(tx, user_id, &wanted, &chosen, zone, now).await? {
        return Ok(Claim::Changed(settled));
    }
    let digest = match chosen.is_to_confirm() {
        // Each question is a mail of its own.
        true => Digest::None,
        false => chosen.choices.digest,
    };
    let parts = one_mail(wanted, digest);
    let email = users::get(&**tx, user_id).await?.email;
    take(tx, user_id, email, parts, now + lease)
        .await
        .map(Claim::Mail)
}

/// Moves what is due within quiet hours to their end, but for what somebody has just asked for; says whether it did.
async fn hold_back(
    tx: &Tx,
    user_id: Uuid,
    parts: &[Part],
    chosen: &Notifications,
    zone: Tz,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let awake_at = chosen.choices.awake_at(now, zone);
    if awake_at <= now || chosen.is_to_confirm() {
        return Ok(false);
    }
    // What was never tried is not late for it.
    let text = "UPDATE deliveries SET next_at = $2, due_at = CASE attempts WHEN 0 THEN $2 ELSE due_at END \
         WHERE user_id = $1 AND id IN (SELECT id FROM given)";
    ids_of(parts)
        .run(&**tx, text, [user_id.into(), awake_at.into()])
        .await?;
    Ok(true)
}

/// Those that go out together: as they did at the attempt before; else all where they are gathered, or the first.
fn one_mail(due: Vec<Part>, digest: Digest) -> Vec<Part> {
    let mail_id = due.first().and_then(|part| part.mail_id);
    let is_with = |part: &Part| part.mail_id == mail_id;
    let count = match (mail_id, digest) {
        (None, Digest::None) => 1,
        _ => due.len(),
    };
    let mut parts: Vec<Part> = due.into_iter().filter(is_with).take(count).collect();
    parts.sort_by_key(|part| part.id);
    parts
}

async fn take(
    tx: &Tx,
    user_id: Uuid,
    email: String,
    parts: Vec<Part>,
    until: DateTime<Utc>,
) -> Result<Outgoing, StoreError> {
    let first = parts
        .first()
        .ok_or_else(|| StoreError::defect("a mail of nothing"))?;
    let (id, attempt) = (first.mail_id.unwrap_or(first.id), first.attempts + 1);
    let text = "UPDATE deliveries SET mail_id = $2, attempts = $3, next_at = $4 \
         WHERE user_id = $1 AND id IN (SELECT id FROM given)";
    let values = [user_id.into(), id.into(), attempt.into(), until.into()];
    ids_of(&parts).run(&**tx, text, values).await?;
    Ok(Outgoing {
        id,
        user_id,
        email,
        parts,
        attempt,
    })
}

fn ids_of(parts: &[Part]) -> Given<1> {
    Given::new(["id"], parts.iter().map(|part| [part.id.into()]))
}

async fn settle_parts(
    tx: &Tx,
    user_id: Uuid,
    parts: &[Part],
    how: Settled,
    cause: Option<&'static str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let text = "UPDATE deliveries SET status = $2, last_cause = COALESCE($3, last_cause), finished_at = $4 \
         WHERE user_id = $1 AND id IN (SELECT id FROM given)";
    let values = [
        user_id.into(),
        how.as_str().into(),
        cause.into(),
        now.into(),
    ];
    ids_of(parts).run(&**tx, text, values).await?;
    Ok(())
}

/// Says what became of each alert.
async fn tell(
    tx: &Tx,
    user_id: Uuid,
    parts: &[Part],
    status: DeliveryStatus,
    now: DateTime<Utc>,
    mut event_id: impl FnMut() -> Uuid,
) -> Result<(), StoreError> {
    let alerts = parts.iter().filter(|part| !part.is_confirmation());
    let events = alerts.map(|part| {
        let data = AlertSent {
            alert_id: part.alert_id,
            user_id,
            channel: Channel::Email,
            source_event: part.source_event.clone(),
            source_event_id: part.source_event_id,
            delivered_at: now,
            status,
        };
        let (source, cause) = (Source::Notifier, part.cause);
        Event::new(event_id(), source, part.alert_id, now, cause, data)
    });
    let events: Vec<Event> = events.collect();
    event_log::append(tx, &events).await?;
    Ok(())
}

/// What came of an attempt to send a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The mail server has taken it.
    Taken,
    /// It is tried again at this moment.
    Again(DateTime<Utc>, &'static str),
    /// It will never be taken.
    Refused(&'static str),
    /// Nothing will ever be taken for this address.
    Bounced(&'static str),
}

/// Writes down what came of an attempt, and says it where that is the end. Says whether it was still ours to be written:
/// the lease may have run out, and the user may have left.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn conclude(
    tx: &Tx,
    mail: &Outgoing,
    attempt: Attempt,
    now: DateTime<Utc>,
    event_id: impl FnMut() -> Uuid,
) -> Result<bool, StoreError> {
    let user_id = mail.user_id;
    if !users::hold(tx, user_id).await? || !is_ours(tx, mail).await? {
        return Ok(false);
    }
    let (how, cause, status) = match attempt {
        Attempt::Again(at, cause) => {
            let text = "UPDATE deliveries SET next_at = $3, last_cause = $4 \
                 WHERE user_id = $1 AND mail_id = $2 AND status = 'pending'";
            let values = [user_id.into(), mail.id.into(), at.into(), cause.into()];
            execute(&**tx, text, values).await?;
            return Ok(true);
        }
        Attempt::Taken => (Settled::Delivered, None, DeliveryStatus::Delivered),
        Attempt::Refused(cause) | Attempt::Bounced(cause) => {
            (Settled::Failed, Some(cause), DeliveryStatus::Failed)
        }
    };
    if matches!(attempt, Attempt::Bounced(_)) {
        notifications::bounced(tx, user_id, now).await?;
    }
    settle_parts(tx, user_id, &mail.parts, how, cause, now).await?;
    tell(tx, user_id, &mail.parts, status, now, event_id).await?;
    Ok(true)
}

/// Whether nobody else has taken it since.
async fn is_ours(tx: &Tx, mail: &Outgoing) -> Result<bool, StoreError> {
    let text = "SELECT 1 FROM deliveries WHERE user_id = $1 AND mail_id = $2 AND status = 'pending' AND attempts = $3";
    let values = [mail.user_id.into(), mail.id.into(), mail.attempt.into()];
    Ok(one(&**tx, text, values).await?.is_some())
}
