//! What a replay tells the cache.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use read_cache::times::{MARGIN, TRUST};
use read_cache::{CallError, Cover, Trust, failpoint};
use sqlx::PgConnection;

use super::letter::Place;
use super::{Replay, ReplayError, failed};
use crate::cache::{Announced, Touched};
use crate::runner::{Failure, FailureClass, Order, Projection, Scope};

/// How long trust may outlive the moment from which nobody renews it.
const LAPSED: Duration = TRUST.saturating_add(MARGIN);

/// What stands beside a position.
#[derive(sqlx::FromRow)]
struct Beside {
    cache_generation: i64,
    cache_home: Option<String>,
    /// How long ago an owner without a cache said so, in milliseconds.
    off_for: Option<i64>,
}

impl<P: Projection> Replay<'_, P> {
    /// Locks the position, so that its cache generation cannot rise before the replay is over, and
    /// the live lane does not meet its rows half-way. Returns which Redis readers trust; `None` where
    /// they trust none.
    pub(super) async fn hold_trust(
        &self,
        connection: &mut PgConnection,
        scope: &Scope,
        place: &Place,
    ) -> Result<Option<Trust>, ReplayError> {
        if P::CACHED_AS.is_none() {
            return Ok(None);
        }
        let lock = match P::ORDER {
            // What follows asks for this lock anyway: two that share it first would wait for each
            // other.
            Order::Sequenced => "UPDATE",
            Order::Independent => "SHARE",
        };
        let statement = format!(
            "SELECT cache_generation, cache_home,
                    now_ms() - substring(cache_home FROM '^off ([0-9]+)$')::bigint AS off_for
             FROM positions
             WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
               AND partition = $5 FOR {lock}"
        );
        let beside: Option<Beside> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(scope.projection)
            .bind(scope.generation)
            .bind(&scope.topic)
            .bind(scope.epoch)
            .bind(place.partition())
            .fetch_optional(connection)
            .await
            .map_err(failed("locking the position"))?;
        let Some(Beside { cache_generation, cache_home: Some(home), off_for }) = beside else {
            return Ok(None);
        };
        match (off_for, self.announcer) {
            (Some(millis), _) if u128::from(millis.unsigned_abs()) >= LAPSED.as_millis() => {
                Ok(None)
            }
            (Some(_), _) => Err(not_told("the cache was switched off a moment ago")),
            (None, None) => Err(not_told(
                "the projector caches this view: leave MILLRACE_CACHE on, with the same REDIS_URL",
            )),
            (None, Some(announcer)) => {
                let partition = place.partition();
                Ok(Some(announcer.trust(P::NAME, partition, cache_generation, Some(&home))))
            }
        }
    }

    /// Takes old bodies of the streams away, under the locks of their rows, and prepares new ones.
    pub(super) async fn announce(
        &self,
        connection: &mut PgConnection,
        scope: &Scope,
        place: &Place,
        trust: Trust,
        streams: &BTreeSet<String>,
    ) -> Result<Option<Announced>, ReplayError> {
        let (Some(announcer), Some(noun)) = (self.announcer, P::CACHED_AS) else { return Ok(None) };
        let touched: Touched<'_> =
            streams.iter().map(|stream_id| (P::cached_id(stream_id), place.partition())).collect();
        let generation = trust.generation;
        let announced = announcer.announce(noun, Cover::Replay(trust), &touched).await;
        let mut announced = announced.map_err(|error| match error {
            CallError::Elsewhere => not_told(
                "REDIS_URL names another Redis than the projector's, or one that was emptied",
            ),
            error => not_told(error),
        })?;
        failpoint!("replay/announced");
        let wanted = announcer.wanted(noun, &announced, &touched);
        if wanted.is_empty() {
            return Ok(Some(announced));
        }
        let ids: Vec<&str> = wanted.into_iter().map(|(id, _)| id).collect();
        let rows = self
            .projection
            .cached(connection, scope.generation, &ids)
            .await
            .map_err(failed("reading rows for the cache"))?;
        for (id, row) in rows {
            announcer.give(noun, &mut announced, &id, generation, &row);
        }
        Ok(Some(announced))
    }
}

/// The replay has no effect: readers could be shown what it makes old.
fn not_told(reason: impl fmt::Display) -> ReplayError {
    ReplayError::Failed(Failure {
        class: FailureClass::Transient,
        code: "cache".to_owned(),
        message: format!("the cache cannot be told of the replay: {reason}"),
    })
}
