//! Keeps the brake in this process and the one in the database the same.
//!
//! The database's is the one that counts: it outlives processes, another process' lanes read it in
//! their transactions, and an operator releases it there.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};

use super::brake::{Brake, Pulled};
use super::occurrence::{BrakePulled, BrakeReleased};
use crate::runner::Scope;

/// How often the two are compared.
const EVERY: Duration = Duration::from_millis(500);

/// Compares until it is aborted.
pub(crate) async fn keep(pool: PgPool, scope: Arc<Scope>, brake: Arc<Brake>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Said once whatever it is: an earlier run may have said otherwise.
    let mut told = brake.pulled().map(|pulled| pulled.reason);
    tell(scope.projection, told.as_deref());
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = brake.changed.notified() => {}
        }
        if let Err(error) = compare(&pool, &scope, &brake).await {
            tracing::debug!(%error, "the brake is compared later");
        }
        let reason = brake.pulled().map(|pulled| pulled.reason);
        if reason != told {
            tell(scope.projection, reason.as_deref());
            told = reason;
        }
    }
}

fn tell(projection: &str, reason: Option<&str>) {
    match reason {
        Some(reason) => BrakePulled { projection, reason }.emit(),
        None => BrakeReleased { projection }.emit(),
    }
}

async fn compare(pool: &PgPool, scope: &Scope, brake: &Brake) -> Result<(), sqlx::Error> {
    if let Some(Pulled { reason, is_recorded: false }) = brake.pulled() {
        record(pool, scope, &reason).await?;
        brake.pull(reason, true);
        return Ok(());
    }
    let was_recorded = brake.pulled().is_some();
    let stored: Option<Option<String>> = sqlx::query_scalar(
        "SELECT brake FROM generations WHERE projection = $1 AND generation = $2",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .fetch_optional(pool)
    .await?;
    match (stored.flatten(), brake.pulled()) {
        (Some(reason), None) => brake.pull(reason, true),
        // One that was pulled since the question was asked is not answered by it.
        (None, Some(_)) if was_recorded => brake.release_recorded(),
        (Some(_) | None, _) => {}
    }
    Ok(())
}

/// Another process may have pulled it for a reason of its own, which stays.
async fn record(pool: &PgPool, scope: &Scope, reason: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE generations SET brake = coalesce(brake, $3),
                                braked_at = coalesce(braked_at, now())
         WHERE projection = $1 AND generation = $2",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(reason)
    .execute(pool)
    .await
    .map(drop)
}
