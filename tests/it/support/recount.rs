//! The books counted anew, by other means than the ones that keep them: what is kept is compared
//! with what the rows say.

use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::time::Instant;
use wealth_companion::store::Store;

/// What was counted.
#[derive(Debug)]
pub(crate) struct Recount {
    /// Bookings there are.
    pub(crate) transactions: i64,
    /// Events in the log.
    pub(crate) events: i64,
    /// Alerts there are.
    pub(crate) alerts: i64,
    /// What does not agree.
    pub(crate) differences: Vec<String>,
}

impl Recount {
    /// Asserts that all agrees.
    #[track_caller]
    pub(crate) fn agrees(self) -> Self {
        assert!(self.differences.is_empty(), "{:#?}", self.differences);
        self
    }
}

/// What stands for it in the checks: bookings that are not split, and the splits of the others.
const EARNED_OR_SPENT: &str = "(SELECT user_id, wallet_id, type, currency, date, category_id, amount_minor \
       FROM transactions WHERE type <> 'transfer' \
       AND id NOT IN (SELECT transaction_id FROM transaction_splits) \
     UNION ALL SELECT w.user_id, w.wallet_id, w.type, w.currency, w.date, s.category_id, s.amount_minor \
       FROM transaction_splits s JOIN transactions w ON w.id = s.transaction_id) AS t";

/// Each finds the rows that do not agree.
const CHECKS: &[(&str, &str)] = &[
    (
        "a balance is not the opening balance and the bookings",
        "SELECT hex(id) FROM wallets w WHERE balance_minor <> opening_balance_minor + COALESCE(( \
           SELECT SUM(CASE type WHEN 'income' THEN amount_minor ELSE -amount_minor END) \
           FROM transactions t WHERE t.wallet_id = w.id), 0) \
         + COALESCE((SELECT SUM(amount_minor) FROM transfers x WHERE x.to_wallet_id = w.id), 0)",
    ),
    (
        "a monthly total is not the sum of its bookings",
        "WITH counted AS ( \
           SELECT user_id, currency, substr(date, 1, 7) || '-01' AS month, type, \
             COALESCE(category_id, zeroblob(16)) AS category_id, wallet_id, \
             SUM(amount_minor) AS amount_minor, COUNT(*) AS bookings \
           FROM EARNED_OR_SPENT GROUP BY 1, 2, 3, 4, 5, 6), \
         kept AS (SELECT user_id, currency, month, type, category_id, wallet_id, amount_minor, bookings \
           FROM monthly_totals WHERE amount_minor <> 0 OR bookings <> 0) \
         SELECT month || ' ' || type || ' kept ' || amount_minor FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted) AS more \
         UNION ALL \
         SELECT month || ' ' || type || ' counted ' || amount_minor FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept) AS more",
    ),
    (
        "a day's spending is not the sum of its expenses",
        "WITH counted AS ( \
           SELECT user_id, currency, date, COALESCE(category_id, zeroblob(16)) AS category_id, \
             SUM(amount_minor) AS amount_minor \
           FROM EARNED_OR_SPENT WHERE type = 'expense' GROUP BY 1, 2, 3, 4), \
         kept AS (SELECT user_id, currency, date, category_id, amount_minor \
           FROM daily_spending WHERE amount_minor <> 0) \
         SELECT date || ' kept ' || amount_minor FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted) AS more \
         UNION ALL \
         SELECT date || ' counted ' || amount_minor FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept) AS more",
    ),
    (
        "a budget's period is not the sum of what counts",
        "SELECT b.name || ' ' || p.period_start || ' kept ' || p.spent_minor \
         FROM budget_periods p JOIN budgets b ON b.id = p.budget_id \
         WHERE p.spent_minor <> COALESCE(( \
           SELECT SUM(amount_minor) FROM EARNED_OR_SPENT \
           WHERE t.user_id = b.user_id AND t.currency = b.currency AND t.type = 'expense' \
             AND t.date BETWEEN p.period_start AND p.period_end \
             AND (b.starts_on IS NULL OR t.date >= b.starts_on) \
             AND (NOT EXISTS (SELECT 1 FROM budget_categories c WHERE c.budget_id = b.id) \
               OR t.category_id IN (SELECT category_id FROM budget_categories c WHERE c.budget_id = b.id))), 0)",
    ),
    (
        "a booking does not have an event for each of its versions",
        "WITH told AS ( \
           SELECT replace(json_extract(envelope, '$.data.transactionId'), '-', '') AS id, \
             COUNT(*) AS events \
           FROM event_log WHERE type LIKE 'finance.transaction.%' GROUP BY 1) \
         SELECT hex(t.id) FROM transactions t LEFT JOIN told ON told.id = lower(hex(t.id)) \
         WHERE t.version <> COALESCE(told.events, 0)",
    ),
    (
        "an event tells of a booking that was never made",
        "SELECT json_extract(envelope, '$.data.transactionId') AS id FROM event_log e \
         WHERE type LIKE 'finance.transaction.%' \
           AND replace(json_extract(envelope, '$.data.transactionId'), '-', '') \
             NOT IN (SELECT lower(hex(id)) FROM transactions) \
           AND json_extract(envelope, '$.data.transactionId') NOT IN ( \
             SELECT json_extract(envelope, '$.data.transactionId') FROM event_log \
             WHERE type = 'finance.transaction.deleted')",
    ),
    (
        "the projector has not handled an event",
        "SELECT type FROM event_log e WHERE type LIKE 'finance.transaction.%' AND NOT EXISTS ( \
           SELECT 1 FROM inbox i WHERE i.consumer = 'projector' AND i.event_id = e.event_id)",
    ),
    (
        "the notifier has not handled an event",
        "SELECT type FROM event_log e WHERE type IN ('finance.budget.exceeded', 'finance.goal.achieved', 'ai.insight.generated', \
           'user.confirmation.requested') AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.consumer = 'notifier' AND i.event_id = e.event_id)",
    ),
    (
        "a crossing is not told by one event and one alert",
        "SELECT period_start || ' ' || threshold FROM \
         (SELECT event_id, period_start, threshold FROM budget_crossings UNION ALL \
          SELECT event_id, period_start, threshold FROM budget_crossings_past) c \
         WHERE 1 <> (SELECT COUNT(*) FROM event_log e WHERE e.event_id = c.event_id) \
            OR 1 <> (SELECT COUNT(*) FROM alerts a WHERE a.source_event_id = c.event_id)",
    ),
    (
        "an alert tells of no crossing",
        "SELECT title FROM alerts WHERE (source_event = 'finance.budget.exceeded' OR kind = 'budget_warning') AND source_event_id NOT IN \
         (SELECT event_id FROM budget_crossings UNION ALL SELECT event_id FROM budget_crossings_past)",
    ),
    (
        "an insight is not told by one alert for each event",
        "SELECT e.type FROM event_log e WHERE e.type = 'ai.insight.generated' \
           AND 1 <> (SELECT COUNT(*) FROM alerts a WHERE a.source_event_id = e.event_id)",
    ),
    (
        "an achieved goal is not told by one alert for each event",
        "SELECT e.type FROM event_log e WHERE e.type = 'finance.goal.achieved' \
           AND 1 <> (SELECT COUNT(*) FROM alerts a WHERE a.source_event_id = e.event_id)",
    ),
    (
        "a goal is not the sum of its contributions",
        "SELECT name FROM goals g WHERE contributed_minor <> \
         (SELECT COALESCE(SUM(amount_minor), 0) FROM goal_contributions c WHERE c.goal_id = g.id)",
    ),
    (
        "a day of a recurring booking was booked twice",
        "SELECT 'on ' || occurs_on FROM transactions WHERE recurring_id IS NOT NULL \
         GROUP BY recurring_id, occurs_on HAVING COUNT(*) > 1",
    ),
    (
        "a booking of a recurring one has no row that says so",
        "SELECT 'on ' || occurs_on FROM transactions t JOIN recurring r ON r.id = t.recurring_id \
         WHERE NOT EXISTS (SELECT 1 FROM recurring_occurrences o WHERE o.recurring_id = t.recurring_id \
           AND o.date = t.occurs_on AND o.outcome = 'booked')",
    ),
    (
        "the next day of a recurring booking is done already",
        "SELECT 'on ' || next_on FROM recurring r JOIN recurring_occurrences o ON o.recurring_id = r.id \
         WHERE o.date = r.next_on",
    ),
    ("a dead letter", "SELECT reason FROM dead_letters"),
];

/// Counts the books in a folder anew. All events should have been handled.
pub(crate) async fn recount(data_dir: &Path) -> Recount {
    recount_of(&open(data_dir).await).await
}

/// Counts the books in a database anew.
pub(crate) async fn recount_of(store: &Store) -> Recount {
    let db = store.reads();
    let mut differences = Vec::new();
    for (what, check) in CHECKS {
        for row in texts(db, &spoken_by(db, check)).await {
            differences.push(format!("{what}: {row}"));
        }
    }
    Recount {
        transactions: number(db, "SELECT COUNT(*) FROM transactions").await,
        events: number(db, "SELECT COUNT(*) FROM event_log").await,
        alerts: number(db, "SELECT COUNT(*) FROM alerts").await,
        differences,
    }
}

/// The checks are written for SQLite; PostgreSQL has other words for the same.
fn spoken_by(db: &impl ConnectionTrait, check: &str) -> String {
    let check = check.replace("EARNED_OR_SPENT", EARNED_OR_SPENT);
    if db.get_database_backend() != DbBackend::Postgres {
        return check;
    }
    [
        ("hex(id)", "replace(id::text, '-', '')"),
        ("hex(t.id)", "replace(t.id::text, '-', '')"),
        (
            "substr(date, 1, 7) || '-01'",
            "date_trunc('month', date)::date",
        ),
        (
            "zeroblob(16)",
            "'00000000-0000-0000-0000-000000000000'::uuid",
        ),
        (
            "json_extract(envelope, '$.data.transactionId')",
            "(envelope::jsonb #>> '{data,transactionId}')",
        ),
    ]
    .iter()
    .fold(check, |check, (sqlite, postgres)| {
        check.replace(sqlite, postgres)
    })
}

/// Waits until every reader has come to the end of the log. Fails when nobody reads on for ten seconds.
pub(crate) async fn settled(data_dir: &Path) {
    settled_in(&open(data_dir).await).await;
}

/// The same of a database.
pub(crate) async fn settled_in(store: &Store) {
    // The events that each has still to read.
    let left = "SELECT COUNT(*) FROM (VALUES ('relay'), ('bus.high_watermark'), ('consumer.projector'), \
           ('consumer.notifier')) AS reader \
         JOIN event_log ON NOT EXISTS (SELECT 1 FROM log_cursors WHERE log_cursors.name = reader.column1 \
           AND (event_log.xid, event_log.position) <= (log_cursors.xid, log_cursors.position))";
    let (mut before, mut deadline) = (i64::MAX, Instant::now());
    loop {
        let left = number(store.reads(), left).await;
        if left == 0 {
            return;
        }
        if left != before {
            (before, deadline) = (left, Instant::now() + Duration::from_secs(10));
        }
        assert!(
            Instant::now() < deadline,
            "somebody has not read the log to its end: {left} events are left"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn open(data_dir: &Path) -> Store {
    let config = super::config(data_dir, &[]);
    Store::open(&config).await.expect("it opens").0
}

async fn texts(db: &impl ConnectionTrait, text: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), text);
    let rows = db.query_all_raw(statement).await.expect("rows");
    rows.iter()
        .map(|row| row.try_get_by_index(0).expect("a text"))
        .collect()
}

/// The number that a query gives.
pub(crate) async fn number(db: &impl ConnectionTrait, text: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), text);
    let row = db.query_one_raw(statement).await.expect("a row");
    let row = row.expect("a row");
    row.try_get_by_index(0).expect("a number")
}
