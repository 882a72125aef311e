//! A lane: one task with one database connection that folds some of the partitions.

mod origins;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::consumer::Feed;
use kafka_io::ledger::Ledger;
use kafka_io::record_reader::RecordReader;
use read_cache::failpoint;
use read_models::database::DatabaseConfig;
use read_models::recorded::Recorded;
use telemetry::trace::{self, Step};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep_until;
use tracing::Instrument as _;
use uuid::Uuid;

use super::batch::{BatchError, Blamed, Folded};
use super::decoding::{Decoded, SharedDecoder};
use super::failure::{Failure, FailureClass};
use super::freshness::Freshness;
use super::occurrence::{AttemptFailed, BatchFolded, FenceLost, PartitionHalted, ProcessedLog};
use super::partition::{Partition, Stop, backoff};
use super::plan::{Last, Part, Plan, plan};
use super::positions::{Move, Scope};
use super::progress::{PartitionState, Progress};
use super::{BatchLimits, Projection};
use crate::cache::{Cache, Commit};
use crate::letters::brake::{Brake, Pulled};
use crate::letters::occurrence::LetterWritten;
use crate::letters::set_aside::{Item, SetAside};
use session::Session;

/// Attempts at a single record that fails for an unknown reason before it is blamed.
const BUG_ATTEMPTS: u32 = 4;

/// How often a lane looks again while the projection stands still.
const BRAKED_LOOK: Duration = Duration::from_secs(1);

/// What membership asks of a lane.
pub(super) enum LaneCommand<E> {
    /// Folds a partition from now on, in place of an earlier assignment of it.
    Take { feed: Arc<Feed<Decoded<E>>>, ledger: Ledger, assignment: Uuid },
    /// Gives a partition up and answers once no batch of it is under way.
    Drop { partition: i32, done: oneshot::Sender<()> },
    /// The partition cannot be read.
    Halt { partition: i32, kind: &'static str, reason: String },
    /// What a schema id means was found out, or cannot be.
    Schema { schema_id: u32, known: bool },
}

/// What a lane tells membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LaneNotice {
    /// The position of this assignment is not where it was left.
    Fenced { partition: i32, epoch: u64 },
    /// The generation is not folded any more.
    Retired,
    /// A record carries a schema id that is not known.
    UnknownSchema { schema_id: u32 },
}

/// What a lane works with.
pub(super) struct LaneSetup<P: Projection> {
    pub(super) name: String,
    pub(super) projection: Arc<P>,
    pub(super) scope: Arc<Scope>,
    pub(super) database: DatabaseConfig,
    pub(super) transaction_timeout: Duration,
    pub(super) lock_timeout: Duration,
    pub(super) batch: BatchLimits,
    pub(super) decoder: SharedDecoder<P::Event>,
    pub(super) brake: Arc<Brake>,
    pub(super) cache: Arc<Cache>,
    pub(super) records: Arc<RecordReader>,
    pub(super) progress: Arc<Progress>,
    pub(super) processed: Arc<ProcessedLog>,
    pub(super) freshness: Arc<Freshness>,
    pub(super) notices: mpsc::UnboundedSender<LaneNotice>,
}

/// How to reach a running lane.
pub(super) struct LaneHandle<E> {
    pub(super) commands: mpsc::UnboundedSender<LaneCommand<E>>,
    /// Woken by feeds.
    pub(super) arrivals: Arc<Notify>,
    pub(super) task: tokio::task::JoinHandle<()>,
}

/// Starts a lane. It ends, after the batch under way, when its commands are dropped.
pub(super) fn start<P: Projection>(setup: LaneSetup<P>) -> LaneHandle<P::Event> {
    let (commands, inbox) = mpsc::unbounded_channel();
    let arrivals = Arc::new(Notify::new());
    let lane = Lane {
        setup,
        inbox,
        arrivals: arrivals.clone(),
        partitions: BTreeMap::new(),
        session: Session::default(),
        away: None,
        trusted_until: None,
        last: Last::default(),
        halted: BTreeSet::new(),
    };
    LaneHandle { commands, arrivals, task: tokio::spawn(lane.run()) }
}

struct Lane<P: Projection> {
    setup: LaneSetup<P>,
    inbox: mpsc::UnboundedReceiver<LaneCommand<P::Event>>,
    arrivals: Arc<Notify>,
    partitions: BTreeMap<i32, Partition<P::Event>>,
    session: Session,
    away: Option<Away>,
    /// Redis cannot be reached, and until then somebody may trust what a batch would make old.
    trusted_until: Option<Instant>,
    last: Last,
    /// Partitions whose halt has been said.
    halted: BTreeSet<i32>,
}

/// The database is away.
struct Away {
    /// When it is tried again.
    until: Instant,
    attempts: u32,
    failure: Failure,
}

impl<P: Projection> Lane<P> {
    async fn run(mut self) {
        loop {
            loop {
                match self.inbox.try_recv() {
                    Ok(command) => self.execute(command),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => return self.end().await,
                }
            }
            self.take_arrivals();
            match self.plan(Instant::now()) {
                Plan::Fold(parts) => self.fold(&parts).await,
                Plan::Wait(until) => {
                    if self.setup.brake.pulled().is_some() {
                        self.observe_all();
                    }
                    self.wait(until).await;
                }
            }
        }
    }

    async fn end(self) {
        self.session.end().await;
    }

    async fn wait(&mut self, until: Option<Instant>) {
        let alarm = async {
            match until {
                Some(until) => sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        let brake = self.setup.brake.clone();
        tokio::select! {
            () = self.arrivals.notified() => {}
            () = alarm => {}
            () = brake.changed.notified() => self.observe_all(),
            command = self.inbox.recv() => {
                // A closed inbox is seen by the loop.
                if let Some(command) = command {
                    self.execute(command);
                }
            }
        }
    }

    fn execute(&mut self, command: LaneCommand<P::Event>) {
        match command {
            LaneCommand::Take { feed, ledger, assignment } => {
                let partition = feed.partition();
                let now = Instant::now();
                self.setup.progress.assigned(partition, ledger.position(), now);
                self.halted.remove(&partition);
                self.partitions.insert(partition, Partition::new(feed, ledger, assignment));
            }
            LaneCommand::Drop { partition, done } => {
                self.partitions.remove(&partition);
                self.setup.progress.released(partition);
                let _ = done.send(());
            }
            LaneCommand::Halt { partition, kind, reason } => {
                if let Some(held) = self.partitions.get_mut(&partition) {
                    held.halt(kind, reason, None);
                }
                self.observe(partition);
            }
            LaneCommand::Schema { schema_id, known } => self.schema(schema_id, known),
        }
    }

    fn schema(&mut self, schema_id: u32, known: bool) {
        let decoder = self.setup.decoder.clone();
        let asking: Vec<i32> = self
            .partitions
            .iter()
            .filter(|(_, held)| held.stop() == Some(&Stop::Asking { schema_id }))
            .map(|(id, _)| *id)
            .collect();
        for partition in asking {
            if let Some(held) = self.partitions.get_mut(&partition) {
                if known {
                    held.decode_again(&decoder, Instant::now());
                } else {
                    held.set_blocked_aside(Instant::now());
                }
            }
            self.observe(partition);
        }
    }

    fn take_arrivals(&mut self) {
        let now = Instant::now();
        self.partitions.retain(|_, held| !held.has_ended());
        let mut changed = Vec::new();
        for (partition, held) in &mut self.partitions {
            let (waiting, stopped) = (held.len(), held.stop().is_some());
            held.take_arrivals(now);
            if held.stop().is_some() != stopped || (waiting == 0 && held.len() > 0) {
                changed.push(*partition);
            }
        }
        for partition in changed {
            self.observe(partition);
        }
    }

    fn plan(&self, now: Instant) -> Plan {
        if self.setup.brake.pulled().is_some() {
            return Plan::Wait(Some(now + BRAKED_LOOK));
        }
        let away = self.away.as_ref().map(|away| away.until);
        match away.max(self.trusted_until).filter(|until| *until > now) {
            Some(until) => Plan::Wait(Some(until)),
            None => plan(&self.partitions, self.last, &self.setup.batch, now),
        }
    }

    async fn fold(&mut self, parts: &[Part]) {
        let partitions: Vec<i32> = parts.iter().map(Part::partition).collect();
        match self.setup.cache.access(&partitions) {
            Ok(commit) => {
                self.trusted_until = None;
                self.fold_now(parts, commit).await;
            }
            Err(until) => self.trusted_until = Some(until),
        }
        for partition in partitions {
            self.observe(partition);
        }
    }

    async fn fold_now(&mut self, parts: &[Part], commit: Commit) {
        let started = Instant::now();
        self.last.fold = Some(started);
        self.last.turn = parts.last().map_or(self.last.turn, Part::partition);
        let moves: Vec<Move> = parts.iter().map(|part| part.moved).collect();
        let batch: Vec<_> = parts
            .iter()
            .filter_map(|part| Some(self.partitions.get(&part.partition())?.items(part.count)))
            .flatten()
            .collect();
        let traced = origins::traced(&self.partitions, parts, batch.len(), &self.setup.scope);
        let folding = self.session.fold(&self.setup, &moves, &batch, &commit);
        let outcome = folding.instrument(traced.clone()).await;
        match outcome {
            Ok((folded, announced)) => {
                // Before anybody is told of the position: whoever waits for it finds a warm body.
                if let Some(announced) = announced {
                    let telling = traced.in_scope(|| trace::step(Step::FillCache));
                    self.setup.cache.committed(announced).instrument(telling).await;
                    failpoint!("batch/cache-told");
                }
                self.folded(parts, folded, started.elapsed());
            }
            // What it may still become is settled before trust is renewed.
            Err(error) => {
                trace::failed(&traced, "not committed");
                self.failed(parts, error);
            }
        }
        drop(commit);
    }

    fn folded(&mut self, parts: &[Part], folded: Folded, took: Duration) {
        let now = Instant::now();
        self.away = None;
        let scope = &self.setup.scope;
        for part in parts {
            if let Some(newest) = folded.newest_letters.get(&part.partition()) {
                self.setup.progress.newest_letter(part.partition(), *newest);
            }
            if let Some(held) = self.partitions.get_mut(&part.partition()) {
                let origins = origins::of_records(held, part);
                let items = held.folded(part.count, &part.moved, now);
                // One that waits behind a letter became one itself.
                let is_folded = |event: &&Recorded<P::Event>| {
                    !folded.letters.contains(&(event.partition, event.position.offset))
                };
                let events = || items.iter().filter_map(Item::event).filter(is_folded);
                let count = events().count();
                self.setup.processed.log(scope, events(), count, &origins);
                self.setup.freshness.visible(events().map(|event| event.log_time));
                // One that a position set back meets again was told of when it was written.
                let is_new = |letter: &&SetAside| {
                    folded.letters.contains(&(letter.partition, letter.position.offset))
                };
                let letters: Vec<_> =
                    items.iter().filter_map(Item::set_aside).filter(is_new).collect();
                for letter in &letters {
                    LetterWritten { scope, letter }.emit();
                }
                self.setup.brake.committed(part.partition(), count, &letters);
            }
        }
        BatchFolded { scope, folded, took }.emit();
    }

    fn failed(&mut self, parts: &[Part], error: BatchError) {
        match &error {
            BatchError::Braked(reason) => return self.setup.brake.pull(reason.clone(), true),
            BatchError::TooManyLetters(reason) => {
                return self.setup.brake.pull(reason.clone(), false);
            }
            BatchError::Blamed(blamed) => {
                for Blamed { partition, offset, failure } in blamed {
                    if let Some(held) = self.partitions.get_mut(partition) {
                        held.blame(*offset, failure);
                    }
                }
                return;
            }
            BatchError::Unknown(failure) => return self.unknown(parts, failure),
            BatchError::CacheLost(error) => {
                let partitions: Vec<i32> = parts.iter().map(Part::partition).collect();
                return self.setup.cache.not_told(&partitions, error);
            }
            BatchError::Fenced | BatchError::Retired | BatchError::Failed(_) => {}
        }
        let [part] = parts else { return self.failed_together(parts, error) };
        let (setup, now) = (&self.setup, Instant::now());
        let Some(held) = self.partitions.get_mut(&part.partition()) else { return };
        match error {
            BatchError::Fenced => {
                held.fenced();
                let partition = part.partition();
                FenceLost { scope: &setup.scope, partition, position: held.position() }.emit();
                let notice = LaneNotice::Fenced { partition, epoch: held.epoch() };
                let _ = setup.notices.send(notice);
            }
            BatchError::Retired => {
                held.fenced();
                let _ = setup.notices.send(LaneNotice::Retired);
            }
            // Said above.
            BatchError::Braked(_)
            | BatchError::TooManyLetters(_)
            | BatchError::Blamed(_)
            | BatchError::Unknown(_)
            | BatchError::CacheLost(_) => {}
            BatchError::Failed(failure) => {
                AttemptFailed { scope: &setup.scope, failure: &failure }.emit();
                match failure.class {
                    FailureClass::Poison => held.narrow(part.count, &failure),
                    // Nobody knows what it is, so it may pass: it is tried again a few times before
                    // a record is blamed.
                    FailureClass::Bug if part.count == 1 && held.attempts() < BUG_ATTEMPTS => {
                        held.rest(failure, now, rand_unit());
                    }
                    FailureClass::Bug => held.narrow(part.count, &failure),
                    FailureClass::Contention | FailureClass::DeployFault => {
                        held.rest(failure, now, rand_unit());
                    }
                    FailureClass::Transient => self.away(failure),
                }
            }
        }
    }

    /// The commit may have happened, or may yet: positions are claimed anew, which waits until it has
    /// or never will, and nobody trusts bodies of theirs before.
    fn unknown(&mut self, parts: &[Part], failure: &Failure) {
        AttemptFailed { scope: &self.setup.scope, failure }.emit();
        for part in parts {
            self.setup.cache.gave_up(part.partition(), part.moved.assignment);
            if let Some(held) = self.partitions.get_mut(&part.partition()) {
                held.fenced();
                let (partition, epoch) = (part.partition(), held.epoch());
                let _ = self.setup.notices.send(LaneNotice::Fenced { partition, epoch });
            }
        }
        self.away(failure.clone());
    }

    /// Several partitions failed together: each is tried alone, unless the database is away for all.
    fn failed_together(&mut self, parts: &[Part], error: BatchError) {
        if let BatchError::Failed(failure) = &error {
            AttemptFailed { scope: &self.setup.scope, failure }.emit();
            if failure.class == FailureClass::Transient {
                return self.away(failure.clone());
            }
        }
        for part in parts {
            if let Some(held) = self.partitions.get_mut(&part.partition()) {
                held.retry_alone();
            }
        }
    }

    fn away(&mut self, failure: Failure) {
        let attempts = self.away.as_ref().map_or(0, |away| away.attempts + 1);
        let until = Instant::now() + backoff(attempts, rand_unit());
        self.away = Some(Away { until, attempts, failure });
        self.observe_all();
    }

    fn observe_all(&mut self) {
        for partition in self.partitions.keys().copied().collect::<Vec<_>>() {
            self.observe(partition);
        }
    }

    fn observe(&mut self, partition: i32) {
        let Some(held) = self.partitions.get(&partition) else { return };
        if let Some(Stop::Asking { schema_id }) = held.stop() {
            let _ = self.setup.notices.send(LaneNotice::UnknownSchema { schema_id: *schema_id });
        }
        let braked = self.setup.brake.pulled();
        let state = match (held.stop(), &self.away) {
            (Some(Stop::Halted { kind, reason, offset }), _) => {
                if self.halted.insert(partition) {
                    PartitionHalted {
                        scope: &self.setup.scope,
                        partition,
                        kind,
                        reason,
                        offset: *offset,
                    }
                    .emit();
                }
                PartitionState::Halted {
                    kind: kind.clone(),
                    reason: reason.clone(),
                    offset: *offset,
                }
            }
            (_, Some(away)) if held.len() > 0 => retrying(&away.failure),
            (Some(Stop::Resting { failure, .. }), _) => retrying(failure),
            (Some(Stop::Fenced), _) => PartitionState::Retrying {
                reason: "the position was moved by somebody else and is read again".to_owned(),
            },
            (Some(Stop::Asking { schema_id }), _) => PartitionState::Retrying {
                reason: format!("the registry is asked for schema id {schema_id}"),
            },
            (None, _) if held.len() > 0 && self.trusted_until.is_some() => {
                PartitionState::Retrying {
                    reason: "Redis cannot be reached: the trust in the cache has to lapse first"
                        .to_owned(),
                }
            }
            (None, _) => PartitionState::Folding,
        };
        let state = braked.map_or(state, |Pulled { reason, .. }| PartitionState::Halted {
            kind: "brake".to_owned(),
            reason,
            offset: None,
        });
        let (position, oldest) = (held.position(), held.oldest_log_time_ms());
        self.setup.progress.observe(partition, position, oldest, state, Instant::now());
    }
}

fn retrying(failure: &Failure) -> PartitionState {
    PartitionState::Retrying { reason: failure.to_string() }
}

/// A number from 0 to 1 that spreads retries of several lanes; it need not be random.
fn rand_unit() -> f64 {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.subsec_nanos());
    f64::from(nanos % 1000) / 1000.0
}
