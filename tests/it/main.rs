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
mod layering;
mod lifecycle;
mod limits;
mod lists;
mod log_lines;
mod me;
mod once;
mod openapi;
mod pipeline;
mod postgres;
mod redelivery;
mod registering;
mod schema;
mod sign_in;
mod sqlite;
mod streams;
mod support;
mod tenants;
mod tokens;
mod trimming;
