//! The stories of the system, on its real parts: a real server on a free port, a real database in a
//! folder of its own. Each file tells of one side of it.

mod command_line;
mod dead_letters;
mod events;
mod layering;
mod openapi;
mod pipeline;
mod schema;
mod support;
