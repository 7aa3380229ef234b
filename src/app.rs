//! Wiring only: configuration -> resources -> the roles chosen -> until the process is told to stop.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App as WebApp, HttpServer, web};
use anyhow::Context;
use tokio_util::sync::CancellationToken;
use utoipa_swagger_ui::{Config as DocsConfig, SwaggerUi};

use crate::api::due::DueBookings;
use crate::api::{self, Api, openapi};
use crate::bus::consumer::Consumer;
use crate::bus::dapr::{DaprPublisher, Intake};
use crate::bus::embedded::{EmbeddedPublisher, EmbeddedSubscription};
use crate::bus::kafka::{KafkaPublisher, KafkaSubscription};
use crate::bus::relay::Relay;
use crate::bus::{Handler, Publisher};
use crate::clock::{Clock, Ids};
use crate::config::{BusKind, Config};
use crate::dapr::Sidecar;
use crate::events::{EventType, catalogue};
use crate::gemini::Gemini;
use crate::hints::Hints;
use crate::http::ingress::Ingress;
use crate::http::internal::{self, Internal};
use crate::http::request::{self, Leaving};
use crate::lifecycle::{Lifecycle, open_files};
use crate::links::Links;
use crate::mail::Mailer;
use crate::notifier::Notifier;
use crate::notifier::mail::Post;
use crate::projector::Projector;
use crate::projector::insights::{Looker, Looks};
use crate::projector::wording::Writer;
use crate::redis::Redis;
use crate::secrets::signing_key;
use crate::state::State;
use crate::store::trim::Trim;
use crate::store::{Store, schema};
use crate::telemetry::metrics::{self, handles::JobMetrics};

/// How often what nobody needs any more is looked for.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// How often the connections to the database are counted.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How long an idle connection of the internal listener stays open: longer than the sidecar keeps
/// one (90 s), or a delivery could meet one that has just been closed, and come half a second late.
const INTERNAL_KEEP_ALIVE: Duration = Duration::from_secs(120);

/// How often to look whether the database was migrated.
const SCHEMA_POLL: Duration = Duration::from_secs(1);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The HTTP API for clients.
    Api,
    /// Keeps read models, watches budgets.
    Projector,
    /// Turns warnings into alerts.
    Notifier,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Api, Self::Projector, Self::Notifier];

    /// What the role's consumer hears, if it has one.
    const fn hears(self) -> Option<&'static [EventType]> {
        match self {
            Self::Api => None,
            Self::Projector => Some(catalogue::PROJECTOR_HEARS),
            Self::Notifier => Some(catalogue::NOTIFIER_HEARS),
        }
    }
}

/// Where the process listens, once it does.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The API; only of role `api`.
    pub public: Option<SocketAddr>,
    /// Health and metrics.
    pub internal: SocketAddr,
}

/// The roles of this process, wired and running.
#[derive(Debug)]
pub struct App {
    /// Where it listens.
    pub addresses: Addresses,
    lifecycle: Lifecycle,
}

impl App {
    /// Starts the roles: binds, opens the database, begins the background tasks.
    ///
    /// # Errors
    /// An address is taken, the database cannot be opened, a secret is missing.
    pub async fn start(
        mut config: Config,
        roles: &BTreeSet<Role>,
        clock: Clock,
        ids: Ids,
    ) -> anyhow::Result<Self> {
        let metrics = metrics::install();
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("data_dir: cannot make {}", config.data_dir.display()))?;
        if !config.is_server_database() {
            metrics::watch_data_dir(&config.data_dir);
        }
        // The tokens of one and the links of the other, which the first must read.
        if roles.contains(&Role::Api) || roles.contains(&Role::Notifier) {
            signing_key::ensure(&mut config, &ids)?;
        }
        if roles.contains(&Role::Api) {
            open_files::take_what_is_allowed(config.http.connections_max as u64);
        }
        let config = Arc::new(config);
        let lifecycle = Lifecycle::new(
            config.lifecycle.drain_pause,
            config.lifecycle.drain_deadline,
        );
        let internal_listener = listen("http.internal_addr", config.http.internal_addr)?;
        let public_listener = roles
            .contains(&Role::Api)
            .then(|| listen("http.public_addr", config.http.public_addr))
            .transpose()?;
        let addresses = Addresses {
            public: public_listener
                .as_ref()
                .map(TcpListener::local_addr)
                .transpose()?,
            internal: internal_listener.local_addr()?,
        };

        let internal = Internal {
            readiness: lifecycle.readiness(),
            metrics: metrics.clone(),
        };
        let hears: Vec<&[EventType]> = roles.iter().filter_map(|role| role.hears()).collect();
        let intake = Arc::new(Intake::new(&hears, lifecycle.draining()));
        let ingress = match config.bus.kind {
            BusKind::Dapr => Some(Arc::new(Ingress::new(Arc::clone(&intake), &config))),
            BusKind::Embedded | BusKind::Kafka => None,
        };
        serve(
            &lifecycle,
            "internal listener",
            internal_server(internal, ingress, internal_listener, &config)?,
            &config,
        );
        let (store, writer) = Store::open(&config).await.context("database.url")?;
        let redis = Redis::of(&config.state).await?;
        let mut parts = Parts {
            config,
            lifecycle,
            store,
            clock,
            ids,
            intake,
            shared: None,
        };
        if let Some(writer) = writer {
            parts.watch_writer(writer);
        }
        wait_for_schema(&parts.store).await?;
        schema::settle_log(&parts.store)
            .await
            .context("database.url")?;
        parts.share(redis).await?;
        if let Some(listener) = public_listener {
            parts.start_api(listener).await?;
        }
        if roles.contains(&Role::Projector) {
            parts.start_consumer("projector", parts.projector()?)?;
        }
        if roles.contains(&Role::Notifier) {
            parts.start_consumer("notifier", parts.notifier()?)?;
        }
        parts.start_relay()?;
        parts.start_housekeeping(metrics);
        parts.lifecycle.readiness().started();
        Ok(Self {
            addresses,
            lifecycle: parts.lifecycle,
        })
    }

    /// The life of the process.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Runs until the process is told to stop, and sees the end through.
    ///
    /// # Errors
    /// A background task died, or the drain took too long.
    pub async fn run(self) -> anyhow::Result<()> {
        Ok(self.lifecycle.run_until_stopped().await?)
    }
}

/// Waits until somebody has migrated the database of a server; until then the process lives, and is
/// not ready.
async fn wait_for_schema(store: &Store) -> anyhow::Result<()> {
    let mut said = false;
    loop {
        let pending = schema::pending(store).await.context("database.url")?;
        let Some(first) = pending.first() else {
            return Ok(());
        };
        if !said {
            let count = pending.len();
            tracing::warn!(
                count,
                first,
                "waits for the schema: run `wealth-companion migrate up`"
            );
            said = true;
        }
        tokio::time::sleep(SCHEMA_POLL).await;
    }
}

/// What the roles are made of.
struct Parts {
    config: Arc<Config>,
    lifecycle: Lifecycle,
    store: Store,
    clock: Clock,
    ids: Ids,
    intake: Arc<Intake>,
    /// The Redis that others on this database share, and what they call the database.
    shared: Option<(Redis, String)>,
}

impl Parts {
    /// The writer outlives the drain; if it ends before, nothing can be written any more.
    fn watch_writer(&self, writer: tokio::task::JoinHandle<()>) {
        let draining = self.lifecycle.draining();
        self.lifecycle.spawn("writer", async move {
            tokio::select! {
                () = draining.cancelled() => Ok(()),
                ended = writer => Err(anyhow::anyhow!("the writer ended: {ended:?}")),
            }
        });
    }

    /// Processes that share a Redis wake each other, and count together.
    async fn share(&mut self, redis: Option<Redis>) -> anyhow::Result<()> {
        let Some(redis) = redis else {
            return Ok(());
        };
        let installation = schema::installation(&self.store).await?;
        let me = self.ids.v4();
        let hints = Hints::new(redis.clone(), self.store.clone(), &installation, me);
        self.lifecycle
            .spawn("hints", hints.run(self.lifecycle.draining()));
        self.shared = Some((redis, installation));
        Ok(())
    }

    async fn start_api(&self, listener: TcpListener) -> anyhow::Result<()> {
        let draining = self.lifecycle.draining();
        let api = web::Data::new(Api::new(
            self.store.clone(),
            Arc::clone(&self.config),
            self.clock.clone(),
            self.ids.clone(),
            draining.clone(),
            self.shared
                .as_ref()
                .map(|(redis, installation)| (redis, installation.as_str())),
        )?);
        let streams = api.streams();
        streams.begin(&self.store).await?;
        self.lifecycle
            .spawn("streams", streams.run(self.store.clone(), draining.clone()));
        let (store, clock, ids) = (self.store.clone(), self.clock.clone(), self.ids.clone());
        self.lifecycle.spawn(
            "recurring",
            DueBookings::new(store, clock, ids).run(draining.clone()),
        );
        self.lifecycle
            .spawn("rules", api.rule_worker().run(draining.clone()));
        let tidied = api.clone();
        let (job, clock) = (JobMetrics::new("limits"), self.clock.clone());
        let tidy = move || {
            tidied.tidy();
            job.succeeded(clock.now());
        };
        self.lifecycle
            .spawn("limits", every(TRIM_EVERY, draining, tidy));
        let leaving = Leaving(self.lifecycle.shutting_down());
        let server = public_server(api, &self.config, &self.clock, &self.ids, leaving, listener)?;
        serve(&self.lifecycle, "public listener", server, &self.config);
        Ok(())
    }

    fn projector(&self) -> anyhow::Result<Arc<dyn Handler>> {
        let (store, clock, ids) = (self.store.clone(), self.clock.clone(), self.ids.clone());
        let projector = Projector::new(store.clone(), clock.clone(), ids.clone());
        let Some(every) = self.config.insights.every else {
            return Ok(Arc::new(projector));
        };
        let looks = Arc::new(Looks::default());
        let gemini = Gemini::of(&self.config.ai, clock.clone())?;
        let writer = gemini.map(|gemini| Writer::new(gemini, &self.config.ai));
        let looker = Looker::new(store, clock, ids, every).with(writer);
        let looking = looker.run(Arc::clone(&looks), self.lifecycle.draining());
        self.lifecycle.spawn("insights", looking);
        Ok(Arc::new(projector.telling(looks)))
    }

    fn notifier(&self) -> anyhow::Result<Arc<dyn Handler>> {
        let (store, clock, ids) = (self.store.clone(), self.clock.clone(), self.ids.clone());
        let notifier = Notifier::new(store.clone(), clock.clone(), ids.clone());
        let (mailer, public_url) = (
            Mailer::new(&self.config.email)?,
            &self.config.email.public_url,
        );
        let Some((mailer, public_url)) = mailer.zip(public_url.as_ref()) else {
            return Ok(Arc::new(notifier));
        };
        let links = Links::new(&self.config.auth.signing_keys);
        let public_url = public_url.expose().to_owned();
        let mailer = mailer.with_clock(clock.clone());
        let post = Post::new(store, clock, ids, mailer, links, public_url);
        self.lifecycle
            .spawn("mail", post.run(self.lifecycle.draining()));
        Ok(Arc::new(notifier.sending_email(true)))
    }

    fn start_consumer(&self, name: &'static str, handler: Arc<dyn Handler>) -> anyhow::Result<()> {
        let redis = self.shared.as_ref().map(|(redis, _)| redis);
        let state = State::open(&self.config, redis)?;
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let consumer = Arc::new(Consumer::new(
            handler,
            store.clone(),
            state,
            clock.clone(),
            self.ids.clone(),
        ));
        match self.config.bus.kind {
            BusKind::Embedded => {
                let bus = self.config.bus.clone();
                let subscription = EmbeddedSubscription::new(consumer, store, clock, bus);
                self.lifecycle
                    .spawn(name, subscription.run(self.lifecycle.draining()));
            }
            BusKind::Dapr => self.intake.add(consumer),
            BusKind::Kafka => {
                let subscription = KafkaSubscription::new(consumer, &self.config)?;
                self.lifecycle
                    .spawn(name, subscription.run(self.lifecycle.draining()));
            }
        }
        Ok(())
    }

    fn publisher(&self) -> anyhow::Result<Arc<dyn Publisher>> {
        match self.config.bus.kind {
            BusKind::Embedded => Ok(Arc::new(EmbeddedPublisher::new(
                self.store.clone(),
                self.clock.clone(),
            ))),
            BusKind::Dapr => {
                let sidecar = Sidecar::new(&self.config.dapr)?;
                Ok(Arc::new(DaprPublisher::new(sidecar, &self.config)))
            }
            BusKind::Kafka => Ok(Arc::new(KafkaPublisher::new(&self.config)?)),
        }
    }

    fn start_relay(&self) -> anyhow::Result<()> {
        let relay = Relay::new(
            self.store.clone(),
            self.publisher()?,
            self.clock.clone(),
            self.config.bus.clone(),
        );
        self.lifecycle
            .spawn("relay", relay.run(self.lifecycle.draining()));
        Ok(())
    }

    fn start_housekeeping(&self, handle: metrics_exporter_prometheus::PrometheusHandle) {
        let draining = self.lifecycle.draining();
        let upkeep = draining.clone();
        self.lifecycle.spawn("metrics upkeep", async move {
            metrics::run_upkeep(handle, upkeep).await;
            Ok(())
        });
        let store = self.store.clone();
        let tell = move || store.tell_connections();
        self.lifecycle
            .spawn("connections", every(TELL_EVERY, draining.clone(), tell));
        let consumers = [catalogue::PROJECTOR, catalogue::NOTIFIER];
        let retention = self.config.retention.clone();
        let trim = match self.config.bus.kind {
            BusKind::Embedded => Trim::new(retention, &consumers),
            BusKind::Dapr | BusKind::Kafka => Trim::of_relayed(retention),
        };
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let job = JobMetrics::new("trim");
        self.lifecycle.spawn("trim", async move {
            while !draining.is_cancelled() {
                match trim.step(&store, clock.now()).await {
                    Ok(0) => job.succeeded(clock.now()),
                    Ok(_) => continue,
                    Err(error) => {
                        job.failed();
                        tracing::warn!(%error, "trim: will try again");
                    }
                }
                let _ = tokio::time::timeout(TRIM_EVERY, draining.cancelled()).await;
            }
            Ok(())
        });
    }
}

async fn every(
    period: Duration,
    stop: CancellationToken,
    work: impl Fn() + Send,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        work();
        let _ = tokio::time::timeout(period, stop.cancelled()).await;
    }
    Ok(())
}

fn listen(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!("{key}: cannot listen on {address}; is another instance running? set {key} to another port")
    })
}

/// Serves until draining begins, then finishes what is begun.
fn serve(lifecycle: &Lifecycle, name: &'static str, server: Server, config: &Config) {
    let handle: ServerHandle = server.handle();
    let draining = lifecycle.draining();
    let deadline = config.lifecycle.drain_deadline;
    lifecycle.spawn(name, async move {
        let served = tokio::spawn(server);
        draining.cancelled().await;
        // The internal listener goes last: readiness must still be seen to fail.
        if name == "internal listener" {
            tokio::time::sleep(Duration::from_millis(50).min(deadline)).await;
        }
        handle.stop(true).await;
        served.await??;
        Ok(())
    });
}

fn internal_server(
    internal: Internal,
    ingress: Option<Arc<Ingress>>,
    listener: TcpListener,
    config: &Config,
) -> io::Result<Server> {
    let internal = web::Data::new(internal);
    // A delivery that is begun is finished.
    let deadline = match ingress {
        Some(_) => config.lifecycle.drain_deadline.as_secs().max(1),
        None => 1,
    };
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(internal.clone())
            .configure(internal::routes)
            .configure(|routes| {
                if let Some(ingress) = &ingress {
                    ingress.routes(routes);
                }
            })
    });
    Ok(server
        .workers(1)
        .keep_alive(INTERNAL_KEEP_ALIVE)
        .tcp_nodelay(true)
        .disable_signals()
        .shutdown_timeout(deadline)
        .listen(listener)?
        .run())
}

fn public_server(
    api: web::Data<Api>,
    config: &Config,
    clock: &Clock,
    ids: &Ids,
    leaving: Leaving,
    listener: TcpListener,
) -> io::Result<Server> {
    let leaving = web::Data::new(leaving);
    let http = web::Data::new(config.http.clone());
    let clock = web::Data::new(clock.clone());
    let ids = web::Data::new(ids.clone());
    let workers = config.http.workers.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    );
    let deadline_secs = config.lifecycle.drain_deadline.as_secs().max(1);
    let server = HttpServer::new(move || {
        WebApp::new()
            .app_data(api.clone())
            .app_data(http.clone())
            .app_data(clock.clone())
            .app_data(ids.clone())
            .app_data(leaving.clone())
            .configure(api::routes)
            .route("/openapi.json", web::get().to(openapi::show))
            .service(web::redirect("/docs", "/docs/"))
            .service(SwaggerUi::new("/docs/{tail:.*}").config(DocsConfig::from("/openapi.json")))
            .default_service(web::to(openapi::nothing_here))
            .wrap(from_fn(request::surround))
    });
    let server = server
        .workers(workers)
        .max_connections((config.http.connections_max / workers).max(1))
        .client_request_timeout(config.http.client_timeout)
        .keep_alive(config.http.keep_alive)
        // An alert on a stream is a small write that nothing follows.
        .tcp_nodelay(true)
        // Who closes a stream gives its place back at once, not at the next heartbeat.
        .h1_allow_half_closed(false)
        .shutdown_timeout(deadline_secs)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
