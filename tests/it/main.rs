//! The stories of the system, on its real parts: a real server on a free port, a real database in a
//! folder of its own. Each file tells of one side of it.

mod bad_bodies;
mod bad_headers;
mod bad_input;
mod bad_requests;
mod bad_values;
mod changes;
mod limits;
mod log_lines;
mod pipeline;
mod sign_in;
mod support;
mod tenants;
mod tokens;
