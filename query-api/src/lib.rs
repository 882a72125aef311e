//! The query API: serves the read models.
//!
//! A read is a look-up in the active build of a view. One that carries a consistency token first
//! waits, in this process, until the view shows the write the token stands for. Rows come from the
//! cache where it knows them.

mod api_docs;
mod cache;
mod caller;
mod conditional;
mod config;
mod consistency;
mod cursor;
mod description;
mod device_history;
mod export;
mod listing;
mod lookups;
mod page;
mod parameters;
mod positions;
mod prefer;
mod probes;
mod refused;
mod resource;
mod session;
mod text_range;
mod user;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{Verifier, identity};
use api_description::{Described, Description};
use consistency_token::TokenKey;
use domain::session::SessionLife;
use lifecycle::http::{RateLimitConfig, RateLimits};
use lifecycle::{Component, Health, HealthPaths, Process, Server, Shutdown};
use read_models::database::DatabaseConfig;
use settings::Settings;
use telemetry::Metric;
use tokio_util::task::TaskTracker;

use cache::{Cache, CacheCounters, CacheSettings, Ttls};
use consistency::{Places, Waits};
use cursor::Cursors;
use device_history::HistoryPages;
use export::Exports;
use lookups::{Lookup, LookupLimits, Lookups};
use page::{PageLimits, Slots};
use positions::{Positions, follow};
use resource::{ResourceLookup, ResourcePages};
use session::SessionPages;
use user::{UserAudits, UserLookup, UserPages};

pub use config::Config;

/// The longest time between two rounds of the task that follows positions.
const FOLLOW_DEADLINE: Duration = Duration::from_secs(15);

/// What handlers work with. Clones are the same.
#[derive(Clone)]
pub(crate) struct Api(Arc<Parts>);

pub(crate) struct Parts {
    verifier: Arc<Verifier>,
    tokens: TokenKey,
    positions: Positions,
    waits: Waits,
    cache: Cache,
    ttls: Ttls,
    resources: Lookups<ResourceLookup>,
    resource_topic: String,
    lists: Lookups<ResourcePages>,
    histories: Lookups<HistoryPages>,
    users: Lookups<UserLookup>,
    user_topic: String,
    user_lists: Lookups<UserPages>,
    user_audits: Lookups<UserAudits>,
    event_store: String,
    places: Places,
    sessions: Lookups<SessionPages>,
    session_topic: String,
    session_life: SessionLife,
    pages: PageLimits,
    slots: Slots,
    cursors: Cursors,
    exports: Exports,
    offline_after: Duration,
    counters: Counters,
}

impl Parts {
    /// What they are, with what their reads need, which runs until the process ends.
    fn new(
        config: Config,
        verifier: Arc<Verifier>,
        positions: Positions,
        health: &Health,
        spawn: &Spawn<'_>,
    ) -> Self {
        let (database, of_row, of_page) = (&config.database, config.lookups, config.page_lookups);
        let places = spawn.lookups(health, "places of decisions", database, config.place_lookups);
        let (tasks, shutdown) = (spawn.tasks.clone(), spawn.shutdown.clone());
        let cache = Cache::start(config.cache);
        spawn.until_shutdown(cache.watch());
        Self {
            verifier,
            cursors: Cursors::new(&config.tokens),
            tokens: config.tokens,
            positions,
            waits: config.waits,
            cache,
            ttls: config.ttls,
            resources: spawn.lookups(health, "reads", database, of_row),
            resource_topic: config.resource_topic,
            lists: spawn.lookups(health, "pages of resources", database, of_page),
            histories: spawn.lookups(health, "pages of history", database, of_page),
            users: spawn.lookups(health, "reads of users", database, of_row),
            user_topic: config.user_topic,
            user_lists: spawn.lookups(health, "pages of users", database, of_page),
            user_audits: spawn.lookups(health, "pages of audits", database, of_page),
            places: Places::new(&config.event_store, places),
            event_store: config.event_store,
            sessions: spawn.lookups(health, "pages of sessions", database, of_page),
            session_topic: config.session_topic,
            session_life: config.session_life,
            pages: config.pages,
            slots: Slots::new(config.pages),
            exports: Exports::new(database, config.exports, tasks, shutdown),
            offline_after: config.offline_after,
            counters: Counters::new(),
        }
    }
}

impl std::ops::Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What was read.
struct Counters {
    resources: ReadCounters,
    users: ReadCounters,
    pages: metrics::Counter,
    history_pages: metrics::Counter,
    user_pages: metrics::Counter,
    audit_pages: metrics::Counter,
    session_pages: metrics::Counter,
}

/// Reads of the rows of a view by outcome.
struct ReadCounters {
    found: metrics::Counter,
    not_modified: metrics::Counter,
    not_found: metrics::Counter,
    cache: CacheCounters,
}

fn described() -> Described<Api> {
    resource::described()
        .merge(device_history::described())
        .merge(user::described())
        .merge(session::described())
        .merge(api_docs::described())
}

/// What the query API serves.
pub fn description() -> Description {
    let health = HealthPaths {
        live: ("/health", "queryApiLives"),
        ready: ("/health/ready", "queryApiIsReady"),
    };
    described().into_description().merge(health.description())
}

/// A running query API.
pub struct App {
    server: Server,
    health: Health,
    shutdown: Shutdown,
    tasks: TaskTracker,
    drain: Duration,
}

/// Why the query API does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("the query API cannot listen on {address}; choose another with {}", settings::table::QUERY_API_BIND.name)]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl Process for App {
    const NAME: &'static str = "query-api";
    const ABOUT: &'static str = "answers reads from the read models";
    const BIND: &'static settings::Setting = &settings::table::QUERY_API_BIND;

    type Config = Config;
    type StartError = StartError;

    fn config(settings: &mut Settings) -> Config {
        Config::from_settings(settings)
    }

    async fn start(config: Config) -> Result<Self, StartError> {
        // Before any handle of a metric is taken.
        telemetry::metrics();
        let (health, shutdown, tasks) = (Health::new(), Shutdown::new(), TaskTracker::new());
        probes::spawn(&config, &health);
        let spawn = Spawn { tasks: &tasks, shutdown: &shutdown };
        let verifier = identities(&config, &health, &spawn);
        let positions = Positions::new(config.max_waiting);
        spawn.until_shutdown(follow::follow(
            config.database.clone(),
            positions.clone(),
            health.component("postgres"),
            health.heartbeat("positions", FOLLOW_DEADLINE),
        ));
        let (limits, shared) = (config.rate_limits.as_ref(), config.cache.as_ref());
        let limits = rate_limits(limits, shared, &verifier, &spawn);
        let (http, drain) = (config.http.clone(), config.drain);
        let api = Api(Arc::new(Parts::new(config, verifier, positions, &health, &spawn)));
        let routes = described().into_router().merge(api_docs::page()).with_state(api);
        let address = http.bind;
        let server = Server::start_limited(routes, http, health.clone(), limits)
            .await
            .map_err(|error| StartError::Bind { address, error })?;
        Ok(Self { server, health, shutdown, tasks, drain })
    }

    fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    async fn stopped(&self) {
        self.health.died().await;
    }

    async fn stop(self) -> bool {
        // First the requests, then what they need.
        let drained = self.server.stop(self.drain).await;
        self.shutdown.begin();
        self.tasks.close();
        self.tasks.wait().await;
        drained.is_clean()
    }
}

/// What verifies access tokens, kept up to date until the process ends.
fn identities(config: &Config, health: &Health, spawn: &Spawn<'_>) -> Arc<Verifier> {
    let verifier = Arc::new(Verifier::new(&config.access));
    // Before anything is served: `identity::watch` brings them.
    verifier.expect_own_keys();
    let database = config.identity_database();
    let revocations = health.component("revocations");
    let heartbeat = health.heartbeat("identities", identity::WATCH_DEADLINE);
    let verify = verifier.clone();
    spawn.until_shutdown(async move {
        identity::watch(database, &verify, revocations, heartbeat).await;
    });
    let (verify, access) = (verifier.clone(), config.access.clone());
    let keys = health.component("access keys");
    spawn.until_shutdown(async move {
        access::refresh(&verify, &access, keys).await;
    });
    verifier
}

/// How much callers may ask for; what they have asked for is shared with the other processes.
fn rate_limits(
    limits: Option<&RateLimitConfig>,
    cache: Option<&CacheSettings>,
    verifier: &Arc<Verifier>,
    spawn: &Spawn<'_>,
) -> Option<RateLimits> {
    let identify = access::counted(Arc::clone(verifier));
    let limits = RateLimits::new(limits?, &description(), identify, cache.is_some());
    if let Some(cache) = cache {
        spawn.until_shutdown(limits.clone().share(cache.buckets()));
    }
    Some(limits)
}

/// Starts tasks that end with the process.
struct Spawn<'a> {
    tasks: &'a TaskTracker,
    shutdown: &'a Shutdown,
}

impl Spawn<'_> {
    /// Look-ups of one kind. The work of each of their connections is a component with a number.
    fn lookups<L: Lookup>(
        &self,
        health: &Health,
        of: &str,
        database: &DatabaseConfig,
        limits: LookupLimits,
    ) -> Lookups<L> {
        let (lookups, connections) = Lookups::new(database, limits);
        self.must_all_run(health, of, connections);
        lookups
    }

    /// Work that says nothing of itself: the component is ready, and dead when the work ends or
    /// panics before the shutdown.
    fn must_run(&self, component: Component, work: impl Future<Output = ()> + Send + 'static) {
        component.ready();
        self.until_shutdown(async move {
            work.await;
            drop(component);
        });
    }

    /// Work of the same kind, each a component with a number.
    fn must_all_run<W>(&self, health: &Health, of: &str, all: Vec<W>)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        for (n, work) in (1..).zip(all) {
            self.must_run(health.component(format!("{of} {n}")), work);
        }
    }

    fn until_shutdown(&self, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.begun() => {}
                () = work => {}
            }
        });
    }
}

impl Counters {
    fn new() -> Self {
        let pages = |read_model| Metric::QueryApiPages.counter(&[read_model]);
        Self {
            resources: ReadCounters::of("resource"),
            users: ReadCounters::of("user"),
            pages: pages("resource"),
            history_pages: pages("device_history"),
            user_pages: pages("user"),
            audit_pages: pages("user_audit"),
            session_pages: pages("session"),
        }
    }
}

impl ReadCounters {
    fn of(read_model: &str) -> Self {
        let of = |outcome| Metric::QueryApiReads.counter(&[read_model, outcome]);
        Self {
            found: of("found"),
            not_modified: of("not_modified"),
            not_found: of("not_found"),
            cache: CacheCounters::of(read_model),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_ends_the_process() {
        let (tasks, shutdown, health) = (TaskTracker::new(), Shutdown::new(), Health::new());
        let spawn = Spawn { tasks: &tasks, shutdown: &shutdown };
        spawn.must_run(health.component("reads 1"), async { panic!("a defect") });
        tokio::time::timeout(Duration::from_secs(10), health.died()).await.unwrap();
        assert!(!health.report().live);
    }

    async fn get(app: &App, path: &str) -> String {
        let mut stream = TcpStream::connect(app.addr()).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a.b.c\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn without_a_key_it_is_not_ready_and_nobody_is_called_unauthenticated() {
        let mut settings = Settings::new(
            [
                ("MILLRACE_QUERY_API_BIND", "127.0.0.1:0"),
                ("MILLRACE_TOKEN_SECRET", "0123456789abcdef0123456789abcdef"),
                ("MILLRACE_JWKS_URL", "http://127.0.0.1:1/jwks.json"),
                ("DATABASE_URL", "postgres://nobody:nothing@127.0.0.1:1/none"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let config = App::config(&mut settings);
        let app = App::start(settings.finish(config).unwrap()).await.unwrap();
        let ready = get(&app, "/health/ready").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("access keys\":\""), "{ready}");
        let read = get(&app, "/api/v1/resources/a").await;
        assert!(read.starts_with("HTTP/1.1 503"), "{read}");
        assert!(read.contains("/problems/not-ready") && read.contains("retry-after: 1"), "{read}");
        assert!(app.stop().await);
    }
}
