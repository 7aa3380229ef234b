//! What people have chosen to be told of and how, and whether their address is theirs and takes mail.
//!
//! Who has chosen nothing has no row, and the defaults: version 1.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult};
use uuid::Uuid;

use super::entities::notification_choices;
use super::event_log;
use super::given::Given;
use super::sql::execute;
use super::transactions::Act;
use super::users::{self, check_version};
use super::{StoreError, Tx};
use crate::domain::notification::confirming::{Confirming, NotAsked};
use crate::domain::notification::{AlertKind, Choices, Digest, Hour, Minute, QuietHours};
use crate::events::catalogue::ConfirmationRequested;

/// The version of what nobody has changed.
const FIRST_VERSION: i64 = 1;

/// What a user has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notifications {
    /// Of what the user is told, how and when.
    pub choices: Choices,
    /// When the user's address was refused for good; none: it takes mail, as far as we know.
    pub email_bounced_at: Option<DateTime<Utc>>,
    /// Whether the user has shown that the address is theirs.
    pub confirming: Confirming,
    /// Counts changes.
    pub version: i64,
}

impl Default for Notifications {
    fn default() -> Self {
        Self {
            choices: Choices::default(),
            email_bounced_at: None,
            confirming: Confirming::default(),
            version: FIRST_VERSION,
        }
    }
}

impl Notifications {
    /// Whether an alert of this kind is shown in the application.
    #[must_use]
    pub fn shows(&self, kind: AlertKind) -> bool {
        !self.choices.in_app_off.contains(&kind)
    }

    /// Whether an alert of this kind is sent by mail: never to an address that nobody has shown to be theirs.
    #[must_use]
    pub fn mails(&self, kind: AlertKind) -> bool {
        let is_confirmed = self.confirming.confirmed_at.is_some();
        is_confirmed && self.email_bounced_at.is_none() && self.choices.email_on.contains(&kind)
    }

    /// Whether the user may be asked by mail to show that the address is theirs.
    #[must_use]
    pub fn is_to_confirm(&self) -> bool {
        self.confirming.confirmed_at.is_none() && self.email_bounced_at.is_none()
    }

    fn ask(&mut self, now: DateTime<Utc>) -> Result<(), NotAsked> {
        if self.confirming.confirmed_at.is_none() && self.email_bounced_at.is_some() {
            return Err(NotAsked::Bounced);
        }
        self.confirming.ask(now)
    }
}

impl TryFrom<notification_choices::Model> for Notifications {
    type Error = StoreError;

    fn try_from(row: notification_choices::Model) -> Result<Self, StoreError> {
        let minute = |minutes: Option<i16>| minutes.and_then(Minute::of_day);
        let quiet_hours = minute(row.quiet_start)
            .zip(minute(row.quiet_end))
            .map(|(start, end)| QuietHours::new(start, end))
            .transpose()
            .map_err(StoreError::defect)?;
        let digest = row.digest.parse().map_err(StoreError::defect)?;
        let digest_hour = Hour::of_day(row.digest_hour)
            .ok_or_else(|| StoreError::defect(format!("a digest at {}", row.digest_hour)))?;
        Ok(Self {
            choices: Choices {
                in_app_off: kinds(&row.in_app_off),
                email_on: kinds(&row.email_on),
                quiet_hours,
                digest,
                digest_hour,
            },
            email_bounced_at: row.email_bounced_at,
            confirming: Confirming {
                confirmed_at: row.email_confirmed_at,
                asked_at: row.confirmation_asked_at,
                asked: row.confirmations_asked,
            },
            version: row.version,
        })
    }
}

/// Kinds by their words; one that only a newer release knows is passed over.
fn kinds(words: &str) -> BTreeSet<AlertKind> {
    let words = words.split_ascii_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

fn words(kinds: &BTreeSet<AlertKind>) -> String {
    let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    words.join(" ")
}

/// What the user has chosen, or the defaults.
///
/// # Errors
/// The database cannot be read.
pub async fn get(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Notifications, StoreError> {
    let row = notification_choices::Entity::find_by_id(user_id)
        .one(db)
        .await?;
    row.map_or_else(|| Ok(Notifications::default()), TryFrom::try_from)
}

/// What these users have chosen, across users: for the notifier. Who has chosen nothing is not among them.
///
/// # Errors
/// The database cannot be read.
pub async fn of_all_users(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<BTreeMap<Uuid, Notifications>, StoreError> {
    let ids: BTreeSet<Uuid> = ids.into_iter().collect();
    let given = Given::new(["id"], ids.into_iter().map(|id| [id.into()]));
    let text = "SELECT * FROM notification_choices WHERE user_id IN (SELECT id FROM given)";
    let mut found = BTreeMap::new();
    for row in given.run(db, text, []).await? {
        let row = notification_choices::Model::from_query_result(&row, "")?;
        found.insert(row.user_id, row.try_into()?);
    }
    Ok(found)
}

/// What to change; what is left out stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Kinds that are shown in the application from now on, or not.
    pub in_app: BTreeMap<AlertKind, bool>,
    /// Kinds that are sent by mail from now on, or not.
    pub email: BTreeMap<AlertKind, bool>,
    /// `Some(None)` ends them.
    pub quiet_hours: Option<Option<QuietHours>>,
    /// Whether mails gather alerts.
    pub digest: Option<Digest>,
    /// When they do.
    pub digest_hour: Option<Hour>,
    /// The address takes mail again.
    pub email_is_good: bool,
}

impl Change {
    fn apply(self, to: &mut Notifications) {
        let choices = &mut to.choices;
        for (kind, is_on) in self.in_app {
            set(&mut choices.in_app_off, kind, !is_on);
        }
        for (kind, is_on) in self.email {
            set(&mut choices.email_on, kind, is_on);
        }
        choices.quiet_hours = self.quiet_hours.unwrap_or(choices.quiet_hours);
        choices.digest = self.digest.unwrap_or(choices.digest);
        choices.digest_hour = self.digest_hour.unwrap_or(choices.digest_hour);
        if self.email_is_good {
            to.email_bounced_at = None;
        }
    }
}

fn set(kinds: &mut BTreeSet<AlertKind>, kind: AlertKind, is_in: bool) {
    if is_in {
        kinds.insert(kind);
    } else {
        kinds.remove(&kind);
    }
}

/// Changes what the user has chosen. Events of theirs that come after it find it so. Who turns the first kind on by mail,
/// where mail is sent, is asked to confirm the address, if nobody has and it may be asked now.
///
/// # Errors
/// [`StoreError::Stale`] when the version is not the expected one.
pub async fn change(
    tx: &Tx,
    act: Act,
    expected: Option<i64>,
    change: Change,
    sends_email: bool,
) -> Result<Notifications, StoreError> {
    let mut is_now = held(tx, act.user_id).await?;
    check_version(expected, is_now.version)?;
    let had_none = is_now.choices.email_on.is_empty();
    change.apply(&mut is_now);
    is_now.version += 1;
    let is_first = had_none && !is_now.choices.email_on.is_empty();
    let is_asked = is_first && sends_email && is_now.ask(act.now).is_ok();
    keep(tx, act.user_id, &is_now, act.now).await?;
    if is_asked {
        say(tx, act).await?;
    }
    Ok(is_now)
}

async fn held(tx: &Tx, user_id: Uuid) -> Result<Notifications, StoreError> {
    if !users::hold(tx, user_id).await? {
        return Err(StoreError::NotFound("user"));
    }
    get(&**tx, user_id).await
}

/// Asks the user to confirm the address, or says why not. No version changes: what is chosen stays.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn ask_to_confirm(tx: &Tx, act: Act) -> Result<Result<(), NotAsked>, StoreError> {
    let mut is_now = held(tx, act.user_id).await?;
    let asked = is_now.ask(act.now);
    if asked.is_ok() {
        keep(tx, act.user_id, &is_now, act.now).await?;
        say(tx, act).await?;
    }
    Ok(asked)
}

async fn say(tx: &Tx, act: Act) -> Result<(), StoreError> {
    let data = ConfirmationRequested {
        user_id: act.user_id,
        requested_at: act.now,
    };
    event_log::append(tx, &[act.event(act.user_id, data)]).await?;
    Ok(())
}

/// Writes down that the user has shown that this address is theirs. Says whether it is the one of the account.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn confirm(
    tx: &Tx,
    user_id: Uuid,
    email: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    if !users::hold(tx, user_id).await? || users::get(&**tx, user_id).await?.email != email {
        return Ok(false);
    }
    let mut is_now = get(&**tx, user_id).await?;
    if is_now.confirming.confirmed_at.is_none() {
        is_now.confirming.confirmed_at = Some(now);
        is_now.version += 1;
        keep(tx, user_id, &is_now, now).await?;
    }
    Ok(true)
}

/// Turns all mail off. Says whether there is such a user.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn unsubscribe(tx: &Tx, user_id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    if !users::hold(tx, user_id).await? {
        return Ok(false);
    }
    let mut is_now = get(&**tx, user_id).await?;
    if !is_now.choices.email_on.is_empty() {
        is_now.choices.email_on.clear();
        is_now.version += 1;
        keep(tx, user_id, &is_now, now).await?;
    }
    Ok(true)
}

/// Writes down that the user's address takes no mail. The user must be held.
///
/// # Errors
/// The unit of work cannot go on.
pub(super) async fn bounced(tx: &Tx, user_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let mut is_now = get(&**tx, user_id).await?;
    if is_now.email_bounced_at.is_none() {
        is_now.email_bounced_at = Some(now);
        is_now.version += 1;
        keep(tx, user_id, &is_now, now).await?;
    }
    Ok(())
}

async fn keep(
    tx: &Tx,
    user_id: Uuid,
    is_now: &Notifications,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let (choices, confirming) = (&is_now.choices, is_now.confirming);
    let quiet = choices.quiet_hours;
    execute(
        &**tx,
        "INSERT INTO notification_choices (user_id, in_app_off, email_on, quiet_start, quiet_end, digest, digest_hour, \
         email_bounced_at, version, created_at, updated_at, email_confirmed_at, confirmation_asked_at, confirmations_asked) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13) \
         ON CONFLICT (user_id) DO UPDATE SET in_app_off = excluded.in_app_off, email_on = excluded.email_on, \
         quiet_start = excluded.quiet_start, quiet_end = excluded.quiet_end, digest = excluded.digest, \
         digest_hour = excluded.digest_hour, email_bounced_at = excluded.email_bounced_at, version = excluded.version, \
         updated_at = excluded.updated_at, email_confirmed_at = excluded.email_confirmed_at, \
         confirmation_asked_at = excluded.confirmation_asked_at, confirmations_asked = excluded.confirmations_asked",
        [
            user_id.into(),
            words(&choices.in_app_off).into(),
            words(&choices.email_on).into(),
            quiet.map(|quiet| quiet.start().since_midnight()).into(),
            quiet.map(|quiet| quiet.end().since_midnight()).into(),
            choices.digest.as_str().into(),
            i16::from(choices.digest_hour.number()).into(),
            is_now.email_bounced_at.into(),
            is_now.version.into(),
            now.into(),
            confirming.confirmed_at.into(),
            confirming.asked_at.into(),
            confirming.asked.into(),
        ],
    )
    .await?;
    Ok(())
}
