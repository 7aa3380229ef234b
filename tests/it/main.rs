//! The stories of the system, on its real parts: a real server on a free port, a real database in a
//! folder of its own. Each file tells of one side of it.

mod bad_bodies;
mod bad_input;
mod crashes;
mod dead_letters;
mod events;
mod faults;
mod layering;
mod lifecycle;
mod openapi;
mod pipeline;
mod redelivery;
mod support;
mod trimming;
