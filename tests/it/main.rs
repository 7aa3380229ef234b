//! The stories of the system, on its real parts: a real server on a free port, a real database in a
//! folder of its own. Each file tells of one side of it.

mod bad_bodies;
mod bad_headers;
mod bad_input;
mod bad_requests;
mod bad_values;
mod bookings;
mod budget_alerts;
mod budgets;
mod changes;
mod command_line;
mod crashes;
mod dapr;
mod dashboards;
mod dead_letters;
mod events;
mod faults;
mod goals;
mod insights;
mod kafka;
mod layering;
mod lifecycle;
mod limits;
mod lists;
mod log_lines;
mod logs;
mod me;
mod metrics;
mod model;
mod once;
mod openapi;
mod operator;
mod parts;
mod pipeline;
mod postgres;
mod rates;
mod redelivery;
mod redis;
mod registering;
mod releases;
mod rollover;
mod schema;
mod search;
mod security;
mod sign_in;
// Faults of statements are in debug builds alone.
#[cfg(debug_assertions)]
mod simulation;
mod sqlite;
mod streams;
mod support;
mod tenants;
mod together;
mod tokens;
mod traces;
mod trimming;
