//! The writer's side: what a lane or a replay does around its commit, and the trust that a
//! partition's owner keeps alive.

use std::collections::HashMap;
use std::iter;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use crate::chunks::{CHUNK_KEYS, Visit, chunks, with_windows};
use crate::config::CacheConfig;
use crate::home::{Home, Identity};
use crate::key::{CacheKey, TrustKey};
use crate::redis::{CallError, Redis, Sample};
use crate::script::Script;
use crate::times::{REPLAY_TOMBSTONE, TOMBSTONE, TRUST};
use crate::tombstones::{Tombstone, Tombstones};
use crate::value::{BatchId, Body, CacheGeneration};

/// What an owner vouches for: bodies of this generation, in the Redis that it was agreed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The partition's trust key.
    pub key: TrustKey,
    /// The generation beside its position.
    pub generation: CacheGeneration,
    /// The home beside it; `None` before the first.
    pub home: Option<Home>,
}

impl Trust {
    fn at(&self) -> [Bytes; 3] {
        let home = self.home.clone();
        let Home { identity: Identity { run_id, replication_id }, mark } =
            home.unwrap_or_else(|| {
                // No Redis has these.
                let identity = Identity { run_id: String::new(), replication_id: String::new() };
                Home { identity, mark: String::new() }
            });
        [run_id.into(), replication_id.into(), mark.into()]
    }

    fn arguments(&self) -> impl Iterator<Item = Bytes> {
        iter::once(millis(self.generation)).chain(self.at())
    }
}

/// What a batch covers before its commit, in the Redis that readers of its partitions trust.
#[derive(Debug, Clone)]
pub enum Cover {
    /// A lane: the windows of the partitions whose positions the transaction has locked, so that
    /// nobody else commits in them. Every key has to lie in one of them. No lease is given there, so
    /// that only keys that hold something need a tombstone. Without any Redis is not asked.
    Windows(Vec<Trust>),
    /// A replay, which may share the partition with others of its kind and so has no window: each key
    /// gets a tombstone, for [`REPLAY_TOMBSTONE`]. It cannot end the trust in its partition, however
    /// long Postgres takes for its commit.
    Replay(Trust),
}

impl Cover {
    fn partitions(&self) -> &[Trust] {
        match self {
            Self::Windows(partitions) => partitions,
            Self::Replay(partition) => std::slice::from_ref(partition),
        }
    }

    fn windows(&self) -> Vec<TrustKey> {
        match self {
            Self::Windows(partitions) => partitions.iter().map(|trust| trust.key.clone()).collect(),
            Self::Replay(_) => Vec::new(),
        }
    }

    fn life(&self) -> Duration {
        match self {
            Self::Windows(_) => TOMBSTONE,
            Self::Replay(_) => REPLAY_TOMBSTONE,
        }
    }
}

/// A renewal that Redis has executed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Renewed {
    /// Partitions that are trusted now.
    pub renewed: usize,
    /// Those that have another home, or whose home was emptied: [`Writer::settle`], then raise their
    /// generation beside the new home.
    pub elsewhere: Vec<TrustKey>,
    /// Those where Redis holds a higher generation: somebody else owns them by now.
    pub superseded: Vec<TrustKey>,
}

/// Why trust was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError<E> {
    /// It is not known who owns the partitions.
    #[error("confirming what is ours")]
    NotConfirmed(#[source] E),
    /// Redis did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The cache as writers use it. An error of any call means that it is not known to have been
/// executed; see [`CallError`].
pub struct Writer {
    redis: Redis,
}

impl Writer {
    /// Begins to connect. Needs a runtime.
    pub fn start(config: &CacheConfig) -> Self {
        Self { redis: Redis::start(config, config.write_timeout) }
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.redis.is_connected()
    }

    /// Which Redis it is now.
    ///
    /// # Errors
    /// Redis does not answer, or is a replica.
    pub async fn identity(&self) -> Result<Identity, CallError> {
        Ok(self.primary().await?.identity)
    }

    /// Changes whenever a connection leads to another Redis than the one before: wakes who has to
    /// raise cache generations.
    pub fn identity_changes(&self) -> IdentityChanges {
        IdentityChanges { samples: self.redis.identity(), last: None }
    }

    /// Covers what a batch is about to change: when it returns, no body and no lease that was there
    /// before is there any more, and none can come until the batch's tombstones and windows end.
    /// Tells which keys held a body.
    ///
    /// To be called when the transaction holds the locks of all the keys' rows, so that of two
    /// batches with a key in common the second sets its tombstone after the first has committed. The
    /// commit has to end within [`crate::times::LONGEST_TRANSACTION`] of the call.
    ///
    /// # Errors
    /// [`CallError::Elsewhere`] where readers trust another Redis than this: nothing was set. After any
    /// other, some tombstones and windows may have been set, or may yet be. They lapse. Another attempt
    /// is another batch: it could not tell a late tombstone of the first one from its own.
    pub async fn before_commit(
        &self,
        cover: Cover,
        keys: Vec<CacheKey>,
    ) -> Result<Tombstones, CallError> {
        let batch = BatchId::unique();
        let (partitions, windows) = (cover.partitions(), cover.windows());
        let marks: Vec<String> = partitions.iter().map(|t| t.key.mark().to_owned()).collect();
        let every = u8::from(matches!(cover, Cover::Replay(_)));
        let mut lapses = HashMap::new();
        // The first call sets the windows: else a lease could be given at a key that was found absent.
        let calls = with_windows(window_names(&windows), keys.chunks(CHUNK_KEYS));
        for (number, (windows, chunk)) in calls.enumerate() {
            let counts = [marks.len(), windows.len()].map(millis);
            let mut arguments = vec![batch.text().into(), millis(cover.life().as_millis())];
            arguments.extend(counts.into_iter().chain([millis(every)]));
            arguments.extend(partitions.iter().flat_map(Trust::at));
            let names = chunk.iter().map(|key| key.as_str().to_owned());
            let names = marks.iter().cloned().chain(windows).chain(names).collect();
            let set: Vec<i64> = self.redis.run(Script::BEFORE_COMMIT, names, arguments).await?;
            if set == [-1] {
                return Err(CallError::Elsewhere);
            }
            for pair in set.chunks(2) {
                let &[place, until] = pair else { return Err(CallError::Unexpected) };
                let place = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
                let place = place.filter(|place| *place < chunk.len());
                let place = number * CHUNK_KEYS + place.ok_or(CallError::Unexpected)?;
                lapses.insert(place, (until > 0).then_some(until));
            }
        }
        let set = keys.into_iter().enumerate();
        let set =
            set.filter_map(|(place, key)| Some(Tombstone { key, lapses: lapses.remove(&place)? }));
        Ok(Tombstones { batch, windows, set: set.collect() })
    }

    /// Ends the tombstones and windows of a batch that is committed. A hot key whose tombstone still
    /// stands gets its new body and keeps the time that the old one had left. Every other tombstone of
    /// the batch goes. Tombstones and windows of other batches stay, and whatever else there is at the
    /// keys that had a tombstone goes: it may be older than the commit. Returns how many bodies stand.
    ///
    /// Also ends a batch that is known to be rolled back, without bodies. While it is not known
    /// whether a batch was committed it must not be called: the tombstones and windows lapse.
    ///
    /// # Errors
    /// Some or all of them may stand until they lapse: cold for seconds, never stale.
    pub async fn after_commit(
        &self,
        tombstones: Tombstones,
        mut bodies: HashMap<CacheKey, Body>,
    ) -> Result<usize, CallError> {
        let Tombstones { batch, windows, set } = tombstones;
        let visits = set.into_iter().map(|Tombstone { key, lapses }| {
            let body = lapses.and_then(|lapses| Some((bodies.remove(&key)?.text(), lapses)));
            Visit { key, body }
        });
        let (mut warm, cold): (Vec<_>, Vec<_>) = visits.partition(|visit| visit.body.is_some());
        warm.extend(cold);
        let own = Bytes::from(batch.text());
        let mut stand = 0;
        // The first call ends the windows: a whole partition waits for them, and nothing needs them
        // any more. Should a later call fail, only keys that have a tombstone stay cold.
        for (mut names, chunk) in with_windows(window_names(&windows), chunks(&warm)) {
            let bodies = chunk.iter().filter_map(|visit| visit.body.as_ref());
            let mut arguments =
                vec![own.clone(), millis(names.len()), millis(bodies.clone().count())];
            arguments.extend(bodies.flat_map(|(text, lapses)| [text.clone(), millis(lapses)]));
            names.extend(chunk.iter().map(|visit| visit.key.as_str().to_owned()));
            stand += self.redis.run::<usize>(Script::AFTER_COMMIT, names, arguments).await?;
        }
        Ok(stand)
    }

    /// Leaves a new mark in Redis for partitions of ours and tells their new home. Afterwards, and
    /// not before, each one's generation is raised in Postgres, together with the home, in a
    /// statement that confirms the owner. Nothing is trusted until a renewal that follows.
    ///
    /// # Errors
    /// The mark may have been left: the home beside the positions is not theirs any more, and they
    /// are to be settled again.
    pub async fn settle(&self, partitions: &[TrustKey]) -> Result<Home, CallError> {
        let mark = Home::unique_mark();
        let names = partitions.iter().map(|key| key.mark().to_owned()).collect();
        let told: Vec<String> =
            self.redis.run(Script::MARK, names, vec![mark.clone().into()]).await?;
        let [run_id, replication_id]: [String; 2] =
            told.try_into().map_err(|_| CallError::Unexpected)?;
        Ok(Home { identity: Identity { run_id, replication_id }, mark })
    }

    /// Renews the trust in the bodies of partitions: asks Redis for its time, then asks `confirm`
    /// which partitions are ours, with which generation and home, then lets the trust keys live
    /// until [`TRUST`] after that time. So whatever holds this up, trust never outlives a successor's
    /// start by more than [`TRUST`].
    ///
    /// `confirm` gets a time after Redis told its own, for [`crate::TrustClock::renewal_begins`],
    /// and asks Postgres. It leaves out what may not be renewed. Only the home is given trust, and a
    /// generation is never lowered.
    ///
    /// # Errors
    /// Trust may have been renewed or not; it lapses at the time said above in either case.
    pub async fn renew<E>(
        &self,
        confirm: impl AsyncFnOnce(Instant) -> Result<Vec<Trust>, E>,
    ) -> Result<Renewed, RenewError<E>> {
        let sample = self.primary().await?;
        let ours = confirm(Instant::now()).await.map_err(RenewError::NotConfirmed)?;
        if ours.is_empty() {
            return Ok(Renewed::default());
        }
        let mut arguments = vec![millis(u128::from(sample.time_ms) + TRUST.as_millis())];
        arguments.extend(ours.iter().flat_map(Trust::arguments));
        let names = ours.iter().flat_map(|trust| [trust.key.as_str(), trust.key.mark()]);
        let names = names.map(str::to_owned).collect();
        let answer: Vec<u8> = self.redis.run(Script::RENEW, names, arguments).await?;
        let mut renewed = Renewed::default();
        for (trust, answer) in ours.into_iter().zip(answer) {
            match answer {
                0 => renewed.renewed += 1,
                1 => renewed.elsewhere.push(trust.key),
                _ => renewed.superseded.push(trust.key),
            }
        }
        Ok(renewed)
    }

    async fn primary(&self) -> Result<Sample, CallError> {
        let sample = self.redis.sample().await?;
        if sample.is_primary {
            Ok(sample)
        } else {
            Err(CallError::Refused { code: "READONLY".to_owned() })
        }
    }
}

/// Tells of each change of Redis' identity.
#[derive(Debug)]
pub struct IdentityChanges {
    samples: watch::Receiver<Option<Sample>>,
    last: Option<Identity>,
}

impl IdentityChanges {
    /// Waits for an identity that differs from the one told before. `None` when the writer is gone.
    pub async fn next(&mut self) -> Option<Identity> {
        loop {
            let seen = self.samples.borrow_and_update().as_ref().map(|seen| seen.identity.clone());
            if seen.is_some() && seen != self.last {
                self.last.clone_from(&seen);
                return seen;
            }
            self.samples.changed().await.ok()?;
        }
    }
}

fn window_names(windows: &[TrustKey]) -> Vec<String> {
    windows.iter().map(|key| key.window().to_owned()).collect()
}

fn millis(number: impl ToString) -> Bytes {
    number.to_string().into()
}
