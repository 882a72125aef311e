//! Rows by key from Postgres, for many readers over few connections.
//!
//! Reads queue up in one bounded queue. Each connection takes all that wait, up to a limit, and
//! asks for them with one statement: alone a read waits for nothing, and under load the cost of the
//! round trip is shared. A read is asked for after it came, so it sees every commit before it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use read_models::database::{DatabaseConfig, SessionLimits};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use telemetry::Metric;
use telemetry::trace::{self, Step};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;
use tracing::Instrument as _;

/// One kind of look-up and the statement that makes many of them at once.
pub(crate) trait Lookup: Send + Sync + 'static {
    /// What is looked for.
    type Key: Send + Sync + 'static;
    /// What is known of it, also where that is nothing.
    type Found: Send + 'static;

    /// What is read, to metrics.
    const OF: &'static str;

    /// Most keys in one statement.
    const AT_ONCE: usize = 64;

    /// What is known of each key, in their order, all as of one moment.
    fn find(
        connection: &mut PgConnection,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<Vec<Self::Found>, sqlx::Error>> + Send;
}

/// How much is asked of the database at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookupLimits {
    /// Connections.
    pub(crate) connections: usize,
    /// Reads that may wait for one.
    pub(crate) queued: usize,
    /// Longest time of a read, waiting included.
    pub(crate) timeout: Duration,
}

/// Why a row could not be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    /// As many reads wait as may.
    #[error("as many reads wait for the database as may")]
    Busy,
    /// The database does not answer, or not in time.
    #[error("the database does not answer")]
    Unavailable,
}

/// The front of the queue. Clones share it.
pub(crate) struct Lookups<L: Lookup> {
    queue: mpsc::Sender<Wanted<L>>,
    timeout: Duration,
    metrics: Arc<LookupMetrics>,
}

struct Wanted<L: Lookup> {
    key: L::Key,
    answer: oneshot::Sender<Result<L::Found, LookupError>>,
}

type Queue<L> = Arc<Mutex<mpsc::Receiver<Wanted<L>>>>;

impl<L: Lookup> Clone for Lookups<L> {
    fn clone(&self) -> Self {
        let (queue, metrics) = (self.queue.clone(), self.metrics.clone());
        Self { queue, timeout: self.timeout, metrics }
    }
}

impl<L: Lookup> Lookups<L> {
    /// The queue and the work of its connections; each must be polled, and ends when the last
    /// clone of the queue is gone.
    pub(crate) fn new(
        database: &DatabaseConfig,
        limits: LookupLimits,
    ) -> (Self, Vec<impl Future<Output = ()> + Send + use<L>>) {
        let (queue, wanted) = mpsc::channel(limits.queued);
        let wanted: Queue<L> = Arc::new(Mutex::new(wanted));
        let options = session(database, limits.timeout);
        let connections = (0..limits.connections)
            .map(|_| {
                let line = Line { options: options.clone(), connection: None };
                line.serve::<L>(wanted.clone(), limits.timeout)
            })
            .collect();
        let metrics = Arc::new(LookupMetrics::of(L::OF, limits.queued));
        (Self { queue, timeout: limits.timeout, metrics }, connections)
    }

    /// What is known of this key, as of some moment after the call.
    ///
    /// # Errors
    /// [`LookupError::Busy`] at once, [`LookupError::Unavailable`] at the latest after the time-out.
    pub(crate) async fn find(&self, key: L::Key) -> Result<L::Found, LookupError> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Wanted { key, answer }).map_err(|error| match error {
            TrySendError::Full(_) => {
                self.metrics.refused.increment(1);
                LookupError::Busy
            }
            TrySendError::Closed(_) => LookupError::Unavailable,
        })?;
        self.tell_queued();
        let (began, traced) = (Instant::now(), trace::step(Step::ReadDatabase));
        let answered =
            tokio::time::timeout(self.timeout, answered).instrument(traced.clone()).await;
        self.metrics.time.record(began.elapsed().as_secs_f64());
        self.tell_queued();
        let found = match answered {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => Err(LookupError::Unavailable),
        };
        found.inspect_err(|_| trace::failed(&traced, "unavailable"))
    }

    fn tell_queued(&self) {
        let waiting = self.queue.max_capacity() - self.queue.capacity();
        self.metrics.queued.set(waiting as f64);
    }
}

/// What is told of one kind of look-up. The queue is told of as it was when somebody last joined or left.
struct LookupMetrics {
    time: Histogram,
    queued: Gauge,
    refused: Counter,
}

impl LookupMetrics {
    fn of(of: &str, limit: usize) -> Self {
        Metric::QueryApiQueuedLimit.gauge(&[of]).set(limit as f64);
        let refused = Metric::QueryApiRefused.counter(&[of]);
        refused.increment(0);
        Self {
            time: Metric::QueryApiDatabase.histogram(&[of]),
            queued: Metric::QueryApiQueued.gauge(&[of]),
            refused,
        }
    }
}

fn session(database: &DatabaseConfig, timeout: Duration) -> PgConnectOptions {
    let limits = SessionLimits {
        idle_in_transaction: timeout,
        transaction: timeout,
        lock: timeout,
        statement: timeout,
    };
    read_only(database.session("query-api", limits))
}

/// A session that changes nothing, and reads by indexes.
pub(crate) fn read_only(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("default_transaction_read_only", "on"),
        // One plan for ever, and that by the index: planning a read costs more than the read, and
        // statistics of a table that was empty a minute ago must not choose a scan.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
    ])
}

/// One connection, made when first needed and anew after any error.
struct Line {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Line {
    async fn serve<L: Lookup>(mut self, queue: Queue<L>, timeout: Duration) {
        let mut wanted = Vec::with_capacity(L::AT_ONCE);
        while queue.lock().await.recv_many(&mut wanted, L::AT_ONCE).await > 0 {
            // Who has gone away is not asked for.
            wanted.retain(|wanted| !wanted.answer.is_closed());
            if wanted.is_empty() {
                continue;
            }
            let (keys, answers): (Vec<_>, Vec<_>) =
                wanted.drain(..).map(|Wanted { key, answer }| (key, answer)).unzip();
            let found = tokio::time::timeout(timeout, self.find_twice::<L>(&keys)).await;
            let found = found.unwrap_or_else(|_| {
                // A statement that was given up may still run: its connection is of no more use.
                self.connection = None;
                Err(LookupError::Unavailable)
            });
            tell(answers, found);
        }
    }

    /// A connection that was idle may have died unseen: what fails on it is tried on a new one.
    async fn find_twice<L: Lookup>(
        &mut self,
        keys: &[L::Key],
    ) -> Result<Vec<L::Found>, LookupError> {
        if self.connection.is_some()
            && let Ok(found) = self.find::<L>(keys).await
        {
            return Ok(found);
        }
        self.find::<L>(keys).await.map_err(|error| {
            let error = &error as &(dyn std::error::Error + 'static);
            tracing::debug!(error, "rows could not be read");
            LookupError::Unavailable
        })
    }

    async fn find<L: Lookup>(&mut self, keys: &[L::Key]) -> Result<Vec<L::Found>, sqlx::Error> {
        // Taken out while it is in use: an error or a drop on the way leaves none behind.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let found = L::find(&mut connection, keys).await?;
        self.connection = Some(connection);
        Ok(found)
    }
}

/// Tells each reader what was found for it. Who has gone away meanwhile does not hear it.
fn tell<F>(
    answers: Vec<oneshot::Sender<Result<F, LookupError>>>,
    found: Result<Vec<F>, LookupError>,
) {
    match found {
        Ok(found) => {
            for (answer, found) in answers.into_iter().zip(found) {
                let _ = answer.send(Ok(found));
            }
        }
        Err(error) => {
            for answer in answers {
                let _ = answer.send(Err(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Lookup for Nothing {
        const OF: &'static str = "nothing";
        type Key = &'static str;
        type Found = ();

        async fn find(_: &mut PgConnection, keys: &[&'static str]) -> Result<Vec<()>, sqlx::Error> {
            Ok(vec![(); keys.len()])
        }
    }

    const LIMITS: LookupLimits =
        LookupLimits { connections: 1, queued: 1, timeout: Duration::from_secs(2) };

    /// Port 1 of this machine: nobody listens there.
    fn no_database() -> DatabaseConfig {
        let connect = PgConnectOptions::new().host("127.0.0.1").port(1);
        DatabaseConfig { connect, schema: "read_models".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_past_the_queue_is_refused_at_once_and_one_in_it_at_its_time() {
        let (lookups, _connections_at_rest) = Lookups::<Nothing>::new(&no_database(), LIMITS);
        let began = tokio::time::Instant::now();
        let (queued, refused) =
            tokio::join!(lookups.find("a"), async { (lookups.find("b").await, began.elapsed()) });
        assert_eq!(refused, (Err(LookupError::Busy), Duration::ZERO));
        assert_eq!((queued, began.elapsed()), (Err(LookupError::Unavailable), LIMITS.timeout));
    }

    #[tokio::test]
    async fn without_a_database_a_read_is_told_so_before_its_time_is_over() {
        let (lookups, connections) = Lookups::<Nothing>::new(&no_database(), LIMITS);
        let tasks: Vec<_> = connections.into_iter().map(tokio::spawn).collect();
        let began = std::time::Instant::now();
        assert_eq!(lookups.find("a").await, Err(LookupError::Unavailable));
        assert!(began.elapsed() < LIMITS.timeout);
        drop(lookups);
        for task in tasks {
            task.await.unwrap();
        }
    }
}
