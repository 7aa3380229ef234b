//! Bookings by words. The projector keeps a row for each word of each booking, in the order of lists; rows are sums of
//! deltas like all that it keeps, so that the order of events does not matter.
//!
//! The rarest word cannot be known beforehand, so what a question costs is bounded instead: so many words that begin as
//! wanted, so many rows of each at a time. A page may be shorter than asked for and still have a next one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::given::Given;
use super::sql::{all, execute};
use super::transactions::{self, ByDate, Filter, Transaction};
use super::{Page, PageRequest, StoreError, Tx};
use crate::domain::search;

/// Words with the same beginning at the most: with more of them more of the word must be written.
const ALIKE_MAX: usize = 64;
/// Rows of each that are looked at in one go; in the first no more than the page has room for, which is enough where
/// nothing else is asked for.
const CANDIDATES: u64 = 400;
/// Goes of one page.
const ROUNDS: usize = 5;
/// Bookings whose words are written together when they are written anew.
const REPLACED_AT_ONCE: u32 = 500;

/// A word of a booking.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WordKey {
    /// Whose.
    pub user_id: Uuid,
    /// Which word.
    pub word: String,
    /// The booking's day.
    pub date: NaiveDate,
    /// The booking.
    pub transaction_id: Uuid,
}

/// How often a word is in a booking: once, or not; another number only while an event is missing.
pub type WordDeltas = BTreeMap<WordKey, i16>;

/// Adds deltas to what is kept.
///
/// # Errors
/// The unit of work cannot go on.
pub async fn add(tx: &Tx, deltas: &WordDeltas) -> Result<(), StoreError> {
    let row = |key: &WordKey, times: i16| {
        [
            key.user_id.into(),
            key.word.clone().into(),
            key.date.into(),
            key.transaction_id.into(),
            times.into(),
        ]
    };
    let moved = deltas.iter().filter(|(_, times)| **times != 0);
    let rows = moved.map(|(key, times)| row(key, *times));
    let columns = ["user_id", "word", "date", "transaction_id", "times"];
    let text = "INSERT INTO transaction_words (user_id, word, date, transaction_id, times) \
         SELECT user_id, word, date, transaction_id, times FROM given WHERE true \
         ON CONFLICT (user_id, word, date, transaction_id) DO UPDATE SET times = transaction_words.times + excluded.times";
    Given::new(columns, rows).run(&**tx, text, []).await?;
    let gone = deltas.iter().filter(|(_, times)| **times < 0);
    let gone = gone.map(|(key, times)| row(key, *times));
    let text = "DELETE FROM transaction_words WHERE times = 0 AND (user_id, word, date, transaction_id) IN \
         (SELECT user_id, word, date, transaction_id FROM given)";
    Given::new(columns, gone).run(&**tx, text, []).await?;
    Ok(())
}

/// The user's bookings in which each of the words is the beginning of one, newest first.
///
/// # Errors
/// Too many words begin as one of these; the database cannot be read.
pub async fn find(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    words: &[String],
    filter: &Filter,
    page: PageRequest<ByDate>,
) -> Result<Page<Transaction, ByDate>, StoreError> {
    let key = |transaction: &Transaction| (transaction.date, transaction.id);
    // The longest is likely to be the rarest.
    let Some(longest) = words.iter().max_by_key(|word| word.chars().count()) else {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    };
    let alike = alike(db, user_id, longest).await?;
    let (mut found, mut after) = (Vec::new(), page.after);
    for round in 0..ROUNDS {
        let count = if round == 0 { page.fetch() } else { CANDIDATES };
        let candidates = candidates(db, user_id, &alike, filter, after, count).await?;
        let is_last = (candidates.len() as u64) < count;
        after = candidates.keys().next_back().map(|Reverse(key)| *key);
        let there = candidates.into_values().flatten();
        found.extend(there.filter(|it| search::is_found(words, &it.searched())));
        if is_last || found.len() as u64 >= page.fetch() {
            let mut page = Page::cut(found, page.limit, key);
            if page.next.is_none() && !is_last {
                page.next = after;
            }
            return Ok(page);
        }
    }
    let mut page = Page::cut(found, page.limit, key);
    page.next = page.next.or(after);
    Ok(page)
}

/// The user's words that begin so. One step in the index for each, however many bookings have it.
async fn alike(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    beginning: &str,
) -> Result<Vec<String>, StoreError> {
    let text = "WITH RECURSIVE found(word) AS ( \
           SELECT (SELECT word FROM transaction_words WHERE user_id = $1 AND word >= $2 ORDER BY word LIMIT 1) \
           UNION ALL \
           SELECT (SELECT w.word FROM transaction_words w WHERE w.user_id = $1 AND w.word > found.word \
             ORDER BY w.word LIMIT 1) FROM found WHERE found.word < $3) \
         SELECT word FROM found WHERE word >= $2 AND word < $3 LIMIT $4";
    let end = format!("{beginning}\u{10FFFF}");
    let limit = i64::try_from(ALIKE_MAX + 1).map_err(StoreError::defect)?;
    let values: [Value; 4] = [user_id.into(), beginning.into(), end.into(), limit.into()];
    let rows = all(db, text, values).await?;
    if rows.len() > ALIKE_MAX {
        let detail = format!(
            "more than {ALIKE_MAX} of your words begin with {beginning:?}: write more of it"
        );
        return Err(StoreError::invalid("?q", detail));
    }
    rows.iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}

/// The next bookings with one of the words, newest first; none where one is not as the filter wants.
async fn candidates(
    db: &impl ConnectionTrait,
    user_id: Uuid,
    words: &[String],
    filter: &Filter,
    after: Option<ByDate>,
    count: u64,
) -> Result<BTreeMap<Reverse<ByDate>, Option<Transaction>>, StoreError> {
    if words.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut values: Vec<Value> = vec![user_id.into()];
    let mut place = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let limit = place(i64::try_from(count).map_err(StoreError::defect)?.into());
    let mut within = String::new();
    if let Some((date, id)) = after {
        let (date, id) = (place(date.into()), place(id.into()));
        within.push_str(&format!(" AND (date, transaction_id) < ({date}, {id})"));
    }
    for (is, day) in [(">=", filter.from), ("<=", filter.to)] {
        if let Some(day) = day {
            within.push_str(&format!(" AND date {is} {}", place(day.into())));
        }
    }
    // The bound as a number is for PostgreSQL, which takes one that it does not know for a tenth of all there is.
    let walk = |word: &String| {
        let word = place(word.clone().into());
        format!(
            "SELECT * FROM (SELECT date, transaction_id FROM transaction_words \
             WHERE user_id = $1 AND word = {word} AND times > 0{within} \
             ORDER BY date DESC, transaction_id DESC LIMIT {CANDIDATES}) AS walked"
        )
    };
    let walks: Vec<String> = words.iter().map(walk).collect();
    let walks = walks.join(" UNION ");
    let keys = format!(
        "SELECT date, transaction_id FROM ({walks}) AS walks ORDER BY date DESC, transaction_id DESC LIMIT {limit}"
    );
    let found = transactions::of_keys(db, user_id, filter, &keys, values).await?;
    let found = found
        .into_iter()
        .map(|(key, booked)| (Reverse(key), booked));
    Ok(found.collect())
}

/// How many words of bookings there are, and a sum of their digests: equal for the same ones, in whatever order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) words: u64,
    digests: u128,
}

impl Tally {
    fn add(&mut self, word: &str, date: NaiveDate, transaction_id: Uuid, times: i16) {
        let said = format!("{word} {date} {transaction_id} {times}");
        let digest = Sha256::digest(said);
        let half: [u8; 16] = digest.as_slice().first_chunk().copied().unwrap_or_default();
        self.words += 1;
        self.digests = self.digests.wrapping_add(u128::from_le_bytes(half));
    }

    /// Of what is kept of the user. What is there zero times is as good as not there.
    pub(super) async fn kept(db: &impl ConnectionTrait, user_id: Uuid) -> Result<Self, StoreError> {
        let mut tally = Self::default();
        let mut after: Option<(String, NaiveDate, Uuid)> = None;
        loop {
            let (mut values, mut text) = (
                vec![user_id.into()],
                "SELECT word, date, transaction_id, times FROM transaction_words WHERE user_id = $1".to_owned(),
            );
            if let Some((word, date, id)) = after.take() {
                values.extend([word.into(), date.into(), id.into()]);
                text.push_str(" AND (word, date, transaction_id) > ($2, $3, $4)");
            }
            text.push_str(" ORDER BY word, date, transaction_id LIMIT 5000");
            for row in all(db, text, values).await? {
                let (word, date, id): (String, NaiveDate, Uuid) = (
                    row.try_get_by_index(0)?,
                    row.try_get_by_index(1)?,
                    row.try_get_by_index(2)?,
                );
                let times: i16 = row.try_get_by_index(3)?;
                if times != 0 {
                    tally.add(&word, date, id, times);
                }
                after = Some((word, date, id));
            }
            if after.is_none() {
                return Ok(tally);
            }
        }
    }

    /// Of the user's bookings.
    pub(super) async fn counted(
        db: &impl ConnectionTrait,
        user_id: Uuid,
    ) -> Result<Self, StoreError> {
        let mut tally = Self::default();
        let mut page = PageRequest::first(REPLACED_AT_ONCE);
        loop {
            let listed = transactions::list(db, user_id, &Filter::default(), page).await?;
            for transaction in &listed.items {
                for word in transaction.searched() {
                    tally.add(&word, transaction.date, transaction.id, 1);
                }
            }
            page.after = listed.next;
            if page.after.is_none() {
                return Ok(tally);
            }
        }
    }
}

/// Writes the words of all of the user's bookings anew.
pub(super) async fn replace(tx: &Tx, user_id: Uuid) -> Result<(), StoreError> {
    let text = "DELETE FROM transaction_words WHERE user_id = $1";
    execute(&**tx, text, [user_id.into()]).await?;
    let mut page = PageRequest::first(REPLACED_AT_ONCE);
    loop {
        let listed = transactions::list(&**tx, user_id, &Filter::default(), page).await?;
        let mut deltas = WordDeltas::new();
        for transaction in &listed.items {
            for word in transaction.searched() {
                let key = WordKey {
                    user_id,
                    word,
                    date: transaction.date,
                    transaction_id: transaction.id,
                };
                deltas.insert(key, 1);
            }
        }
        add(tx, &deltas).await?;
        page.after = listed.next;
        if page.after.is_none() {
            return Ok(());
        }
    }
}
