//! Somebody who has booked for ten years, among others: a database that is filled once, for all who look
//! at how it is read.

use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;
use wealth_companion::app::Role;
use wealth_companion::clock::Clock;

use crate::support::chain::{Household, noon};
use crate::support::{Person, Stack, World, stack};

/// Bookings of hers, and as many of all others together.
const BOOKINGS: u32 = 100_000;

/// The others, who make the tables of what everybody has few of as large as they would be.
const OTHERS: u32 = 3_000;

/// The database, and what is in it.
pub(super) struct History {
    pub(super) database: String,
    pub(super) ada: Person,
    pub(super) ids: Household,
    /// A wallet with one in a hundred of her bookings.
    pub(super) savings_id: Uuid,
    pub(super) budget_id: String,
    /// One of those by which a wallet in euros is converted.
    pub(super) rate_id: String,
}

impl History {
    /// Filled by whoever asks first.
    pub(super) async fn get() -> &'static Self {
        static HISTORY: OnceCell<History> = OnceCell::const_new();
        HISTORY.get_or_init(Self::fill).await
    }

    async fn fill() -> Self {
        let database = stack::fresh_database();
        let url = Stack::get().database_url(&database);
        let set = [
            ("database.url", url.as_str()),
            ("auth.jwt_secret_key", stack::SIGNING_KEY),
        ];
        let folder = TempDir::new().expect("a folder");
        let world = World::of(&[Role::Api], folder, &set, Clock::fixed(noon())).await;
        let ada = world.register("ada").await;
        let wallet = ada.wallet("Checking", "USD", "1000.00").await;
        let savings = ada.wallet("Savings", "USD", "0.00").await;
        ada.wallet("Travels", "EUR", "500.00").await;
        let rate =
            serde_json::json!({"from": "EUR", "to": "USD", "rate": "1.1", "date": "2026-02-03"});
        let rate_id = ada.post("/v1/rates", &rate).await.expect(201).id();
        let groceries = ada.category("Groceries").await;
        let salary = ada.category("Salary").await;
        let budget_id = ada.budget(&[&groceries], "450.00").await;
        for _ in 0..9 {
            ada.budget(&[], "1000.00").await;
        }
        world.stop().await.0.expect("it stops");

        let history = Self {
            database,
            ids: Household {
                user_id: id(&ada.id),
                wallet_id: id(&wallet),
                category_id: id(&groceries),
            },
            savings_id: id(&savings),
            ada,
            budget_id,
            rate_id,
        };
        let db = stack::connect(&url).await;
        let texts = FILL
            .replace("{ada}", &history.ada.id)
            .replace("{wallet}", &wallet)
            .replace("{savings}", &savings)
            .replace("{now}", &noon().to_rfc3339())
            .replace("{others}", &OTHERS.to_string())
            .replace("{salary}", &salary)
            .replace("{bookings}", &BOOKINGS.to_string());
        for text in texts.split(";\n") {
            db.execute_unprepared(text).await.expect(text);
        }
        history
    }
}

fn id(text: &str) -> Uuid {
    text.parse().expect("an id")
}

/// Ids count on as those that are made in time do, and rows lie as they were booked, those of others among
/// them. Foreign keys are not checked, which takes longer than all else.
const FILL: &str = r"
SET session_replication_role = replica;
CREATE FUNCTION pg_temp.v7(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex(n), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || '8' || left(md5(kind || '-' || n), 15))::uuid $$;

INSERT INTO users SELECT pg_temp.v7(1, n), n || '@example.com', password_hash, name, currency, time_zone,
  version, created_at, updated_at FROM users, generate_series(1, {others}) n;
INSERT INTO wallets SELECT pg_temp.v7(2, n), pg_temp.v7(1, n), name, type, currency, opening_balance_minor,
  balance_minor, version, created_at, updated_at FROM wallets, generate_series(1, {others}) n WHERE id = '{wallet}';
INSERT INTO categories SELECT pg_temp.v7(3, 4 * n + k), pg_temp.v7(1, n), 'Category ' || k, 'expense', NULL,
  NULL, NULL, 1, now(), now() FROM generate_series(1, {others}) n, generate_series(0, 3) k;
INSERT INTO budgets SELECT pg_temp.v7(4, 4 * n + k), pg_temp.v7(1, n), name, amount_minor, currency, period,
  starts_on, alert_at, version, created_at, updated_at
  FROM (SELECT * FROM budgets LIMIT 1) budgets, generate_series(1, {others}) n, generate_series(0, 1) k;
INSERT INTO budget_categories SELECT pg_temp.v7(4, 4 * n + k), pg_temp.v7(3, 4 * n + k)
  FROM generate_series(1, {others}) n, generate_series(0, 1) k;

CREATE TEMP TABLE kinds AS SELECT row_number() OVER (ORDER BY id) - 1 AS k, id FROM categories
  WHERE user_id = '{ada}' AND kind = 'expense';
INSERT INTO transactions
SELECT pg_temp.v7(5, n), '{ada}', CASE n % 100 WHEN 7 THEN '{savings}'::uuid ELSE '{wallet}'::uuid END,
  CASE n % 25 WHEN 3 THEN 'income' ELSE 'expense' END, 100 + n * 7919 % 9000, 'USD',
  DATE '2026-02-10' - (({bookings} - n) * 3650 / {bookings})::int,
  CASE n % 25 WHEN 3 THEN '{salary}'::uuid ELSE (SELECT id FROM kinds WHERE k = n * 31 % (SELECT count(*) FROM kinds)) END,
  'Weekly shopping', 'Corner shop', NULL, 1, now(), now()
FROM generate_series(1, {bookings}) n
UNION ALL
SELECT pg_temp.v7(6, n), pg_temp.v7(1, n % {others} + 1), pg_temp.v7(2, n % {others} + 1), 'expense', 100 + n % 9000, 'USD',
  DATE '2026-02-10' - (({bookings} - n) * 3650 / {bookings})::int, pg_temp.v7(3, 4 * (n % {others} + 1) + n % 4),
  'Weekly shopping', 'Corner shop', NULL, 1, now(), now()
FROM generate_series(1, {bookings}) n
ORDER BY 1;

INSERT INTO recurring (id, user_id, wallet_id, type, amount_minor, currency, rrule, starts_on, next_on, due_at, paused,
  version, created_at, updated_at)
SELECT pg_temp.v7(11, n), pg_temp.v7(1, n % {others} + 1), pg_temp.v7(2, n % {others} + 1), 'expense', 100, 'USD',
  'FREQ=MONTHLY', DATE '2020-01-01', DATE '2026-02-11' + n % 28, TIMESTAMPTZ '{now}' + INTERVAL '1 day' * (1 + n % 28), false,
  1, now(), now() FROM generate_series(1, 4 * {others}) n
UNION ALL
SELECT pg_temp.v7(12, n), '{ada}', '{wallet}', 'expense', 100, 'USD', 'FREQ=MONTHLY', DATE '2020-01-01',
  DATE '2026-03-01', TIMESTAMPTZ '{now}' + INTERVAL '19 days', false, 1, now(), now() FROM generate_series(1, 20) n;
INSERT INTO recurring_occurrences SELECT id, day, user_id, 'booked'
  FROM recurring, generate_series(DATE '2025-01-01', DATE '2026-02-01', '1 month') day;
INSERT INTO transfers SELECT id, user_id, wallet_id, amount_minor, currency, date FROM transactions
  WHERE user_id <> '{ada}' AND amount_minor % 10 = 0;
INSERT INTO transaction_splits SELECT id, place, user_id, category_id, amount_minor, NULL, date
  FROM transactions, generate_series(0, 1) place WHERE user_id <> '{ada}' AND amount_minor % 10 = 1;
INSERT INTO transaction_tags SELECT user_id, CASE amount_minor % 10 WHEN 2 THEN 'weekly' ELSE 'holiday' END, date, id
  FROM transactions WHERE amount_minor % 10 IN (2, 3);
INSERT INTO transaction_words SELECT user_id, word, date, id, 1
  FROM transactions, (VALUES ('corner'), ('shop')) words (word);

INSERT INTO exchange_rates SELECT code, DATE '2026-02-10' - n, '1.' || n, now()
  FROM generate_series(0, 6999) n, (VALUES ('USD'), ('JPY'), ('GBP'), ('CHF'), ('BRL')) codes (code);
INSERT INTO user_rates SELECT pg_temp.v7(11, 10 * n + k), pg_temp.v7(1, n), 'EUR', 'USD', DATE '2026-02-10' - k, '1.5', 1, now(), now()
  FROM generate_series(1, {others}) n, generate_series(0, 9) k;

INSERT INTO event_log (xid, event_id, type, user_id, envelope, created_at)
SELECT 1 + n / 200, pg_temp.v7(7, n), 'finance.transaction.created', '{ada}', repeat('x', 600), TIMESTAMPTZ '{now}'
  FROM generate_series(1, {bookings}) n;
INSERT INTO inbox SELECT 'projector', event_id, created_at FROM event_log;
INSERT INTO alerts (id, user_id, kind, title, message, details, source_event, source_event_id, budget_id, historic,
  read_at, version, created_at, updated_at)
SELECT pg_temp.v7(8, n), CASE n % 200 WHEN 0 THEN '{ada}' ELSE pg_temp.v7(1, n % {others} + 1) END, 'budget_exceeded',
  'A budget is exceeded', repeat('x', 100), '{}', 'finance.budget.exceeded', pg_temp.v7(9, n), NULL, false,
  CASE WHEN n % 400 = 0 OR n % 50 = 7 THEN NULL ELSE now() END, 1, now(), now() FROM generate_series(1, 40000) n;

INSERT INTO monthly_totals SELECT user_id, currency, date_trunc('month', date), type, category_id, wallet_id,
  SUM(amount_minor), COUNT(*) FROM transactions GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 3;
INSERT INTO daily_spending SELECT user_id, currency, date, category_id, SUM(amount_minor)
  FROM transactions WHERE type = 'expense' GROUP BY 1, 2, 3, 4 ORDER BY 3;
INSERT INTO budget_periods SELECT id, month, month + INTERVAL '1 month' - INTERVAL '1 day', user_id, 100, now()
  FROM budgets, generate_series(DATE '2025-03-01', '2026-02-01', '1 month') month ORDER BY month;
INSERT INTO budget_crossings SELECT budget_id, period_start, 80, user_id, gen_random_uuid(), updated_at
  FROM budget_periods WHERE user_id <> '{ada}';
INSERT INTO budget_crossings_past SELECT gen_random_uuid(), budget_id, period_start, 80, user_id, updated_at, updated_at
  FROM budget_periods WHERE user_id <> '{ada}';
INSERT INTO goals (id, user_id, name, target_minor, currency, target_date, wallet_id, contributed_minor, achieved_at, version,
  created_at, updated_at)
  SELECT pg_temp.v7(12, n), pg_temp.v7(1, n), 'Holidays', 100000, 'USD', NULL, NULL, 400, NULL, 1, now(), now()
  FROM generate_series(1, {others}) n;
INSERT INTO goal_contributions (id, user_id, goal_id, amount_minor, date, note, version, created_at, updated_at)
  SELECT pg_temp.v7(13, 4 * n + k), pg_temp.v7(1, n), pg_temp.v7(12, n), 100, DATE '2026-02-01', NULL, 1, now(), now()
  FROM generate_series(1, {others}) n, generate_series(0, 3) k;
INSERT INTO insights (id, user_id, kind, key, title, message, facts, confidence, related, expires_on, dismissed_at, version,
  created_at, updated_at)
  SELECT pg_temp.v7(14, 8 * n + k), pg_temp.v7(1, n), 'anomaly', 'unusual ' || k, 'More than usual', repeat('x', 100), '{}', 75,
  '[]', NULL, NULL, 1, now(), now() FROM generate_series(1, {others}) n, generate_series(0, 7) k;
INSERT INTO insight_looks SELECT pg_temp.v7(1, n), 1, 1, now() FROM generate_series(1, {others}) n;
INSERT INTO rules (id, user_id, name, position, conditions, category_id, payee, tags, is_enabled, stops, version, created_at,
  updated_at)
  SELECT pg_temp.v7(15, 8 * n + k), pg_temp.v7(1, n), 'Rule ' || k, k, repeat('x', 200), NULL, 'Corner shop', '[]', k % 2 = 0,
  false, 1, now(), now() FROM generate_series(1, {others}) n, generate_series(0, 7) k;
INSERT INTO rule_runs (id, user_id, state, rules, overwrite, steps, examined, changed, skipped, restored, kept, version, created_at,
  updated_at)
  SELECT pg_temp.v7(16, 4 * n + k), pg_temp.v7(1, n), 'done', repeat('x', 1000), false, 2, 100, 10, 0, 0, 0, 2, now(), now()
  FROM generate_series(1, {others}) n, generate_series(0, 3) k;
INSERT INTO rule_changes SELECT pg_temp.v7(16, 4 * n + k % 4), pg_temp.v7(17, 40 * n + k), pg_temp.v7(1, n), '[]', 2
  FROM generate_series(1, {others}) n, generate_series(0, 39) k;
INSERT INTO sessions SELECT pg_temp.v7(10, n), pg_temp.v7(1, n), now(), TIMESTAMPTZ '{now}' + INTERVAL '7 days', NULL
  FROM generate_series(1, {others}) n;
INSERT INTO personal_tokens (id, user_id, name, token_hash, last_four, scopes, expires_at, last_used_at, version, created_at,
  updated_at)
  SELECT pg_temp.v7(18, 4 * n + k), pg_temp.v7(1, n), 'Script ' || k, sha256(convert_to(n || ' ' || k, 'UTF8')), 'YbRk', 'read', NULL,
  NULL, 1, now(), now() FROM generate_series(1, {others}) n, generate_series(0, 3) k;
INSERT INTO notification_choices SELECT pg_temp.v7(1, n), '', 'budget_exceeded', NULL, NULL, 'none', 8, NULL, 2, now(), now()
  FROM generate_series(1, {others}) n;
INSERT INTO deliveries (id, user_id, alert_id, channel, kind, title, message, source_event, source_event_id, correlation_id,
  traceparent, chain_begun_at, status, due_at, next_at, attempts, created_at, finished_at)
  SELECT pg_temp.v7(19, n), pg_temp.v7(1, n % {others} + 1), pg_temp.v7(8, n), 'email', 'budget_exceeded', 'A budget is exceeded',
  repeat('x', 100), 'finance.budget.exceeded', pg_temp.v7(9, n), pg_temp.v7(20, n), repeat('0', 55), now(), 'delivered', now(), now(), 1,
  now(), TIMESTAMPTZ '{now}' FROM generate_series(1, 20000) n;
INSERT INTO idempotency_keys SELECT pg_temp.v7(1, n), k, '\x00', '\x00', TIMESTAMPTZ '{now}'
  FROM generate_series(1, {others}) n, generate_series(1, 5) k;
INSERT INTO read_model_positions SELECT id, 1, 1 FROM users;
INSERT INTO log_cursors SELECT name, xid, position, now()
  FROM (SELECT xid, position FROM event_log ORDER BY xid DESC, position DESC LIMIT 1) last,
  (VALUES ('relay'), ('bus.high_watermark'), ('consumer.projector'), ('consumer.notifier')) reader (name)
  ON CONFLICT (name) DO UPDATE SET xid = excluded.xid, position = excluded.position;
VACUUM ANALYZE
";
