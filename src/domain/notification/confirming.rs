//! Showing that an address is its user's: by the link of a mail, which is not sent as often as somebody likes, since the
//! address may be another's.

use chrono::{DateTime, TimeDelta, Utc};

/// How long the link of such a mail is good.
pub const GOOD_FOR: TimeDelta = TimeDelta::days(7);

/// How long after a mail was asked for the next may be.
const PAUSE: TimeDelta = TimeDelta::minutes(5);

/// Mails that are sent to an address that nobody confirms.
const MAILS_MAX: i16 = 5;

/// How far a user has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confirming {
    /// When the address was confirmed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When a mail was asked for last.
    pub asked_at: Option<DateTime<Utc>>,
    /// How many were asked for.
    pub asked: i16,
}

/// Why no mail is sent that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAsked {
    /// The address is confirmed.
    Confirmed,
    /// The address takes no mail.
    Bounced,
    /// One was sent not long ago; the next may be asked for in so long.
    TooSoon(TimeDelta),
    /// As many were sent as may be.
    TooMany,
}

impl Confirming {
    /// Counts a mail that is asked for.
    ///
    /// # Errors
    /// None is sent.
    pub fn ask(&mut self, now: DateTime<Utc>) -> Result<(), NotAsked> {
        if self.confirmed_at.is_some() {
            return Err(NotAsked::Confirmed);
        }
        if self.asked >= MAILS_MAX {
            return Err(NotAsked::TooMany);
        }
        let rest = self.asked_at.map(|at| at + PAUSE - now);
        if let Some(rest) = rest.filter(|rest| *rest > TimeDelta::zero()) {
            return Err(NotAsked::TooSoon(rest));
        }
        self.asked_at = Some(now);
        self.asked += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_every_five_minutes_and_five_in_all() {
        let mut now = DateTime::UNIX_EPOCH;
        let mut confirming = Confirming::default();
        for count in 1..=5 {
            assert_eq!(confirming.ask(now), Ok(()));
            assert_eq!((confirming.asked, confirming.asked_at), (count, Some(now)));
            if count < 5 {
                let almost = PAUSE - TimeDelta::microseconds(1);
                let told = NotAsked::TooSoon(TimeDelta::microseconds(1));
                assert_eq!(confirming.ask(now + almost), Err(told));
                assert_eq!(confirming.ask(now), Err(NotAsked::TooSoon(PAUSE)));
            }
            now += PAUSE;
        }
        let before = confirming;
        let later = now + TimeDelta::days(365);
        assert_eq!(confirming.ask(later), Err(NotAsked::TooMany));
        confirming.confirmed_at = Some(now);
        assert_eq!(confirming.ask(later), Err(NotAsked::Confirmed));
        assert_eq!(
            confirming.asked, before.asked,
            "what is refused does not count"
        );
    }
}
