//! Everything that can fail, fails once: the roles as processes of their own, on the real parts, while
//! people book and listen. In the end nothing acknowledged is lost, each crossing was told once, and
//! `verify` finds nothing.

mod away;
mod killing;
mod redelivering;
mod replicas;
mod resuming;
