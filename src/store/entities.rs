//! The tables as sea-orm knows them, one module each. A test compares them with the migrated schema.

#![allow(
    missing_docs,
    reason = "the columns are named and explained in the migrations"
)]

pub mod alerts;
pub mod budget_categories;
pub mod budget_crossings;
pub mod budget_crossings_past;
pub mod budget_periods;
pub mod budgets;
pub mod categories;
pub mod daily_spending;
pub mod dead_letters;
pub mod deleted_users;
pub mod deliveries;
pub mod event_log;
pub mod exchange_rates;
pub mod goal_contributions;
pub mod goals;
pub mod idempotency_keys;
pub mod inbox;
pub mod insight_looks;
pub mod insights;
pub mod log_cursors;
pub mod monthly_totals;
pub mod notification_choices;
pub mod outbox;
pub mod personal_tokens;
pub mod read_model_positions;
pub mod recurring;
pub mod recurring_occurrences;
pub mod refresh_tokens;
pub mod rule_changes;
pub mod rule_runs;
pub mod rules;
pub mod sessions;
pub mod transaction_splits;
pub mod transaction_tags;
pub mod transaction_words;
pub mod transactions;
pub mod transfers;
pub mod user_rates;
pub mod users;
pub mod wallets;
