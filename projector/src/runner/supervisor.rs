//! A projection from its start to its end: prepares what a run needs, runs, and begins anew when a
//! run fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_schema::decode::{Decoder, KnownId};
use event_schema::registry::Registry;
use kafka_io::consumer::{Consumer, ConsumerConfig, PartitionCountError, partition_count};
use kafka_io::record_reader::RecordReader;
use read_models::database::SessionLimits;
use read_models::deployment;
use sqlx::PgPool;
use telemetry::Metric;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant as Deadline, sleep, timeout, timeout_at};

use super::decoding::{EventDecode, SharedDecoder};
use super::freshness::Freshness;
use super::group::{Group, HANDOVER};
use super::lane::{self, LaneHandle, LaneNotice, LaneSetup};
use super::occurrence::ProcessedLog;
use super::partition::backoff;
use super::positions::{self, Scope};
use super::progress::Progress;
use super::{Projection, RunnerConfig, occurrence, publish, upkeep, vitals};
use crate::cache::keeper::Keeper;
use crate::cache::{Announcer, Cache};
use crate::letters::brake::Brake;
use crate::letters::brake_keeper;
use crate::letters::notices::Notices;
use crate::letters::retry::Retry;

/// Longest wait for the client to leave its group.
const CLOSE: Duration = Duration::from_secs(5);

/// Longest wait for records that are read again, inside a transaction of a lane.
const READ_AGAIN: Duration = Duration::from_secs(3);

/// Longest wait for the first connection to Redis; without it, batches first wait for trust to lapse.
const CONNECT_CACHE: Duration = Duration::from_secs(1);

/// A run that lasts longer failed for a reason of its own, not for that of the run before it.
const A_GOOD_RUN: Duration = Duration::from_secs(30);

/// A running projection.
pub struct Runner {
    progress: Arc<Progress>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Runner {
    /// Runs a projection until it is stopped. Whatever is missing or away is waited for and told by
    /// [`Runner::progress`].
    pub fn start<P: Projection>(config: RunnerConfig, projection: P) -> Self {
        occurrence::begin(P::NAME);
        let progress = Arc::new(Progress::new(P::NAME));
        let (stop, stopped) = watch::channel(false);
        let announcer = config.cache.as_ref().filter(|_| P::CACHED_AS.is_some());
        let announcer = announcer.map(|cache| Arc::new(Announcer::start(cache)));
        let projection = Arc::new(projection);
        let supervisor = Supervisor { config, projection, announcer, progress: progress.clone() };
        let last_words = LastWords(progress.clone());
        let task = tokio::spawn(async move {
            supervisor.run(stopped).await;
            drop(last_words);
        });
        Self { progress, stop, task }
    }

    /// Where its partitions stand.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Finishes the batches under way, hands the partitions over and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// Says that nobody runs the projection any more, however that came about.
struct LastWords(Arc<Progress>);

impl Drop for LastWords {
    fn drop(&mut self) {
        self.0.fault("the projection is not run any more".to_owned());
    }
}

struct Supervisor<P: Projection> {
    config: RunnerConfig,
    projection: Arc<P>,
    announcer: Option<Arc<Announcer>>,
    progress: Arc<Progress>,
}

impl<P: Projection> Supervisor<P> {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut attempts = 0;
        loop {
            let outcome = tokio::select! {
                () = is_stopped(&mut stopped) => return,
                prepared = self.prepare() => prepared,
            };
            let reason = match outcome {
                Ok(prepared) => {
                    let began = Instant::now();
                    let ended = self.fold(prepared, &mut stopped).await;
                    if began.elapsed() > A_GOOD_RUN {
                        attempts = 0;
                    }
                    match ended {
                        Ended::Stopped => return,
                        Ended::Failed(reason) => reason,
                    }
                }
                Err(reason) => reason,
            };
            tracing::warn!(
                projection = P::NAME,
                reason,
                "the projection cannot run and tries again"
            );
            self.progress.fault(reason);
            tokio::select! {
                () = is_stopped(&mut stopped) => return,
                () = sleep(backoff(attempts, 1.0)) => attempts += 1,
            }
        }
    }

    /// Reads what the deploy steps recorded.
    async fn prepare(&self) -> Result<Prepared<P::Event>, String> {
        let config = &self.config;
        let limits = SessionLimits {
            idle_in_transaction: Duration::from_secs(2),
            transaction: Duration::from_secs(5),
            lock: Duration::from_secs(2),
            statement: Duration::from_secs(5),
        };
        // For letters that are published, for rows that are forgotten, and for metrics: those would
        // call a database gone that the other two keep waiting.
        let pool = config.database.pool("projector", limits, 3, Duration::from_secs(2));
        let away = |error: sqlx::Error| {
            occurrence::database_reachable(P::NAME, false);
            format!("the database cannot be read: {error}")
        };
        let topic = &config.consumer.topic;
        let recorded = deployment::topic(&pool, topic).await.map_err(away)?;
        occurrence::database_reachable(P::NAME, true);
        let recorded = recorded.ok_or_else(|| {
            format!("topic {topic} is not recorded: run the deploy step for topics")
        })?;
        let counted = check_partitions(&config.consumer, recorded.partitions).await;
        let is_reached = !matches!(counted, Err(CheckError::Unreachable(_)));
        self.progress.brokers(
            is_reached,
            "the cluster could not be asked".to_owned(),
            Instant::now(),
        );
        counted.map_err(|error| error.to_string())?;
        Metric::ProjectionPartitions.gauge(&[P::NAME]).set(recorded.partitions);
        let mut connection = pool.acquire().await.map_err(away)?;
        let generation =
            positions::active_generation(&mut connection, P::NAME).await.map_err(away)?;
        let generation = generation.ok_or_else(|| {
            format!("projection {} has no active generation: run the migrations", P::NAME)
        })?;
        let scope = Scope {
            projection: P::NAME,
            generation,
            topic: topic.clone(),
            epoch: recorded.epoch,
            owner: config.consumer.client.clone(),
        };
        positions::ensure(&mut connection, &scope, recorded.partitions).await.map_err(away)?;
        drop(connection);
        if let Some(announcer) = &self.announcer {
            announcer.connected_within(CONNECT_CACHE).await;
        }
        let ids = deployment::schemas(&pool).await.map_err(away)?;
        let subjects = format!("{topic}-");
        let known = ids.into_iter().filter(|id| id.subject.starts_with(&subjects)).map(|id| {
            KnownId { schema_id: id.schema_id, record_name: id.record_name, version: id.version }
        });
        let decoder = Arc::new(Decoder::new(known));
        Ok(Prepared { pool, scope: Arc::new(scope), decoder, partitions: recorded.partitions })
    }

    async fn fold(
        &self,
        prepared: Prepared<P::Event>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Ended {
        let Prepared { pool, scope, decoder, partitions } = prepared;
        let registry = match Registry::new(&self.config.registry) {
            Ok(registry) => Arc::new(registry),
            Err(error) => return Ended::Failed(error.to_string()),
        };
        let (notices, group_inbox) = mpsc::unbounded_channel();
        let wide = u32::try_from(partitions).unwrap_or_default();
        let decode = EventDecode::<P::Event>::new(decoder.clone(), scope.epoch, wide);
        // What was said of brokers was said by the consumer before this one.
        self.progress.brokers(true, String::new(), Instant::now());
        let consumer = match Consumer::start(&self.config.consumer, decode, notices) {
            Ok(consumer) => consumer,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        let (lane_notices, lane_inbox) = mpsc::unbounded_channel();
        let brake = Arc::new(Brake::default());
        let cache = Arc::new(Cache::new(P::NAME, P::CACHED_AS, self.announcer.clone()));
        let lanes = self.lanes(&scope, &decoder, &brake, &cache, lane_notices);
        // Ended when dropped.
        let mut beside = self.beside(&pool, &scope, &decoder, &registry, brake);
        let keeper = Keeper {
            cache: cache.clone(),
            scope: scope.clone(),
            database: self.config.database.clone(),
        };
        beside.spawn(keeper.run());
        let mut group = Group::new(
            &self.config,
            &self.progress,
            Prepared { pool, scope, decoder, partitions },
            registry,
            cache,
            lanes,
            &consumer,
        );
        let ended = tokio::select! {
            () = is_stopped(stopped) => Ended::Stopped,
            reason = group.run(group_inbox, lane_inbox) => Ended::Failed(reason),
            Some(_) = beside.join_next() => {
                Ended::Failed("a task beside the lanes has ended".to_owned())
            }
        };
        end_lanes(group.into_lanes()).await;
        self.progress.released_all();
        let closed = tokio::task::spawn_blocking(move || consumer.stop());
        if timeout(CLOSE, closed).await.is_err() {
            tracing::warn!("the client did not leave its group in time");
        }
        ended
    }

    /// What goes on beside the lanes.
    fn beside(
        &self,
        pool: &PgPool,
        scope: &Arc<Scope>,
        decoder: &SharedDecoder<P::Event>,
        registry: &Arc<Registry>,
        brake: Arc<Brake>,
    ) -> JoinSet<()> {
        let database = &self.config.database;
        let mut beside = JoinSet::new();
        beside.spawn(publish::publish(database.clone(), scope.clone(), self.progress.clone()));
        beside.spawn(brake_keeper::keep(pool.clone(), scope.clone(), brake));
        beside.spawn(vitals::tell(pool.clone(), scope.clone(), P::ORDER));
        beside.spawn(upkeep::keep(self.projection.clone(), pool.clone(), scope.clone()));
        let retry = Retry {
            projection: self.projection.clone(),
            scope: scope.clone(),
            decoder: decoder.clone(),
            registry: registry.clone(),
            announcer: self.announcer.clone(),
            database: database.clone(),
        };
        beside.spawn(retry.run());
        let notices = Notices {
            scope: scope.clone(),
            database: database.clone(),
            producer: self.config.notices.clone(),
            topic: self.config.notices_topic.clone(),
        };
        beside.spawn(notices.publish());
        beside
    }

    fn lanes(
        &self,
        scope: &Arc<Scope>,
        decoder: &SharedDecoder<P::Event>,
        brake: &Arc<Brake>,
        cache: &Arc<Cache>,
        notices: mpsc::UnboundedSender<LaneNotice>,
    ) -> Vec<LaneHandle<P::Event>> {
        let processed = Arc::new(ProcessedLog::new(self.config.processed_lines_per_second));
        let freshness = Arc::new(Freshness::of(P::NAME));
        let records = Arc::new(RecordReader::new(self.config.notices.kafka.clone(), READ_AGAIN));
        (0..self.config.lanes)
            .map(|lane| {
                lane::start(LaneSetup {
                    name: format!("projector-{}-{lane}", P::NAME),
                    projection: self.projection.clone(),
                    scope: scope.clone(),
                    database: self.config.database.clone(),
                    transaction_timeout: self.config.transaction_timeout,
                    lock_timeout: self.config.lock_timeout,
                    batch: self.config.batch,
                    decoder: decoder.clone(),
                    brake: brake.clone(),
                    cache: cache.clone(),
                    records: records.clone(),
                    progress: self.progress.clone(),
                    processed: processed.clone(),
                    freshness: freshness.clone(),
                    notices: notices.clone(),
                })
            })
            .collect()
    }
}

/// What a run needs, as the deploy steps recorded it.
pub(super) struct Prepared<E> {
    pub(super) pool: PgPool,
    pub(super) scope: Arc<Scope>,
    pub(super) decoder: SharedDecoder<E>,
    pub(super) partitions: i32,
}

/// How a run ended.
enum Ended {
    Stopped,
    /// Why another has to begin.
    Failed(String),
}

async fn is_stopped(stopped: &mut watch::Receiver<bool>) {
    // A dropped sender stops as well: nobody is left who could.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Lets every lane finish its batch, all within one time-out.
async fn end_lanes<E>(lanes: Vec<LaneHandle<E>>) {
    // A lane ends when its commands are dropped.
    let tasks: Vec<_> = lanes.into_iter().map(|lane| lane.task).collect();
    let deadline = Deadline::now() + HANDOVER;
    for task in tasks {
        if timeout_at(deadline, task).await.is_err() {
            tracing::warn!("a lane did not finish its batch in time; the fence decides its fate");
        }
    }
}

/// Why the topic cannot be said to be as it was recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    /// Nobody could be asked.
    #[error("the cluster could not be asked: {0}")]
    Unreachable(String),
    /// It is another: with another count a key would live in two partitions.
    #[error("{0}")]
    Differs(String),
}

/// Whether the cluster holds as many partitions of the topic as were recorded.
pub(super) async fn check_partitions(
    consumer: &ConsumerConfig,
    recorded: i32,
) -> Result<(), CheckError> {
    let (kafka, topic) = (consumer.kafka.clone(), consumer.topic.clone());
    let asked = move || partition_count(&kafka, &topic, Duration::from_secs(5));
    let counted = tokio::task::spawn_blocking(asked)
        .await
        .map_err(|error| CheckError::Unreachable(error.to_string()))?;
    match counted {
        Ok(found) if found == recorded => Ok(()),
        Ok(found) => Err(CheckError::Differs(format!(
            "topic {} has {found} partitions where {recorded} were recorded: growth is a new epoch of the topic",
            consumer.topic
        ))),
        Err(error @ PartitionCountError::Missing { .. }) => {
            Err(CheckError::Differs(error.to_string()))
        }
        Err(error @ PartitionCountError::Unreachable { .. }) => {
            Err(CheckError::Unreachable(error.to_string()))
        }
    }
}
