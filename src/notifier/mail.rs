//! Channel e-mail: sends what was queued, each user's in its order, and writes down what came of it. Alerts go to
//! addresses that are confirmed; to others the question goes whether they are their user's, and nothing else.
//!
//! Any number of processes do it side by side: who takes a mail has it until the lease is over. What was sent by a
//! process that ended before it could say so is sent again, with the same `Message-ID`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::{Clock, Ids};
use crate::crash;
use crate::domain::notification::confirming::GOOD_FOR;
use crate::links::Links;
use crate::mail::{Cause, Fault, Mail, Mailer};
use crate::store::deliveries::{self, Attempt, Claim, GIVEN_UP_AFTER, Outgoing, Settled};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::handles::{DeliveryMetrics, JobMetrics};

/// How often it is looked for what has become due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How soon it is looked again when something is left.
const LEFT_AFTER: Duration = Duration::from_secs(1);
/// How long the mail server is left alone that is away, or does not let us in.
const AWAY_FOR: Duration = Duration::from_secs(15);
/// How long something may be due before the job of sending it counts as not done.
const LATE: TimeDelta = TimeDelta::minutes(15);
/// Mails of one user before it is another one's turn.
const IN_A_ROW_MAX: u32 = 32;
/// How long who takes a mail has it: longer by far than the mail server may take for one.
pub const LEASE: TimeDelta = TimeDelta::minutes(5);
/// Mails in a row that the mail server does not take now, before it is left alone: one may be for an address that is to
/// come again later.
const AWAY_MAX: u32 = 3;
/// Refused by its name, whatever the mail says: there is no such mailbox, it has moved, its name is none, it takes no
/// mail (RFC 5321, 4.2.3; RFC 7504). A mailbox that is full takes the next one.
const OF_THE_ADDRESS: [u16; 4] = [550, 551, 553, 556];
/// How long after the first attempt the second is; it doubles each time, up to the longest.
const RETRY_MIN: TimeDelta = TimeDelta::seconds(30);
const RETRY_MAX: TimeDelta = TimeDelta::hours(1);

/// What a round has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// Mails that were sent.
    pub sent: u32,
    /// Whether something is due still.
    pub left: bool,
    /// Mails since the last that was sent which the mail server did not take now.
    pub away_in_a_row: u32,
    /// Whether it takes nothing of us.
    pub is_refused: bool,
    /// Whether something was due for long when it was looked.
    pub is_late: bool,
}

impl Round {
    /// Whether the mail server is to be left alone for a while.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        self.is_refused || self.away_in_a_row >= AWAY_MAX
    }
}

/// Brings mails to the mail server.
#[derive(Debug, Clone)]
pub struct Post {
    store: Store,
    clock: Clock,
    ids: Ids,
    mailer: Mailer,
    links: Links,
    public_url: String,
    metrics: DeliveryMetrics,
}

impl Post {
    /// By this mail server; links in mails lead to the server at the address.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Clock,
        ids: Ids,
        mailer: Mailer,
        links: Links,
        public_url: String,
    ) -> Self {
        Self {
            store,
            clock,
            ids,
            mailer,
            links,
            public_url,
            metrics: DeliveryMetrics::new("email"),
        }
    }

    /// Goes on until the process is told to stop. A mail that is being sent then is sent.
    ///
    /// # Errors
    /// None: what cannot be done now is done later.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let job = JobMetrics::new("mail");
        let mut queued = self.store.signals().queued();
        while !stop.is_cancelled() {
            queued.mark_unchanged();
            let (wait, is_deaf) = match self.round(&stop).await {
                Ok(round) if round.is_away() => {
                    job.failed();
                    (AWAY_FOR, true)
                }
                Ok(round) if round.is_late => {
                    job.failed();
                    (LOOK_EVERY, false)
                }
                Ok(round) if round.left => (LEFT_AFTER, false),
                Ok(_) => {
                    job.succeeded(self.clock.now());
                    (LOOK_EVERY, false)
                }
                Err(error) => {
                    job.failed();
                    tracing::warn!(%error, "mail: will try again");
                    (LEFT_AFTER, true)
                }
            };
            let woken = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = queued.changed(), if !is_deaf => {}
                }
            };
            let _ = timeout(wait, woken).await;
        }
        Ok(())
    }

    /// Sends what is due, of each user some; of what there is much, the rest is left for the next round.
    ///
    /// # Errors
    /// The database cannot do it now.
    pub async fn round(&self, stop: &CancellationToken) -> Result<Round, StoreError> {
        let now = self.clock.now();
        let reads = self.store.reads();
        let oldest = deliveries::oldest_due_of_all_users(reads, now).await?;
        let waited = oldest.map_or(TimeDelta::zero(), |due_at| now - due_at);
        self.metrics.oldest(waited);
        let mut round = Round {
            is_late: waited > LATE,
            ..Round::default()
        };
        for user_id in deliveries::due_of_all_users(reads, now).await? {
            let mut steps = 0;
            while steps < IN_A_ROW_MAX && !round.is_away() && !stop.is_cancelled() {
                steps += 1;
                if !self.step(user_id, &mut round).await? {
                    break;
                }
            }
            round.left |= steps == IN_A_ROW_MAX;
            if round.is_away() || stop.is_cancelled() {
                break;
            }
        }
        Ok(round)
    }

    /// Takes the user's next mail and sends it; says whether there may be another.
    async fn step(&self, user_id: Uuid, round: &mut Round) -> Result<bool, StoreError> {
        let (now, ids) = (self.clock.now(), self.ids.clone());
        let unit =
            move |tx| async move { deliveries::claim(&tx, user_id, now, LEASE, || ids.v4()).await };
        let mail = match self.store.write(unit).await? {
            Claim::Mail(mail) => mail,
            Claim::Changed(settled) => {
                for (how, count) in settled {
                    self.metrics.settled(how.as_str(), count);
                    tracing::info!(%user_id, outcome = how.as_str(), count, "mail");
                }
                return Ok(true);
            }
            Claim::Nothing => return Ok(false),
        };
        crash::point("mail.after_claim_before_send");
        let told = self.mailer.send(&self.written(&mail)).await;
        crash::point("mail.after_send_before_mark");
        match &told {
            Ok(()) => {
                round.sent += 1;
                round.away_in_a_row = 0;
            }
            Err(fault) if fault.cause == Cause::Away => round.away_in_a_row += 1,
            Err(fault) => round.is_refused |= matches!(fault.cause, Cause::Tls | Cause::SignIn),
        }
        // What else is due to an address that is to come again later is another round's.
        let is_now = told.as_ref().err().map(|fault| fault.cause) != Some(Cause::Away);
        self.conclude(mail, told).await?;
        Ok(is_now)
    }

    async fn conclude(&self, mail: Outgoing, told: Result<(), Fault>) -> Result<(), StoreError> {
        let (now, ids) = (self.clock.now(), self.ids.clone());
        let attempt = attempt_of(&mail, told.as_ref().err().map(|fault| fault.cause), now);
        let (mail_id, user_id) = (mail.id, mail.user_id);
        let (count, number) = (mail.parts.len(), mail.attempt);
        let unit = move |tx| async move {
            deliveries::conclude(&tx, &mail, attempt, now, || ids.v4()).await
        };
        if !self.store.write(unit).await? {
            return Ok(());
        }
        let outcome = outcome_of(attempt);
        self.metrics.settled(outcome, count);
        match told {
            Ok(()) => tracing::info!(%mail_id, %user_id, attempt = number, count, outcome, "mail"),
            Err(error) => {
                tracing::warn!(%mail_id, %user_id, attempt = number, count, outcome, %error, "mail");
            }
        }
        Ok(())
    }

    fn written(&self, mail: &Outgoing) -> Mail {
        if mail.is_confirmation() {
            return self.question(mail);
        }
        let link = self.links.unsubscribe(&self.public_url, mail.user_id);
        Mail {
            to: mail.email.clone(),
            id: mail.id,
            subject: subject(mail),
            text: text(mail, link.as_deref()),
            // Mail programs ask in secret alone (RFC 8058, 3.1).
            unsubscribe: link.filter(|link| link.starts_with("https:")),
        }
    }

    /// Whether the address is its user's. Sent again it says the same, so its link ends by when it was asked for.
    fn question(&self, mail: &Outgoing) -> Mail {
        let ends_at = mail.due_at() + GOOD_FOR;
        let (user_id, email) = (mail.user_id, &mail.email);
        let link = self
            .links
            .confirm(&self.public_url, user_id, email, ends_at);
        Mail {
            to: email.clone(),
            id: mail.id,
            subject: "Is this your e-mail address?".to_owned(),
            text: question(link.as_deref().unwrap_or_default()),
            unsubscribe: None,
        }
    }
}

fn question(link: &str) -> String {
    format!(
        "Somebody wants alerts of their finances to be sent to this address.\n\n\
         If it was you, open this within {} days and press the button:\n{link}\n\n\
         If it was not you, do nothing: no alert is sent here then.\n",
        GOOD_FOR.num_days()
    )
}

fn subject(mail: &Outgoing) -> String {
    match &mail.parts[..] {
        [only] => one_line(&only.title),
        parts => format!("{} alerts", parts.len()),
    }
}

/// Names are as people write them; a subject is one line.
fn one_line(text: &str) -> String {
    let words = text.split(|letter: char| letter.is_control());
    words.collect::<Vec<_>>().join(" ")
}

fn text(mail: &Outgoing, link: Option<&str>) -> String {
    let is_one = mail.parts.len() == 1;
    let mut text = String::new();
    for part in &mail.parts {
        if !is_one {
            text.push_str(&part.title);
            text.push('\n');
        }
        text.push_str(&part.message);
        text.push_str("\n\n");
    }
    text.push_str("You have asked to be told of this by e-mail.\n");
    if let Some(link) = link {
        text.push_str("To get no more e-mail: ");
        text.push_str(link);
        text.push('\n');
    }
    text
}

/// What comes of what the mail server made of a mail.
fn attempt_of(mail: &Outgoing, fault: Option<Cause>, now: DateTime<Utc>) -> Attempt {
    let Some(cause) = fault else {
        return Attempt::Taken;
    };
    match cause {
        Cause::Refused { code } if OF_THE_ADDRESS.contains(&code) => Attempt::Bounced(word(cause)),
        Cause::Refused { .. } | Cause::Unsendable => Attempt::Refused(word(cause)),
        Cause::Away | Cause::Tls | Cause::SignIn => {
            let at = now + retry_after(mail.attempt, mail.id);
            if at - mail.due_at() > GIVEN_UP_AFTER {
                Attempt::Refused(word(cause))
            } else {
                Attempt::Again(at, word(cause))
            }
        }
    }
}

const fn outcome_of(attempt: Attempt) -> &'static str {
    match attempt {
        Attempt::Taken => Settled::Delivered.as_str(),
        Attempt::Again(..) => "retried",
        Attempt::Refused(_) => Settled::Failed.as_str(),
        Attempt::Bounced(_) => "bounced",
    }
}

/// As it is kept.
const fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Away => "away",
        Cause::Tls => "tls",
        Cause::SignIn => "sign_in",
        Cause::Refused { .. } => "refused",
        Cause::Unsendable => "unsendable",
    }
}

/// How long after so many attempts the next one is: twice as long each time, less up to a half by the random bits of the
/// mail's id, so that those who failed together do not come again together.
fn retry_after(attempts: i16, mail_id: Uuid) -> TimeDelta {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(16);
    let full = RETRY_MIN
        .checked_mul(1 << doublings)
        .map_or(RETRY_MAX, |pause| pause.min(RETRY_MAX));
    let (_, random) = mail_id.as_u64_pair();
    let thousandths = i32::try_from(random % 501).unwrap_or(0);
    full - full / 1_000 * thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ_from_mail_to_mail() {
        let ids = Ids::seeded(1);
        for attempt in 1..=200 {
            let full = RETRY_MIN * (1 << (attempt - 1).min(16));
            let full = full.min(RETRY_MAX);
            let pauses: Vec<TimeDelta> = (0..100)
                .map(|_| retry_after(attempt, ids.v7(DateTime::UNIX_EPOCH)))
                .collect();
            let within = |pause: &TimeDelta| *pause <= full && *pause >= full / 2;
            assert!(pauses.iter().all(within), "{attempt} {pauses:?}");
            assert!(pauses.iter().min() < pauses.iter().max());
        }
    }

    #[test]
    fn a_subject_is_one_line() {
        assert_eq!(
            one_line("Food\r\nBcc: eve@example.com"),
            "Food  Bcc: eve@example.com"
        );
    }
}
