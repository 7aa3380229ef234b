//! The backend of **Wealth Companion**, a personal-finance application: one binary, three roles
//! that meet in events.
//!
//! # The life of a transaction
//!
//! 1. `POST /v1/transactions` reaches [`api`]. [`store`] writes the row, the wallet's new balance
//!    and the event into the event log, in one commit ([`store::transactions::book`]).
//! 2. The relay ([`bus::relay`]) reads the log in commit order and publishes to the bus.
//! 3. [`projector`] hears the event. One commit records it in the inbox, moves the sums, and says
//!    in the log what was crossed.
//! 4. [`notifier`] hears that. One commit records it in the inbox and writes the alert.
//! 5. [`api::streams`] tails the alerts, and the user's open streams show it.
//!
//! A crash between any two steps loses nothing, and the inbox lets nothing happen twice.
//!
//! # Where things live
//!
//! In the order in which modules may use each other: `domain <- events <- {store, state, bus} <-
//! http <- {api, projector, notifier} <- app`. The leaves `clock`, `config`, `crash`, `lifecycle`,
//! `telemetry` may be used by anyone; [`dapr`] by those that go through the sidecar; [`redis`] by what
//! replicas share and can do without: [`state`], [`hints`] and the limits of [`api`]; [`gemini`] by [`projector`]. Roles never use
//! each other: they meet only in events.

// Leaves.
pub mod clock;
pub mod config;
pub mod crash;
pub mod lifecycle;
pub mod telemetry;

// What is talked about, and how.
pub mod domain;
pub mod events;

// Where it is kept, and how it moves.
pub mod bus;
pub mod dapr;
pub mod gemini;
pub mod hints;
pub mod kafka;
pub mod links;
pub mod mail;
pub mod redis;
pub mod state;
pub mod store;

// What the servers share.
pub mod http;

// The roles.
pub mod api;
pub mod notifier;
pub mod projector;

// Putting it together.
pub mod app;
pub mod cli;
pub mod demo;
pub mod operator;
pub mod secrets;
