//! Membership: which partitions are ours, and from which position each is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_schema::registry::{FetchError, Registry};
use kafka_io::consumer::{Assignment, Command, Consumer, Feed, Notice};
use kafka_io::ledger::Ledger;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::decoding::Decoded;
use super::lane::{LaneCommand, LaneHandle, LaneNotice};
use super::occurrence::{ConsumerMetrics, MembershipChanged, SchemaAsked};
use super::partition::backoff;
use super::positions::{self, CacheGenerationMove};
use super::progress::Progress;
use super::reclaims::Reclaims;
use super::supervisor::{CheckError, Prepared, check_partitions};
use super::{Event, RunnerConfig, seen};
use crate::cache::Cache;

/// Longest wait for a lane to finish a batch before its partition is handed over regardless: the
/// fence holds either way.
pub(super) const HANDOVER: Duration = Duration::from_secs(5);
/// How often next offsets are written to the group, for tools.
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// How often the cluster is asked whether the topic is still the one that was recorded.
const CHECK_EVERY: Duration = Duration::from_secs(20);
/// How often old identities are forgotten, and how many at once.
const FORGET_EVERY: Duration = Duration::from_secs(600);
const FORGET_AT_ONCE: i64 = 10_000;

/// Why the run has to begin anew.
type Failed = String;

/// A partition that is ours.
#[derive(Debug, Clone, Copy)]
struct Owned {
    /// Tells its feed from earlier ones.
    epoch: u64,
    /// What stands beside its position.
    assignment: Uuid,
}

/// What the registry said of a schema id; what it means is in the decoder already.
struct SchemaAnswer {
    schema_id: u32,
    known: bool,
}

/// Membership while one consumer lives.
pub(super) struct Group<'a, E: Event> {
    config: &'a RunnerConfig,
    progress: &'a Progress,
    prepared: Prepared<E>,
    registry: Arc<Registry>,
    cache: Arc<Cache>,
    lanes: Vec<LaneHandle<E>>,
    consumer: &'a Consumer<Decoded<E>>,
    owned: BTreeMap<i32, Owned>,
    epochs: u64,
    reclaims: Reclaims,
    /// Schema ids that the registry is being asked about.
    asked: BTreeSet<u32>,
    metrics: ConsumerMetrics,
}

impl<'a, E: Event> Group<'a, E> {
    pub(super) fn new(
        config: &'a RunnerConfig,
        progress: &'a Progress,
        prepared: Prepared<E>,
        registry: Arc<Registry>,
        cache: Arc<Cache>,
        lanes: Vec<LaneHandle<E>>,
        consumer: &'a Consumer<Decoded<E>>,
    ) -> Self {
        let metrics = ConsumerMetrics::of(prepared.scope.projection);
        Self {
            metrics,
            config,
            progress,
            prepared,
            registry,
            cache,
            lanes,
            consumer,
            owned: BTreeMap::new(),
            epochs: 0,
            reclaims: Reclaims::default(),
            asked: BTreeSet::new(),
        }
    }

    pub(super) fn into_lanes(self) -> Vec<LaneHandle<E>> {
        self.lanes
    }

    /// Acts on notices until the run has to begin anew; may be dropped at any time.
    pub(super) async fn run(
        &mut self,
        mut notices: mpsc::UnboundedReceiver<Notice>,
        mut lane_notices: mpsc::UnboundedReceiver<LaneNotice>,
    ) -> Failed {
        let (mut commit, mut forget) = (interval(COMMIT_EVERY), interval(FORGET_EVERY));
        commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (schemas, mut schema_answers) = mpsc::unbounded_channel();
        let mut check = tokio::spawn(self.check());
        loop {
            let done = tokio::select! {
                notice = notices.recv() => match notice {
                    Some(notice) => self.notice(notice).await,
                    None => Err("the polling thread has ended".to_owned()),
                },
                Some(notice) = lane_notices.recv() => self.lane_notice(notice, &schemas),
                () = until(self.reclaims.next()) => self.reclaim().await,
                Some(answer) = schema_answers.recv() => {
                    self.tell(&answer);
                    Ok(())
                }
                failed = &mut check => match failed {
                    Ok(reason) => Err(reason),
                    Err(_) => Err("the check of the cluster has ended".to_owned()),
                },
                _ = commit.tick() => {
                    self.consumer.command(Command::Commit(self.progress.next_offsets()));
                    self.look_after_lanes()
                }
                _ = forget.tick() => {
                    self.forget();
                    Ok(())
                }
            };
            if let Err(reason) = done {
                check.abort();
                return reason;
            }
        }
    }

    async fn notice(&mut self, notice: Notice) -> Result<(), Failed> {
        match notice {
            Notice::Assigned(partitions) => return self.assigned(&partitions).await,
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
            Notice::Unreadable { partition, reason } => self.progress.unreadable(partition, reason),
            Notice::LogEnds(ends) => self.progress.log_ends(ends, Instant::now()),
            Notice::Statistics(statistics) => {
                self.progress.log_starts(&statistics.log_starts);
                self.metrics.record(&statistics);
            }
            Notice::Brokers { reachable, reason } => {
                self.progress.brokers(reachable, reason, Instant::now());
            }
            Notice::Failed { reason } => return Err(reason),
        }
        Ok(())
    }

    fn lane_notice(
        &mut self,
        notice: LaneNotice,
        schemas: &mpsc::UnboundedSender<SchemaAnswer>,
    ) -> Result<(), Failed> {
        match notice {
            LaneNotice::Fenced { partition, epoch } => self.fenced(partition, epoch),
            LaneNotice::Retired => return Err("another generation serves now".to_owned()),
            LaneNotice::UnknownSchema { schema_id } => self.ask(schema_id, schemas),
        }
        Ok(())
    }

    async fn assigned(&mut self, partitions: &[i32]) -> Result<(), Failed> {
        let projection = self.prepared.scope.projection;
        MembershipChanged { projection, change: "assigned", partitions }.emit();
        let claims: BTreeMap<i32, Uuid> =
            partitions.iter().map(|partition| (*partition, Uuid::now_v7())).collect();
        let mut ledgers = match partitions {
            // A newcomer is given nothing at first, and answers at once.
            [] => BTreeMap::new(),
            _ => self.claim(&claims).await,
        };
        let mut assignments = Vec::with_capacity(partitions.len());
        for (partition, claim) in claims {
            let ledger = ledgers.remove(&partition).ok_or_else(|| no_position(partition))?;
            assignments.push(self.take(partition, ledger, claim));
        }
        self.consumer.command(Command::Assign(assignments));
        self.progress.joined();
        Ok(())
    }

    /// Begins an assignment of a partition: a new feed, given to its lane before the first record
    /// can arrive.
    fn take(&mut self, partition: i32, ledger: Ledger, assignment: Uuid) -> Assignment<Decoded<E>> {
        self.epochs += 1;
        self.owned.insert(partition, Owned { epoch: self.epochs, assignment });
        self.cache.took(partition, assignment);
        let lane = self.lane(partition);
        let capacity = self.config.consumer.capacity;
        let feed = Arc::new(Feed::new(partition, self.epochs, capacity, lane.arrivals.clone()));
        let offset = ledger.assign_at();
        lane.send(LaneCommand::Take { feed: feed.clone(), ledger, assignment });
        Assignment { partition, offset, feed }
    }

    async fn release(&mut self, partitions: &[i32]) {
        let projection = self.prepared.scope.projection;
        MembershipChanged { projection, change: "released", partitions }.emit();
        let mut finished = Vec::new();
        for partition in partitions {
            if let Some(Owned { assignment, .. }) = self.owned.remove(partition) {
                self.cache.gave_up(*partition, assignment);
            }
            let (done, finish) = oneshot::channel();
            self.lane(*partition).send(LaneCommand::Drop { partition: *partition, done });
            finished.push(finish);
        }
        let _ = timeout(HANDOVER, futures_util::future::join_all(finished)).await;
    }

    /// The position is claimed anew, soon, unless the partition has been given up or taken anew
    /// meanwhile.
    fn fenced(&mut self, partition: i32, epoch: u64) {
        if let Some(owned) = self.owned.get(&partition).filter(|owned| owned.epoch == epoch) {
            self.cache.gave_up(partition, owned.assignment);
            self.reclaims.add(partition, epoch, Instant::now());
        }
    }

    /// Claims the positions whose time has come and begins new assignments there. It is not known
    /// what became of the last batch of each: bodies from before it count no more.
    async fn reclaim(&mut self) -> Result<(), Failed> {
        for (partition, epoch) in self.reclaims.take_due(Instant::now()) {
            if self.owned.get(&partition).is_none_or(|owned| owned.epoch != epoch) {
                continue;
            }
            let assignment = Uuid::now_v7();
            let claims = BTreeMap::from([(partition, assignment)]);
            match self.try_claim(&claims, CacheGenerationMove::Rises).await {
                Ok(mut ledgers) => {
                    let ledger =
                        ledgers.remove(&partition).ok_or_else(|| no_position(partition))?;
                    let assignment = self.take(partition, ledger, assignment);
                    self.consumer.command(Command::Reassign(assignment));
                }
                Err(error) => {
                    tracing::warn!(%error, "a position cannot be claimed and is tried again");
                    self.reclaims.add(partition, epoch, Instant::now());
                }
            }
        }
        Ok(())
    }

    /// Claims positions, for as long as it takes.
    async fn claim(&self, claims: &BTreeMap<i32, Uuid>) -> BTreeMap<i32, Ledger> {
        let mut attempts = 0;
        loop {
            match self.try_claim(claims, CacheGenerationMove::Stays).await {
                Ok(ledgers) => {
                    self.progress.joined();
                    return ledgers;
                }
                Err(error) => {
                    tracing::warn!(%error, "positions cannot be claimed and are tried again");
                    self.progress.fault(format!("positions cannot be claimed: {error}"));
                }
            }
            sleep(backoff(attempts, 1.0)).await;
            attempts += 1;
        }
    }

    async fn try_claim(
        &self,
        claims: &BTreeMap<i32, Uuid>,
        cache_generation: CacheGenerationMove,
    ) -> Result<BTreeMap<i32, Ledger>, sqlx::Error> {
        let mut connection = self.prepared.pool.acquire().await?;
        let has_cache = self.cache.announcer().is_some();
        let scope = &self.prepared.scope;
        positions::claim(&mut connection, scope, claims, cache_generation, has_cache).await
    }

    fn lane(&self, partition: i32) -> &LaneHandle<E> {
        &self.lanes[partition.unsigned_abs() as usize % self.lanes.len()]
    }

    /// A lane ends by itself only when it panics.
    fn look_after_lanes(&self) -> Result<(), Failed> {
        match self.lanes.iter().any(|lane| lane.task.is_finished()) {
            true => Err("a lane has ended".to_owned()),
            false => Ok(()),
        }
    }

    /// Looks again and again whether the topic is as it was recorded; returns what it is instead.
    fn check(&self) -> impl Future<Output = Failed> + use<E> {
        let (consumer, partitions) = (self.config.consumer.clone(), self.prepared.partitions);
        async move {
            loop {
                sleep(CHECK_EVERY).await;
                match check_partitions(&consumer, partitions).await {
                    Ok(()) | Err(CheckError::Unreachable(_)) => {}
                    Err(error @ CheckError::Differs(_)) => return error.to_string(),
                }
            }
        }
    }

    /// Asks the registry what a schema id means, for as long as it takes to get an answer.
    fn ask(&mut self, schema_id: u32, answers: &mpsc::UnboundedSender<SchemaAnswer>) {
        if !self.asked.insert(schema_id) {
            return;
        }
        let (decoder, registry) = (self.prepared.decoder.clone(), self.registry.clone());
        let answers = answers.clone();
        tokio::spawn(async move {
            let mut attempts = 0;
            while !answers.is_closed() {
                let learnt = decoder.learn(&registry, schema_id).await;
                SchemaAsked { schema_id, learnt: &learnt }.emit();
                let known = match learnt {
                    Ok(()) => true,
                    Err(FetchError::UnknownId(_)) => false,
                    Err(FetchError::Unavailable { .. }) => {
                        sleep(backoff(attempts, 1.0)).await;
                        attempts += 1;
                        continue;
                    }
                };
                return drop(answers.send(SchemaAnswer { schema_id, known }));
            }
        });
    }

    fn tell(&mut self, answer: &SchemaAnswer) {
        let SchemaAnswer { schema_id, known } = *answer;
        self.asked.remove(&schema_id);
        for lane in &self.lanes {
            lane.send(LaneCommand::Schema { schema_id, known });
        }
    }

    /// Forgets old identities in the background, a bounded number at a time.
    fn forget(&self) {
        let (pool, scope) = (self.prepared.pool.clone(), self.prepared.scope.clone());
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

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}

fn no_position(partition: i32) -> Failed {
    format!("partition {partition} has no position; it is given one")
}

impl<E> LaneHandle<E> {
    fn send(&self, command: LaneCommand<E>) {
        // A lane that has ended is noticed by `look_after_lanes`, and the run begins anew.
        let _ = self.commands.send(command);
    }
}
