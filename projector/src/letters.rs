//! Letters: records that a projection could not fold, set aside so that the others go on.
//!
//! A letter is written in the transaction that moves the position past its record, so a record is
//! either folded or a letter, never both and never neither. The table is the truth; a copy goes to
//! `events-dlq` for people and tools. A letter is first **retrying**: it is tried again by itself
//! after 2, 4 and 8 seconds. Then it is **parked** until somebody replays or discards it. Where a
//! projection keeps the order of a stream, later events of its key are **blocked** behind it.
//!
//! - `set_aside` is what a lane knows of such a record, as plain data;
//! - `store`, `parked` and `discarded` hold the statements that a lane's transaction runs;
//! - [`replay`] folds letters again: for the `retry` task and for operators;
//! - `brake`, kept in step with the database by `brake_keeper`, stops a projection that finds too much
//!   it cannot fold;
//! - `notices` publishes the copies.

pub(crate) mod brake;
pub(crate) mod brake_keeper;
pub(crate) mod discarded;
pub(crate) mod notices;
pub(crate) mod occurrence;
pub(crate) mod parked;
pub mod replay;
pub(crate) mod retry;
pub(crate) mod set_aside;
mod state;
pub(crate) mod store;

use std::time::Duration;

pub use state::LetterState;

/// Waits between the attempts at a letter, before it is parked.
pub const RETRIES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// How long a letter rests after so many attempts; `None` once it is parked.
pub fn rest_after(attempts: i32) -> Option<Duration> {
    RETRIES.get(usize::try_from(attempts - 1).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_tried_after_two_four_and_eight_seconds_and_then_parked() {
        let rests: Vec<_> = (1..=4).map(|n| rest_after(n).map(|rest| rest.as_secs())).collect();
        assert_eq!(rests, [Some(2), Some(4), Some(8), None]);
    }
}
