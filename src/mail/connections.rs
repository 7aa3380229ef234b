//! The connections to the mail server.
//!
//! The library has a pool of its own, which is not used: it sets no limit to connections, waits without end for a
//! server that hangs, and keeps a connection whose conversation was given up in the middle, in which the next mail
//! would take the answers to the last one for its own.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::fault::{Fault, Step};
use crate::config::{self, Encryption, SmtpServer};

/// Connections at the most.
const CONNECTIONS_MAX: usize = 4;
/// One that nobody has used for so long is not used again: the server is about to close it, or has.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// An open one that does not answer in such a part of the time is left for another: if none does, half of it is left for a
/// new one.
const PROBE_SHARE: u32 = 8;

pub(super) struct Connections {
    server: SmtpServer,
    trust: TlsParameters,
    name: ClientId,
    timeout: Duration,
    turns: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Connections {
    pub(super) fn new(
        server: &SmtpServer,
        config: &config::Email,
        name: &str,
    ) -> anyhow::Result<Self> {
        let mut trust = TlsParameters::builder(server.host.clone());
        if let Some(file) = &config.ca_file {
            let told = || format!("email.ca_file: {}", file.display());
            let text = std::fs::read(file).with_context(told)?;
            anyhow::ensure!(
                text.windows(10).any(|at| at == b"-----BEGIN"),
                "{}: there is no certificate in it (PEM)",
                told()
            );
            let certificates = Certificate::from_pem(&text).with_context(told)?;
            trust = trust
                .certificate_store(CertificateStore::None)
                .add_root_certificate(certificates);
        }
        Ok(Self {
            server: server.clone(),
            trust: trust.build().context("email.ca_file")?,
            name: ClientId::Domain(name.to_owned()),
            timeout: config.timeout,
            turns: Semaphore::new(CONNECTIONS_MAX),
            idle: Mutex::default(),
        })
    }

    /// A connection that is given up in the middle, by whom it fails or takes too long, is closed.
    pub(super) async fn send(&self, message: &Message) -> Result<(), Fault> {
        let _turn = self.turns.acquire().await;
        let deadline = Instant::now() + self.timeout;
        timeout_at(deadline, self.converse(message))
            .await
            .unwrap_or_else(|_| Err(Fault::late()))
    }

    async fn converse(&self, message: &Message) -> Result<(), Fault> {
        let mut connection = match self.reuse().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = connection
            .send(message.envelope(), &message.formatted())
            .await;
        if !connection.has_broken() {
            let since = Instant::now();
            self.idle().push(Idle { connection, since });
        }
        sent.map(drop)
            .map_err(|error| Fault::of(Step::Send, &error))
    }

    /// One that is open and answers.
    async fn reuse(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let Idle {
                mut connection,
                since,
            } = self.idle().pop()?;
            let answers = timeout(self.timeout / PROBE_SHARE, connection.test_connected());
            if since.elapsed() < IDLE_MAX && answers.await == Ok(true) {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Fault> {
        let at = |step| move |error| Fault::of(step, &error);
        let (server, encryption) = (&self.server, self.server.encryption);
        let from_the_first_byte = (encryption == Encryption::Always).then(|| self.trust.clone());
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (server.host.as_str(), server.port),
            None,
            &self.name,
            from_the_first_byte,
            None,
        )
        .await
        .map_err(at(Step::Connect))?;
        if encryption == Encryption::StartTls
            || (encryption == Encryption::IfOffered && connection.can_starttls())
        {
            connection
                .starttls(self.trust.clone(), &self.name)
                .await
                .map_err(at(Step::StartTls))?;
        }
        if let Some(login) = &server.login {
            let password = login.password.expose_secret().to_owned();
            connection
                .auth(
                    &[Mechanism::Plain, Mechanism::Login],
                    &Credentials::new(login.user.clone(), password),
                )
                .await
                .map_err(at(Step::SignIn))?;
        }
        Ok(connection)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
