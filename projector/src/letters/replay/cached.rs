//! What a replay tells the cache.

use std::collections::BTreeSet;

use read_cache::{CacheGeneration, failpoint};
use sqlx::PgConnection;

use super::letter::Place;
use super::{Replay, ReplayError, failed};
use crate::cache::{Announced, Touched};
use crate::runner::{Failure, FailureClass, Order, Projection, Scope};

impl<P: Projection> Replay<'_, P> {
    /// Locks the position, so that its cache generation cannot rise before the replay is over, and
    /// the live lane does not meet its rows half-way. Where the cache is switched off, raises it.
    pub(super) async fn hold_cache_generation(
        &self,
        connection: &mut PgConnection,
        scope: &Scope,
        place: &Place,
    ) -> Result<Option<CacheGeneration>, ReplayError> {
        if P::CACHED_AS.is_none() {
            return Ok(None);
        }
        let statement = match (self.announcer, P::ORDER) {
            // What follows asks for this lock anyway: two that share it first would wait for each
            // other.
            (Some(_), Order::Sequenced) => {
                "SELECT cache_generation FROM positions
                 WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
                   AND partition = $5 FOR UPDATE"
            }
            (Some(_), Order::Independent) => {
                "SELECT cache_generation FROM positions
                 WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
                   AND partition = $5 FOR SHARE"
            }
            (None, _) => {
                "UPDATE positions SET cache_generation = cache_generation + 1
                 WHERE projection = $1 AND generation = $2 AND topic = $3 AND epoch = $4
                   AND partition = $5 RETURNING cache_generation"
            }
        };
        let generation: Option<i64> = sqlx::query_scalar(statement)
            .bind(scope.projection)
            .bind(scope.generation)
            .bind(&scope.topic)
            .bind(scope.epoch)
            .bind(place.partition())
            .fetch_optional(connection)
            .await
            .map_err(failed("locking the position"))?;
        Ok(generation.map(|generation| CacheGeneration(generation.unsigned_abs())))
    }

    /// Takes old bodies of the streams away, under the locks of their rows, and prepares new ones.
    pub(super) async fn announce(
        &self,
        connection: &mut PgConnection,
        scope: &Scope,
        place: &Place,
        generation: CacheGeneration,
        streams: &BTreeSet<String>,
    ) -> Result<Option<Announced>, ReplayError> {
        let (Some(announcer), Some(noun)) = (self.announcer, P::CACHED_AS) else { return Ok(None) };
        let touched: Touched<'_> =
            streams.iter().map(|stream_id| (stream_id.as_str(), place.partition())).collect();
        let announced = announcer.announce((P::NAME, noun), &[], &touched).await;
        let mut announced = announced.map_err(|error| {
            ReplayError::Failed(Failure {
                class: FailureClass::Transient,
                code: "cache".to_owned(),
                message: format!("the cache cannot be told of the replay: {error}"),
            })
        })?;
        failpoint!("replay/announced");
        let wanted = announcer.wanted(noun, &announced, &touched);
        if wanted.is_empty() {
            return Ok(Some(announced));
        }
        let ids: Vec<&str> = wanted.into_iter().map(|(stream_id, _)| stream_id).collect();
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
