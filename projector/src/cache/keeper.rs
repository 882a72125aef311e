//! Keeps the trust in the bodies of our partitions alive, for as long as Postgres says that they are
//! ours and Redis is the one that their cache generations were agreed with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use read_cache::times::RENEWAL;
use read_cache::{CallError, RenewError, Renewed, TrustKey, failpoint};
use read_models::database::{DatabaseConfig, SessionLimits};
use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::Cache;
use super::announcer::Announcer;
use super::occurrence::{self, NotRenewed, Resettled};
use crate::runner::Scope;

/// Longest confirmation: a renewal that took longer would be of little use.
const CONFIRMATION: Duration = Duration::from_millis(1_000);

/// Longest wait for the batch under way when a cache generation is raised: nothing is renewed
/// meanwhile. Batches hardly ever take longer, and the next round tries again.
const RAISE: Duration = Duration::from_secs(2);

/// Renewals that Redis may leave unanswered before batches stop counting on it.
const FAILURES: u32 = 2;

/// What trust is kept alive with.
pub(crate) struct Keeper {
    pub(crate) cache: Arc<Cache>,
    pub(crate) scope: Arc<Scope>,
    pub(crate) database: DatabaseConfig,
}

impl Keeper {
    /// Renews until it is aborted; at once when a partition is taken.
    pub(crate) async fn run(self) {
        let Some(announcer) = self.cache.announcer.clone().filter(|_| self.cache.noun.is_some())
        else {
            return std::future::pending().await;
        };
        occurrence::begin(self.scope.projection);
        let round = Round {
            cache: &self.cache,
            announcer: &announcer,
            scope: &self.scope,
            confirming: self.pool("trust", CONFIRMATION),
            raising: self.pool("cache", RAISE),
        };
        let mut tick = interval(RENEWAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.cache.taken.notified() => {}
            }
            match round.go().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    if let RoundError::Redis(error) = &error {
                        failures += 1;
                        if failures >= FAILURES {
                            self.cache.lost(error);
                        }
                    }
                    NotRenewed { projection: self.scope.projection, error: &error }.emit();
                }
            }
        }
    }

    fn pool(&self, what: &str, patience: Duration) -> PgPool {
        let limits = SessionLimits {
            idle_in_transaction: patience,
            transaction: patience,
            lock: patience,
            statement: patience,
        };
        let name = format!("projector-{}-{what}", self.scope.projection);
        self.database.pool(&name, limits, 1, patience)
    }
}

/// Why a round renewed nothing.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("Redis does not answer")]
    Redis(#[source] CallError),
    #[error("Postgres does not say what is ours")]
    Postgres(#[source] sqlx::Error),
}

struct Round<'a> {
    cache: &'a Cache,
    announcer: &'a Announcer,
    scope: &'a Scope,
    confirming: PgPool,
    raising: PgPool,
}

impl Round<'_> {
    async fn go(&self) -> Result<(), RoundError> {
        if self.cache.holdings.lock().is_to_be_looked_for(Instant::now()) {
            self.announcer.writer().identity().await.map_err(RoundError::Redis)?;
            self.cache.found();
        }
        let elsewhere = self.renew().await?;
        if elsewhere.is_empty() {
            self.cache.holdings.lock().agreed();
            return Ok(());
        }
        self.settle(&elsewhere).await?;
        failpoint!("trust/raised");
        self.cache.holdings.lock().agreed();
        // They need not stay cold until the next round.
        self.renew().await.map(drop)
    }

    /// Renews what is ours; returns the partitions that have another home.
    async fn renew(&self) -> Result<BTreeSet<i32>, RoundError> {
        let assignments = self.cache.holdings.lock().renewable();
        if assignments.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut partitions = BTreeMap::new();
        let renewed = self
            .announcer
            .writer()
            .renew(async |sampled| {
                failpoint!("trust/time-asked");
                let ours = self.confirm(&assignments).await?;
                let mut holdings = self.cache.holdings.lock();
                let ours = ours.into_iter().filter(|ours| {
                    holdings.renewal_begins(ours.partition, ours.assignment, sampled)
                });
                let trusts =
                    ours.map(|Ours { partition, cache_generation, cache_home, .. }| {
                        let (projection, home) = (self.scope.projection, cache_home.as_deref());
                        let trust =
                            self.announcer.trust(projection, partition, cache_generation, home);
                        partitions.insert(trust.key.clone(), partition);
                        trust
                    });
                Ok::<_, sqlx::Error>(trusts.collect())
            })
            .await;
        let Renewed { elsewhere, .. } = renewed.map_err(|error| match error {
            RenewError::NotConfirmed(error) => RoundError::Postgres(error),
            RenewError::Call(error) => RoundError::Redis(error),
        })?;
        Ok(elsewhere.iter().filter_map(|key| partitions.get(key).copied()).collect())
    }

    /// Which of the assignments still stand. Waits while the generation is being switched: what it
    /// asks for is held by whoever switches it.
    async fn confirm(&self, assignments: &[Uuid]) -> Result<Vec<Ours>, sqlx::Error> {
        sqlx::query_as(
            "SELECT p.partition, p.assignment, p.cache_generation, p.cache_home
             FROM positions p JOIN generations g USING (projection, generation)
             WHERE p.projection = $1 AND p.generation = $2 AND p.topic = $3 AND p.epoch = $4
               AND p.assignment = ANY($5) AND g.state = 'active'
             FOR SHARE OF g",
        )
        .bind(self.scope.projection)
        .bind(self.scope.generation)
        .bind(&self.scope.topic)
        .bind(self.scope.epoch)
        .bind(assignments)
        .fetch_all(&self.confirming)
        .await
    }

    /// Leaves a mark in the Redis that there is now, then raises the cache generation of the
    /// partitions beside the new home, each once its batch under way is over.
    async fn settle(&self, partitions: &BTreeSet<i32>) -> Result<(), RoundError> {
        let keys: Vec<TrustKey> = partitions
            .iter()
            .map(|partition| self.announcer.trust_key(self.scope.projection, *partition))
            .collect();
        let home = self.announcer.writer().settle(&keys).await.map_err(RoundError::Redis)?;
        let home = home.to_string();
        failpoint!("trust/marked");
        let assignments = self.cache.holdings.lock().renewable();
        let (mut raised, mut failed) = (Vec::with_capacity(partitions.len()), None);
        // One at a time: a statement for all would lock them in an order of its own, and one that
        // cannot be raised must not keep the others cold.
        for partition in partitions {
            match self.raise(*partition, &assignments, &home).await {
                Ok(true) => raised.push(*partition),
                Ok(false) => {}
                Err(error) => failed = Some(error),
            }
        }
        Resettled { projection: self.scope.projection, partitions: &raised }.emit();
        failed.map_or(Ok(()), |error| Err(RoundError::Postgres(error)))
    }

    async fn raise(
        &self,
        partition: i32,
        assignments: &[Uuid],
        home: &str,
    ) -> Result<bool, sqlx::Error> {
        let raised = sqlx::query(
            "WITH standing AS (
                 SELECT FROM generations
                 WHERE projection = $1 AND generation = $2 AND state = 'active' FOR SHARE
             )
             UPDATE positions
             SET cache_generation = next_cache_generation(cache_generation), cache_home = $7
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 AND assignment = ANY($6) AND EXISTS (SELECT FROM standing)",
        )
        .bind(self.scope.projection)
        .bind(self.scope.generation)
        .bind(&self.scope.topic)
        .bind(self.scope.epoch)
        .bind(partition)
        .bind(assignments)
        .bind(home)
        .execute(&self.raising)
        .await?;
        Ok(raised.rows_affected() > 0)
    }
}

/// A partition that Postgres says is ours.
#[derive(Debug, sqlx::FromRow)]
struct Ours {
    partition: i32,
    assignment: Uuid,
    cache_generation: i64,
    cache_home: Option<String>,
}
