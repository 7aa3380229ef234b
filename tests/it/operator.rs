//! What an operator does by hand: topics, lag, tail, replay, dead letters; on the real binary.

mod letters;
mod replay;
mod topics;
mod watching;
