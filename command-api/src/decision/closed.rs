//! Why nothing can be decided now, as problems.

use std::time::Duration;

use event_store::{AppendError, Closed, StoreError};
use problem_details::{Problem, ProblemType};

const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(30);

/// A decision was not appended, for a reason that is not the command's.
pub(super) fn problem(error: AppendError) -> Problem {
    match error {
        AppendError::Closed(closed) => closed_problem(closed),
        AppendError::Store(error) => store_problem(error),
        AppendError::VersionMismatch
        | AppendError::Taken(_)
        | AppendError::Lapsed(_)
        | AppendError::Answered => busy(),
    }
}

/// Nothing may be decided on what the store has.
pub(super) fn closed_problem(closed: Closed) -> Problem {
    match closed {
        Closed::NotCompared => {
            let detail =
                "the store has just started and is compared with the log; nothing was written";
            Problem::new(ProblemType::StoreNotCompared, detail).with_retry_after(SOON)
        }
        Closed::LogAhead(_) => {
            let detail = "the log holds decisions that the store has lost; an operator has to repair it; nothing was written";
            Problem::new(ProblemType::LogAheadOfStore, detail).with_retry_after(LATER)
        }
        Closed::OtherKey => {
            let detail = "what is unique was claimed under another secret than this process has; an operator has to mend it; nothing was written";
            Problem::new(ProblemType::StoreNotCompared, detail).with_retry_after(LATER)
        }
    }
}

/// The store did not do its part.
pub(crate) fn store_problem(error: StoreError) -> Problem {
    let source = &error as &(dyn std::error::Error + 'static);
    match &error {
        StoreError::Unavailable(_) => {
            tracing::debug!(error = source, "the event store does not answer");
            let detail = "the store of decisions does not answer; nothing was written";
            Problem::new(ProblemType::DatabaseUnavailable, detail).with_retry_after(SOON)
        }
        StoreError::Unknown(_) => {
            tracing::warn!(error = source, "whether a decision was stored is unknown");
            let detail = "it may have taken effect; with an Idempotency-Key, send it again and it takes effect once";
            Problem::new(ProblemType::UnknownOutcome, detail).with_retry_after(SOON)
        }
        StoreError::Fault(_) => {
            tracing::error!(error = source, "the event store is not as this program needs it");
            defect()
        }
    }
}

pub(super) fn not_ready() -> Problem {
    let detail = "the service has not finished its start; nothing was written";
    Problem::new(ProblemType::NotReady, detail).with_retry_after(SOON)
}

/// So many others decide about the same thing that this one never had its turn.
pub(super) fn busy() -> Problem {
    let detail = "too many decisions are made about it at once; nothing was written";
    Problem::new(ProblemType::TooManyRequests, detail).with_retry_after(SOON)
}

pub(crate) fn defect() -> Problem {
    Problem::new(ProblemType::InternalError, "the decision could not be written")
}
