//! The writer's side: what a lane or a replay does around its commit, and the trust that a
//! partition's owner keeps alive.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;

use crate::config::CacheConfig;
use crate::home::{Home, Identity};
use crate::key::{CacheKey, TrustKey};
use crate::redis::{CallError, Redis, Sample};
use crate::script::Script;
use crate::times::{TOMBSTONE, TRUST};
use crate::value::{BatchId, Body, CacheGeneration};

/// Keys of one script call: Redis does nothing else meanwhile.
const CHUNK_KEYS: usize = 1_000;
/// Bytes of bodies of one script call.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// The tombstones that one batch has set. Nobody else can take them away or fill their keys; they
/// lapse [`TOMBSTONE`] after they were set.
#[derive(Debug)]
#[must_use = "the keys stay cold until the tombstones lapse, unless `after_commit` ends them"]
pub struct Tombstones {
    batch: BatchId,
    keys: Vec<CacheKey>,
    /// Places of the keys that held a body, and when it would have lapsed, in Redis' milliseconds.
    hot: Vec<(usize, i64)>,
}

impl Tombstones {
    /// The keys that held a body: somebody reads them, so that a new body is wanted.
    pub fn hot(&self) -> impl ExactSizeIterator<Item = &CacheKey> {
        // Every place was checked to be one of `keys`.
        self.hot
            .iter()
            .filter_map(|(place, _)| self.keys.get(*place))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The batch whose tombstones they are.
    pub fn batch(&self) -> BatchId {
        self.batch
    }

    /// How many keys have a tombstone.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the batch touched no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

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
    fn arguments(&self) -> [Bytes; 4] {
        let home = self.home.clone();
        let Home { identity: Identity { run_id, replication_id }, mark } =
            home.unwrap_or_else(|| {
                // No Redis has these.
                let identity = Identity { run_id: String::new(), replication_id: String::new() };
                Home { identity, mark: String::new() }
            });
        [millis(self.generation), run_id.into(), replication_id.into(), mark.into()]
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

    /// Sets the tombstones of a batch: when it returns, no body and no lease that was there before
    /// is there any more, and none can come until the tombstones end. Tells which keys held a body.
    ///
    /// To be called when the transaction holds the locks of all the keys' rows, so that of two
    /// batches with a key in common the second sets its tombstone after the first has committed. The
    /// commit has to end within [`crate::times::LONGEST_TRANSACTION`].
    ///
    /// # Errors
    /// Some tombstones may have been set, or may yet be. They lapse. Another attempt is another batch:
    /// it could not tell a late tombstone of the first one from its own.
    pub async fn before_commit(&self, keys: Vec<CacheKey>) -> Result<Tombstones, CallError> {
        let batch = BatchId::unique();
        let arguments = [Bytes::from(batch.text()), millis(TOMBSTONE.as_millis())];
        let mut hot = Vec::new();
        for (number, chunk) in keys.chunks(CHUNK_KEYS).enumerate() {
            let names = chunk.iter().map(|key| key.as_str().to_owned()).collect();
            let found: Vec<i64> =
                self.redis.run(Script::BEFORE_COMMIT, names, arguments.to_vec()).await?;
            for pair in found.chunks(2) {
                let &[place, lapses] = pair else { return Err(CallError::Unexpected) };
                let place = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
                let place = place.filter(|place| *place < chunk.len());
                hot.push((number * CHUNK_KEYS + place.ok_or(CallError::Unexpected)?, lapses));
            }
        }
        Ok(Tombstones { batch, keys, hot })
    }

    /// Ends the tombstones of a batch that is committed. A hot key whose tombstone still stands
    /// gets its new body and keeps the time that the old one had left. Every other tombstone of the
    /// batch goes. Tombstones of other batches stay, and whatever else there is at the keys goes: it
    /// may be older than the commit. Returns how many bodies stand.
    ///
    /// Also ends a batch that is known to be rolled back, without bodies. While it is not known
    /// whether a batch was committed it must not be called: the tombstones lapse.
    ///
    /// # Errors
    /// Some or all tombstones may stand until they lapse: cold for seconds, never stale.
    pub async fn after_commit(
        &self,
        tombstones: Tombstones,
        mut bodies: HashMap<CacheKey, Body>,
    ) -> Result<usize, CallError> {
        let hot: HashMap<usize, i64> = tombstones.hot.into_iter().collect();
        let visits = tombstones.keys.into_iter().enumerate().map(|(place, key)| {
            let body = hot.get(&place).and_then(|lapses| Some((bodies.remove(&key)?, *lapses)));
            Visit { key, body: body.map(|(body, lapses)| (body.text(), lapses)) }
        });
        let (mut warm, cold): (Vec<_>, Vec<_>) = visits.partition(|visit| visit.body.is_some());
        warm.extend(cold);
        let own = Bytes::from(tombstones.batch.text());
        let mut stand = 0;
        for chunk in chunks(&warm) {
            let names = chunk.iter().map(|visit| visit.key.as_str().to_owned()).collect();
            let bodies = chunk.iter().filter_map(|visit| visit.body.as_ref());
            let mut arguments = vec![own.clone(), millis(bodies.clone().count())];
            arguments.extend(bodies.flat_map(|(text, lapses)| [text.clone(), millis(lapses)]));
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

/// A key to be visited after a commit.
struct Visit {
    key: CacheKey,
    body: Option<(Bytes, i64)>,
}

/// Cuts visits by keys and bytes.
fn chunks(visits: &[Visit]) -> impl Iterator<Item = &[Visit]> {
    let mut rest = visits;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |visit: &&Visit| {
            bytes += visit.body.as_ref().map_or(0, |(text, _)| text.len());
            bytes <= CHUNK_BYTES
        };
        let count = rest.iter().take(CHUNK_KEYS).take_while(fits).count().max(1);
        let (chunk, after) = rest.split_at_checked(count)?;
        rest = after;
        Some(chunk)
    })
}

fn millis(number: impl ToString) -> Bytes {
    number.to_string().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::Keys;

    proptest! {
        #[test]
        fn chunks_hold_every_visit_once_in_order_and_none_is_too_large(
            sizes in prop::collection::vec(0usize..3_000_000, 0..40),
            more in 0usize..2_500,
        ) {
            let keys = Keys::default();
            let sizes: Vec<_> = sizes.into_iter().chain(std::iter::repeat_n(0, more)).collect();
            let visits: Vec<_> = sizes.iter().enumerate().map(|(place, size)| Visit {
                key: keys.of("thing", &place.to_string()),
                body: (*size > 0).then(|| (Bytes::from(vec![b'x'; *size]), 1)),
            }).collect();
            let cut: Vec<_> = chunks(&visits).collect();
            let together: Vec<_> = cut.iter().flat_map(|chunk| chunk.iter().map(|v| &v.key)).collect();
            prop_assert_eq!(together, visits.iter().map(|v| &v.key).collect::<Vec<_>>());
            for chunk in cut {
                let bytes: usize = chunk.iter().filter_map(|v| Some(v.body.as_ref()?.0.len())).sum();
                prop_assert!(chunk.len() <= CHUNK_KEYS);
                prop_assert!(bytes <= CHUNK_BYTES || chunk.len() == 1);
            }
        }
    }
}
