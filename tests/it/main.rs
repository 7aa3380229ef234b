//! The stories of the system, on its real parts: a real server on a free port, a real database in a
//! folder of its own. Each file tells of one side of it.

mod bookings;
mod budget_alerts;
mod budgets;
mod dashboards;
mod lists;
mod me;
mod once;
mod pipeline;
mod registering;
mod streams;
mod support;
