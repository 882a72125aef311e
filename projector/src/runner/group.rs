//! Membership: which partitions are ours, and from which position each is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_schema::decode::{Decoder, KnownId};
use event_schema::registry::{FetchError, Registry};
use kafka_io::consumer::{Assignment, Command, Consumer, Feed, Notice};
use kafka_io::ledger::Ledger;
use read_models::database::SessionLimits;
use read_models::deployment;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::decoding::{Decoded, EventDecode, SharedDecoder};
use super::lane::{self, LaneCommand, LaneHandle, LaneNotice, LaneSetup};
use super::occurrence::{MembershipChanged, ProcessedLog, SchemaUnavailable};
use super::partition::backoff;
use super::positions::{self, Scope};
use super::progress::Progress;
use super::{Projection, RunnerConfig, publish, seen};

/// Longest wait for a lane to finish a batch before its partition is handed over regardless: the
/// fence holds either way.
const HANDOVER: Duration = Duration::from_secs(5);
/// How often next offsets are written to the group, for tools.
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// How often old identities are forgotten, and how many at once.
const FORGET_EVERY: Duration = Duration::from_secs(600);
const FORGET_AT_ONCE: i64 = 10_000;

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
        let progress = Arc::new(Progress::new(P::NAME));
        let (stop, stopped) = watch::channel(false);
        let supervisor =
            Supervisor { config, projection: Arc::new(projection), progress: progress.clone() };
        Self { progress, stop, task: tokio::spawn(supervisor.run(stopped)) }
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

struct Supervisor<P: Projection> {
    config: RunnerConfig,
    projection: Arc<P>,
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
                    attempts = 0;
                    match self.fold(prepared, &mut stopped).await {
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
        let pool = config.database.pool("projector", limits, 2, Duration::from_secs(2));
        let away = |error: sqlx::Error| format!("the database cannot be read: {error}");
        let topic = &config.consumer.topic;
        let recorded = deployment::topic(&pool, topic).await.map_err(away)?;
        let recorded = recorded.ok_or_else(|| {
            format!("topic {topic} is not recorded: run the deploy step for topics")
        })?;
        self.check_partitions(recorded.partitions).await?;
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
            owner: config.consumer.instance.clone(),
        };
        positions::ensure(&mut connection, &scope, recorded.partitions).await.map_err(away)?;
        drop(connection);
        let ids = deployment::schemas(&pool).await.map_err(away)?;
        let known = ids.into_iter().filter(|id| id.subject.starts_with(topic)).map(|id| KnownId {
            schema_id: id.schema_id,
            record_name: id.record_name,
            version: id.version,
        });
        let decoder = Arc::new(Decoder::new(known));
        Ok(Prepared { pool, scope: Arc::new(scope), decoder })
    }

    /// The cluster must hold as many partitions as were recorded: with another count a key would
    /// live in two partitions.
    async fn check_partitions(&self, recorded: i32) -> Result<(), String> {
        let (brokers, topic) =
            (self.config.consumer.brokers.clone(), self.config.consumer.topic.clone());
        let found = tokio::task::spawn_blocking(move || {
            kafka_io::consumer::partition_count(&brokers, &topic, Duration::from_secs(5))
        })
        .await
        .map_err(|error| format!("the cluster could not be asked: {error}"))?
        .map_err(|error| error.to_string())?;
        if found == recorded {
            return Ok(());
        }
        Err(format!(
            "topic {} has {found} partitions where {recorded} were recorded: growth is a new epoch of the topic",
            self.config.consumer.topic
        ))
    }

    async fn fold(
        &self,
        prepared: Prepared<P::Event>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Ended {
        let Prepared { pool, scope, decoder } = prepared;
        let registry = match Registry::new(&self.config.registry) {
            Ok(registry) => Arc::new(registry),
            Err(error) => return Ended::Failed(error.to_string()),
        };
        let (notices, group_inbox) = mpsc::unbounded_channel();
        let decode = EventDecode::<P::Event>::new(decoder.clone(), scope.epoch);
        // What was said of brokers was said by the consumer before this one.
        self.progress.brokers(true, String::new(), Instant::now());
        let consumer = match Consumer::start(&self.config.consumer, decode, notices) {
            Ok(consumer) => consumer,
            Err(error) => return Ended::Failed(error.to_string()),
        };
        let (lane_notices, lane_inbox) = mpsc::unbounded_channel();
        let lanes = self.lanes(&scope, &decoder, lane_notices);
        let publisher = tokio::spawn(publish::publish(
            self.config.database.clone(),
            scope.clone(),
            self.progress.clone(),
        ));
        let mut group = Group {
            config: &self.config,
            progress: &self.progress,
            pool,
            scope,
            decoder,
            registry,
            lanes,
            consumer: &consumer,
            owned: BTreeMap::new(),
            epochs: 0,
            asked: BTreeSet::new(),
        };
        let ended = group.run(group_inbox, lane_inbox, stopped).await;
        let lanes = std::mem::take(&mut group.lanes);
        for partition in group.owned.keys() {
            self.progress.released(*partition);
        }
        end_lanes(lanes).await;
        publisher.abort();
        let _ = tokio::task::spawn_blocking(move || consumer.stop()).await;
        ended
    }

    fn lanes(
        &self,
        scope: &Arc<Scope>,
        decoder: &SharedDecoder<P::Event>,
        notices: mpsc::UnboundedSender<LaneNotice>,
    ) -> Vec<LaneHandle<P::Event>> {
        let processed = Arc::new(ProcessedLog::new(self.config.processed_lines_per_second));
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
                    progress: self.progress.clone(),
                    processed: processed.clone(),
                    notices: notices.clone(),
                })
            })
            .collect()
    }
}

struct Prepared<E> {
    pool: PgPool,
    scope: Arc<Scope>,
    decoder: SharedDecoder<E>,
}

enum Ended {
    Stopped,
    Failed(String),
}

async fn is_stopped(stopped: &mut watch::Receiver<bool>) {
    // A dropped sender stops as well: nobody is left who could.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn end_lanes<E>(lanes: Vec<LaneHandle<E>>) {
    for LaneHandle { commands, task, .. } in lanes {
        drop(commands);
        if timeout(HANDOVER, task).await.is_err() {
            tracing::warn!("a lane did not finish its batch in time; the fence decides its fate");
        }
    }
}

/// What the registry said of a schema id; what it means is in the decoder already.
struct SchemaAnswer {
    schema_id: u32,
    known: bool,
}

/// Membership while one consumer lives.
struct Group<'a, E: super::Event> {
    config: &'a RunnerConfig,
    progress: &'a Arc<Progress>,
    pool: PgPool,
    scope: Arc<Scope>,
    decoder: SharedDecoder<E>,
    registry: Arc<Registry>,
    lanes: Vec<LaneHandle<E>>,
    consumer: &'a Consumer<Decoded<E>>,
    /// The assignment epoch of every partition that is ours.
    owned: BTreeMap<i32, u64>,
    epochs: u64,
    /// Schema ids that the registry is being asked about.
    asked: BTreeSet<u32>,
}

impl<E: super::Event> Group<'_, E> {
    async fn run(
        &mut self,
        mut notices: mpsc::UnboundedReceiver<Notice>,
        mut lane_notices: mpsc::UnboundedReceiver<LaneNotice>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Ended {
        let mut commit = interval(COMMIT_EVERY);
        commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forget = interval(FORGET_EVERY);
        let (schemas, mut schema_answers) = mpsc::unbounded_channel();
        loop {
            tokio::select! {
                () = is_stopped(stopped) => return Ended::Stopped,
                Some(notice) = notices.recv() => {
                    let mut stopped = stopped.clone();
                    tokio::select! {
                        () = is_stopped(&mut stopped) => return Ended::Stopped,
                        failed = self.notice(notice) => {
                            if let Some(reason) = failed { return Ended::Failed(reason) }
                        }
                    }
                }
                Some(notice) = lane_notices.recv() => match notice {
                    LaneNotice::Fenced { partition, epoch } => self.fenced(partition, epoch).await,
                    LaneNotice::Retired => {
                        return Ended::Failed("another generation serves now".to_owned());
                    }
                    LaneNotice::UnknownSchema { schema_id } => self.ask(schema_id, &schemas),
                },
                Some(answer) = schema_answers.recv() => self.tell(answer),
                _ = commit.tick() => {
                    self.consumer.command(Command::Commit(self.progress.next_offsets()));
                }
                _ = forget.tick() => self.forget(),
            }
        }
    }

    /// Acts on a notice; returns why the consumer has to be started anew, if it has.
    async fn notice(&mut self, notice: Notice) -> Option<String> {
        match notice {
            Notice::Assigned(partitions) => self.assigned(&partitions).await,
            Notice::Revoked(partitions) => {
                self.release(&partitions).await;
                self.consumer.command(Command::Release(partitions));
            }
            Notice::Lost(partitions) => {
                self.progress.left();
                self.release(&partitions).await;
            }
            Notice::OffsetOutOfRange { partition, reason } => {
                let reason = format!("the log does not hold the position any more: {reason}");
                let kind = "log-truncated";
                self.lane(partition).send(LaneCommand::Halt { partition, kind, reason });
            }
            Notice::LogEnds(ends) => self.progress.log_ends(ends, Instant::now()),
            Notice::Brokers { reachable, reason } => {
                self.progress.brokers(reachable, reason, Instant::now());
            }
            Notice::Failed { reason } => return Some(reason),
        }
        None
    }

    async fn assigned(&mut self, partitions: &[i32]) {
        MembershipChanged { projection: self.scope.projection, change: "assigned", partitions }
            .emit();
        let mut ledgers = self.load(partitions).await;
        let mut assignments = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let ledger = ledgers.remove(partition).unwrap_or_else(|| Ledger::new(0, None));
            assignments.push(self.take(*partition, ledger));
        }
        self.consumer.command(Command::Assign(assignments));
    }

    /// Begins an assignment of a partition: a new feed, given to its lane before the first record
    /// can arrive.
    fn take(&mut self, partition: i32, ledger: Ledger) -> Assignment<Decoded<E>> {
        self.epochs += 1;
        self.owned.insert(partition, self.epochs);
        let lane = self.lane(partition);
        let feed = Arc::new(Feed::new(
            partition,
            self.epochs,
            self.config.consumer.capacity,
            lane.arrivals.clone(),
        ));
        let offset = ledger.assign_at();
        lane.send(LaneCommand::Take { feed: feed.clone(), ledger });
        Assignment { partition, offset, feed }
    }

    async fn release(&mut self, partitions: &[i32]) {
        MembershipChanged { projection: self.scope.projection, change: "released", partitions }
            .emit();
        let mut finished = Vec::new();
        for partition in partitions {
            self.owned.remove(partition);
            let (done, finish) = oneshot::channel();
            self.lane(*partition).send(LaneCommand::Drop { partition: *partition, done });
            finished.push(finish);
        }
        let _ = timeout(HANDOVER, futures_util::future::join_all(finished)).await;
    }

    /// Reads the position again and begins a new assignment there, unless the partition has been
    /// given up or taken anew meanwhile.
    async fn fenced(&mut self, partition: i32, epoch: u64) {
        if self.owned.get(&partition) != Some(&epoch) {
            return;
        }
        let mut ledgers = self.load(&[partition]).await;
        let Some(ledger) = ledgers.remove(&partition) else { return };
        let assignment = self.take(partition, ledger);
        self.consumer.command(Command::Reassign(assignment));
    }

    /// Positions, for as long as it takes to read them.
    async fn load(&self, partitions: &[i32]) -> BTreeMap<i32, Ledger> {
        let mut attempts = 0;
        loop {
            let loaded = async {
                let mut connection = self.pool.acquire().await?;
                positions::load(&mut connection, &self.scope, partitions).await
            };
            match loaded.await {
                Ok(ledgers) => {
                    self.progress.joined();
                    return ledgers;
                }
                Err(error) => {
                    tracing::warn!(%error, "positions cannot be read and are tried again");
                    self.progress.fault(format!("positions cannot be read: {error}"));
                }
            }
            sleep(backoff(attempts, 1.0)).await;
            attempts += 1;
        }
    }

    fn lane(&self, partition: i32) -> &LaneHandle<E> {
        &self.lanes[partition.unsigned_abs() as usize % self.lanes.len()]
    }

    /// Asks the registry what a schema id means, for as long as it takes to get an answer.
    fn ask(&mut self, schema_id: u32, answers: &mpsc::UnboundedSender<SchemaAnswer>) {
        if !self.asked.insert(schema_id) {
            return;
        }
        let (decoder, registry) = (self.decoder.clone(), self.registry.clone());
        let answers = answers.clone();
        tokio::spawn(async move {
            let mut attempts = 0;
            while !answers.is_closed() {
                let known = match decoder.learn(&registry, schema_id).await {
                    Ok(()) => true,
                    Err(FetchError::UnknownId(_)) => false,
                    Err(error @ FetchError::Unavailable { .. }) => {
                        SchemaUnavailable { schema_id, error: &error }.emit();
                        sleep(backoff(attempts, 1.0)).await;
                        attempts += 1;
                        continue;
                    }
                };
                return drop(answers.send(SchemaAnswer { schema_id, known }));
            }
        });
    }

    fn tell(&mut self, SchemaAnswer { schema_id, known }: SchemaAnswer) {
        self.asked.remove(&schema_id);
        for lane in &self.lanes {
            lane.send(LaneCommand::Schema { schema_id, known });
        }
    }

    /// Forgets old identities in the background, a bounded number at a time.
    fn forget(&self) {
        let (pool, scope) = (self.pool.clone(), self.scope.clone());
        tokio::spawn(async move {
            let forgotten = async {
                let mut connection = pool.acquire().await?;
                while seen::forget(&mut connection, &scope, FORGET_AT_ONCE).await?
                    >= FORGET_AT_ONCE.unsigned_abs()
                {}
                Ok::<(), sqlx::Error>(())
            };
            if let Err(error) = forgotten.await {
                tracing::warn!(%error, "old identities are forgotten later");
            }
        });
    }
}

impl<E> LaneHandle<E> {
    fn send(&self, command: LaneCommand<E>) {
        // A lane that has ended is being replaced with its group.
        let _ = self.commands.send(command);
    }
}
