//! Insights in the words of Gemini: of those who have asked for it, within limits of time and cost, and with no other
//! figures than the rules have computed. Whatever goes wrong, the rules' words are there.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use metrics::counter;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::config;
use crate::domain::insight::Insight;
use crate::domain::insight::wording::{Ask, INSTRUCTION, WordedBy, Wording};
use crate::gemini::{Fault, Gemini, Question};
use crate::telemetry::metrics::names;

/// Insights of one look that are put into other words at the most.
const OF_A_LOOK_MAX: usize = 8;
/// Answers that are remembered: a unit of work that is tried again does not pay again.
const REMEMBERED_MAX: u64 = 10_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(86_400);
const TITLE: &str = "title";
const MESSAGE: &str = "message";

/// Puts insights into words.
#[derive(Debug)]
pub struct Writer {
    gemini: Gemini,
    /// What was asked, and what came of it; none: nothing that can be used.
    remembered: Cache<[u8; 32], Option<Wording>>,
    patience: Duration,
    calls_per_user: u32,
    tokens_per_day: u64,
    today: Mutex<Today>,
}

/// What was asked today (UTC).
#[derive(Debug, Default)]
struct Today {
    date: NaiveDate,
    calls: HashMap<Uuid, u32>,
    tokens: u64,
}

/// Insights as the rules have said them, by their keys, and in other words.
#[derive(Debug, Default)]
pub struct Worded(HashMap<String, (Insight, Wording)>);

impl Worded {
    /// The insight in other words, where these are of the very same one: it may have been found anew, with other
    /// figures.
    #[must_use]
    pub fn apply(&self, mut insight: Insight) -> (Insight, WordedBy) {
        match self.0.get(&insight.key) {
            Some((of, wording)) if *of == insight => {
                insight.title.clone_from(&wording.title);
                insight.message.clone_from(&wording.message);
                (insight, WordedBy::Gemini)
            }
            _ => (insight, WordedBy::Rules),
        }
    }
}

impl Writer {
    /// One with the limits of the configuration.
    #[must_use]
    pub fn new(gemini: Gemini, config: &config::Ai) -> Self {
        Self {
            gemini,
            remembered: Cache::builder()
                .max_capacity(REMEMBERED_MAX)
                .time_to_live(REMEMBERED_FOR)
                .build(),
            patience: config.timeout,
            calls_per_user: config.calls_per_user_per_day,
            tokens_per_day: config.tokens_per_day,
            today: Mutex::default(),
        }
    }

    /// Puts what was found by one look into words, one after the other, as long as there is time.
    pub async fn word(&self, user_id: Uuid, found: &[Insight], now: DateTime<Utc>) -> Worded {
        let until = Instant::now() + self.patience;
        let mut worded = HashMap::new();
        for insight in found.iter().take(OF_A_LOOK_MAX) {
            let Some(ask) = Ask::of(insight) else {
                continue;
            };
            let (wording, outcome) = self.word_one(user_id, &ask, until, now).await;
            counter!(names::AI_WORDINGS_TOTAL, "outcome" => outcome).increment(1);
            if let Some(wording) = wording {
                worded.insert(insight.key.clone(), (insight.clone(), wording));
            }
        }
        Worded(worded)
    }

    async fn word_one(
        &self,
        user_id: Uuid,
        ask: &Ask,
        until: Instant,
        now: DateTime<Utc>,
    ) -> (Option<Wording>, &'static str) {
        let text = ask.text();
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if let Some(remembered) = self.remembered.get(&key) {
            // The names are not in it; with them it may be too long.
            let wording = remembered.and_then(|answer| ask.accept(&answer).ok());
            return (wording, "remembered");
        }
        let patience = until.saturating_duration_since(Instant::now());
        if patience.is_zero() || !self.may_ask(user_id, now) {
            return (None, "limited");
        }
        let question = Question {
            instruction: INSTRUCTION,
            text: &text,
            fields: &[TITLE, MESSAGE],
        };
        let (answer, tokens) = self.gemini.ask(&question, patience).await;
        self.took(tokens);
        let answer = answer.map(|mut texts| Wording {
            title: texts.remove(TITLE).unwrap_or_default(),
            message: texts.remove(MESSAGE).unwrap_or_default(),
        });
        match answer {
            Err(Fault::Resting) => {
                self.did_not_ask(user_id);
                (None, "resting")
            }
            Err(fault) => {
                if fault.is_of_the_question() {
                    tracing::debug!(%fault, "an insight keeps the rules' words");
                    self.remembered.insert(key, None);
                }
                (None, "failed")
            }
            Ok(answer) => match ask.accept(&answer) {
                Ok(wording) => {
                    self.remembered.insert(key, Some(answer));
                    (Some(wording), "used")
                }
                Err(refusal) => {
                    tracing::debug!(%refusal, "an insight keeps the rules' words");
                    self.remembered.insert(key, None);
                    (None, "refused")
                }
            },
        }
    }

    /// Whether the user's share and all of today's are not used up; then a question more is counted.
    fn may_ask(&self, user_id: Uuid, now: DateTime<Utc>) -> bool {
        let mut today = self.lock();
        if today.date != now.date_naive() {
            *today = Today {
                date: now.date_naive(),
                ..Today::default()
            };
        }
        let asked = today.calls.get(&user_id).copied().unwrap_or_default();
        if asked >= self.calls_per_user || today.tokens >= self.tokens_per_day {
            return false;
        }
        today.calls.insert(user_id, asked + 1);
        true
    }

    /// Nothing was sent.
    fn did_not_ask(&self, user_id: Uuid) {
        if let Some(calls) = self.lock().calls.get_mut(&user_id) {
            *calls = calls.saturating_sub(1);
        }
    }

    fn took(&self, tokens: u64) {
        let mut today = self.lock();
        today.tokens = today.tokens.saturating_add(tokens);
    }

    fn lock(&self) -> MutexGuard<'_, Today> {
        self.today.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
