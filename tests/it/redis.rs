//! What replicas share by Redis, and what they do without it.

mod absence;
mod faults;
mod hints;
mod limits;
mod state;
