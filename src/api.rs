//! Role `api`: the HTTP API for clients, and the live stream of their alerts.
//!
//! A write commits state and event together and answers; nothing is published from a handler. The
//! relay takes the event on, and what the projector and the notifier make of it comes back through
//! the database.

/// What opens which operation.
pub mod access;
/// Alerts: the list, reading them.
pub mod alerts;
/// Answers to changes.
mod answer;
/// Which version of the books an answer shows.
pub mod books;
/// Budgets and where they stand.
pub mod budgets;
/// Categories.
pub mod categories;
/// Showing by a link that an address is one's own.
pub mod confirm_email;
/// The dashboard of a month.
pub mod dashboard;
/// What is due, booked again and again.
pub mod due;
/// What people save for, and how it comes along.
pub mod goals;
/// How amounts and changes come in.
pub mod input;
/// What was found worth knowing.
pub mod insights;
/// How much of what one user or address may ask.
pub mod limits;
/// The pages that links of mails open.
mod link_page;
/// The user of the session.
pub mod me;
/// What people are told of, how, and when.
pub mod notifications;
/// Creating once, however often the request comes.
pub mod once;
/// The OpenAPI document, its page, and what is answered where there is nothing.
pub mod openapi;
/// Hashing passwords.
pub mod passwords;
/// Personal access tokens.
pub mod personal_tokens;
/// Exchange rates.
pub mod rates;
/// Bookings that come again.
pub mod recurring;
/// Registering.
pub mod register;
/// Rules by which bookings get their category, payee and tags.
pub mod rules;
/// Who makes a request.
pub mod session;
/// Signing in and out.
pub mod sign_in;
/// Live streams of alerts.
pub mod streams;
/// Access tokens.
pub mod tokens;
/// Bookings.
pub mod transactions;
/// Turning mail off by a link.
pub mod unsubscribe;
/// What will be booked.
pub mod upcoming;
/// Wallets.
pub mod wallets;

use std::sync::Arc;

use actix_web::web;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::clock::{Clock, Ids};
use crate::config::Config;
use crate::links::Links;
use crate::redis::Redis;
use crate::store::Store;

/// What the handlers work with.
#[derive(Debug)]
pub struct Api {
    pub(crate) store: Store,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) tokens: tokens::Tokens,
    pub(crate) links: Links,
    pub(crate) passwords: passwords::Passwords,
    pub(crate) sessions: session::SessionCache,
    pub(crate) limits: limits::Limits,
    pub(crate) in_flight: once::InFlight,
    pub(crate) streams: Arc<streams::StreamHub>,
    pub(crate) rulesets: rules::filling::Rulesets,
    /// Wakes who takes runs of rules on.
    pub(crate) rule_runs: Arc<Notify>,
    pub(crate) draining: CancellationToken,
}

impl Api {
    /// The role's handlers over this database. `shared` is the Redis by which the replicas of an
    /// installation share their limits, with that installation's name.
    ///
    /// # Errors
    /// Password hashing cannot be set up as configured.
    pub fn new(
        store: Store,
        config: Arc<Config>,
        clock: Clock,
        ids: Ids,
        draining: CancellationToken,
        shared: Option<(&Redis, &str)>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            tokens: tokens::Tokens::new(&config.auth),
            links: Links::new(&config.auth.signing_keys),
            passwords: passwords::Passwords::new(&config.auth, ids.clone())?,
            sessions: session::SessionCache::default(),
            limits: limits::Limits::new(&config.limits, shared),
            in_flight: once::InFlight::default(),
            streams: Arc::new(streams::StreamHub::new(&config.streams)),
            rulesets: rules::filling::Rulesets::default(),
            rule_runs: Arc::default(),
            store,
            config,
            clock,
            ids,
            draining,
        })
    }

    /// The hub of the live streams, for the task that tails the alerts.
    #[must_use]
    pub fn streams(&self) -> Arc<streams::StreamHub> {
        Arc::clone(&self.streams)
    }

    /// What takes runs of rules on, for a task of its own.
    #[must_use]
    pub fn rule_worker(&self) -> rules::worker::Worker {
        let woken = Arc::clone(&self.rule_runs);
        rules::worker::Worker::new(
            self.store.clone(),
            self.clock.clone(),
            self.ids.clone(),
            woken,
        )
    }

    /// The user's rules have changed: new bookings are asked about by them as they are now.
    pub(crate) fn forget_rules(&self, user_id: Uuid) {
        self.rulesets.forget(user_id);
        self.sessions.forget_user(user_id);
    }

    /// Whether mail is sent at all.
    pub(crate) fn sends_email(&self) -> bool {
        self.config.email.server.is_some()
    }

    /// Forgets callers who have been quiet; to be called now and then.
    pub fn tidy(&self) {
        self.limits.tidy();
    }
}

/// Every route of the API, once: the server and the OpenAPI document are made of the same list.
macro_rules! add_every_route {
    ($config:ident) => {
        $config
            .service(register::register)
            .service(sign_in::login)
            .service(sign_in::refresh)
            .service(sign_in::logout)
            .service(me::get)
            .service(me::amend)
            .service(me::delete)
            .service(notifications::get)
            .service(notifications::amend)
            .service(notifications::ask_to_confirm)
            .service(confirm_email::show)
            .service(confirm_email::confirm)
            .service(unsubscribe::ask)
            .service(unsubscribe::confirm)
            .service(personal_tokens::create)
            .service(personal_tokens::list)
            .service(personal_tokens::get)
            .service(personal_tokens::delete)
            .service(wallets::create)
            .service(wallets::list)
            .service(wallets::get)
            .service(wallets::amend)
            .service(wallets::delete)
            .service(categories::create)
            .service(categories::list)
            .service(categories::get)
            .service(categories::amend)
            .service(categories::delete)
            .service(transactions::create)
            .service(transactions::list)
            .service(transactions::get)
            .service(transactions::amend)
            .service(transactions::delete)
            .service(recurring::create)
            .service(recurring::list)
            .service(recurring::get)
            .service(recurring::amend)
            .service(recurring::delete)
            .service(recurring::skip)
            .service(upcoming::list)
            .service(upcoming::of_one)
            .service(budgets::create)
            .service(budgets::list)
            .service(budgets::get)
            .service(budgets::amend)
            .service(budgets::delete)
            .service(budgets::periods)
            .service(goals::create)
            .service(goals::list)
            .service(goals::get)
            .service(goals::amend)
            .service(goals::delete)
            .service(goals::contributions::create)
            .service(goals::contributions::list)
            .service(goals::contributions::get)
            .service(goals::contributions::delete)
            .service(insights::list)
            .service(insights::dismiss)
            .service(rates::create)
            .service(rates::list)
            .service(rates::holding)
            .service(rates::get)
            .service(rates::amend)
            .service(rates::delete)
            .service(rules::create)
            .service(rules::list)
            .service(rules::get)
            .service(rules::amend)
            .service(rules::delete)
            .service(rules::preview::show)
            .service(rules::runs::create)
            .service(rules::runs::list)
            .service(rules::runs::get)
            .service(rules::runs::undo)
            .service(rules::runs::delete)
            .service(streams::follow)
            .service(alerts::list)
            .service(alerts::mark_all_read)
            .service(alerts::mark_read)
            .service(dashboard::show);
    };
}

/// The routes, for the server.
pub fn routes(config: &mut web::ServiceConfig) {
    add_every_route!(config);
}

/// The routes, for the document.
fn documented_routes(config: &mut ServiceConfig<'_>) {
    add_every_route!(config);
}
