//! Comparing the log with the store, before anything is decided in a new run of the store.
//!
//! A store may have been set back: restored, or a replica promoted that lacked commits. Then the log holds
//! events that the store does not know, and a decision made on it would fork their streams. So each
//! run of the store begins closed, and is opened once every record behind the last one that it is known to
//! have is an event of the store, by version and identity (ADR 16). Only what an open store marks and a
//! comparison that found nothing lacking move that place: whatever else did would hide what is lacking
//! before it (`tests/it/comparing.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::relay::{Log, TailError};
use crate::store::{Ends, Outbox, StoreError, Uncompared};

/// What comparing found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The store was open already.
    Before,
    /// What earlier relays have sent may still arrive: compare again after this.
    TooEarly(Duration),
    /// The store knows all that the log holds; it is open.
    Open,
    /// The log holds so many records that the store does not know; it stays closed.
    LogAhead(u64),
}

/// Why it could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log could not be read.
    #[error("the end of the log could not be read")]
    Log(#[from] TailError),
}

/// Compares the topics, if this run of the store was not compared yet.
///
/// `owned_for` is how long the caller has owned the outbox: an owner before it cannot look at the store any
/// more. `longest_send` is the longest time between an owner's last look at the store and the moment in
/// which a record that it sent reaches the log: once the caller has waited for so long, it is there or lost.
/// An empty log waits for nothing, and neither does one that holds nothing behind what the last owner
/// left when it rested.
pub async fn compare(
    outbox: &mut impl Outbox,
    log: &impl Log,
    topics: &[String],
    owned_for: Duration,
    longest_send: Duration,
) -> Result<Compared, CompareError> {
    let Some(Uncompared { was_rested }) = outbox.uncompared().await? else {
        return Ok(Compared::Before);
    };
    let published_to = outbox.published_to().await?;
    let mut ends = Ends::new();
    let mut ahead = 0;
    let mut has_tail = false;
    for topic in topics {
        let mut from = of_topic(&published_to, topic);
        loop {
            let tail = log.tail(topic, &from).await?;
            has_tail |= !tail.records.is_empty();
            ahead += outbox.lacking(&tail.records).await?.len() as u64;
            from = tail.next;
            if tail.is_end {
                break;
            }
        }
        ends.extend(from.into_iter().map(|(partition, end)| ((topic.clone(), partition), end)));
    }
    let is_empty = published_to.is_empty() && !has_tail;
    let is_settled = is_empty || (was_rested && !has_tail) || owned_for >= longest_send;
    if !is_settled {
        return Ok(Compared::TooEarly(longest_send - owned_for));
    }
    outbox.compared(ahead, &ends).await?;
    Ok(if ahead == 0 { Compared::Open } else { Compared::LogAhead(ahead) })
}

/// The ends of one topic, by partition.
pub fn of_topic(ends: &Ends, topic: &str) -> BTreeMap<i32, i64> {
    let of = ends.iter().filter(|((of, _), _)| of == topic);
    of.map(|((_, partition), next)| (*partition, *next)).collect()
}
