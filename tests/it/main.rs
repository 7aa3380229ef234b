//! The stories of the system, on its real parts: a real server on a free port, a real database in a
//! folder of its own. Each file tells of one side of it.

mod bad_bodies;
mod bad_input;
mod bookings;
mod budget_alerts;
mod budgets;
mod crashes;
mod dashboards;
mod dead_letters;
mod events;
mod faults;
mod layering;
mod lifecycle;
mod lists;
mod me;
mod once;
mod openapi;
mod pipeline;
mod redelivery;
mod registering;
mod streams;
mod support;
mod trimming;
