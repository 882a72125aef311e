//! Looking after a read model's tables, beside its batches.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};

use super::occurrence::UpkeepFailed;
use super::positions::Scope;
use super::{Failure, Projection};

/// How often.
const EVERY: Duration = Duration::from_secs(600);

/// Lets the projection look after its tables, now and then, for as long as it is polled. What fails
/// is tried again in the next round.
pub(super) async fn keep<P: Projection>(projection: Arc<P>, pool: PgPool, scope: Arc<Scope>) {
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let kept = async {
            let mut connection = pool.acquire().await?;
            projection.upkeep(&mut connection, scope.generation).await
        };
        if let Err(error) = kept.await {
            let failure = Failure::of_database(&error, "looking after tables").without_record();
            UpkeepFailed { projection: P::NAME, failure: &failure }.emit();
        }
    }
}
