//! Whoever asks and goes leaves nothing behind.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use anyhow::{Result, ensure};
use event_store::EventStore as _;

use super::{Home as _, InPostgres, open};
use crate::samples::{first, request};

/// A decision is given up after so many waits at most; how many it has depends on how busy all are.
const WAITS: usize = 16;

/// How often it is given up after each number of waits.
const ROUNDS: usize = 8;

/// A lock of nobody else: the database is the test's own.
const LOCK: i64 = 7;

/// Waits for a future so often at most, and drops it then. Whether it came to its end.
async fn left_after<F: Future>(waits: usize, future: F) -> bool {
    let (mut future, mut waited) = (pin!(future), 0);
    poll_fn(|context| {
        waited += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if waited > waits => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn a_decision_that_is_given_up_leaves_its_session_in_no_transaction() -> Result<()> {
    let home = InPostgres::new("given_up").await?;
    open(&home).await?;
    let (store, session) = home.store_of_one_session()?;
    let (mut ended, mut given_up) = (0, 0);
    for number in 0..WAITS * ROUNDS {
        let waits = number % WAITS;
        let mut append = first(&format!("user-{number}"));
        append.request = Some(request(&format!("r{number}"), None));
        let is_ended = left_after(waits, store.append(append)).await;
        *(if is_ended { &mut ended } else { &mut given_up }) += 1;
        // What a statement locks is free once it has ended, unless it was part of something.
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&session).await?;
        let is_free: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
            .bind(LOCK)
            .fetch_one(&home.pool)
            .await?;
        ensure!(is_free, "given up after {waits} waits, it leaves a transaction behind");
    }
    ensure!(ended > 0 && given_up >= ROUNDS, "{ended} ended, {given_up} were given up");
    Ok(())
}
