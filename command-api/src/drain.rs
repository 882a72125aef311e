//! The end of a process that answers requests and has records under way.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The time of a stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DrainTimes {
    /// For all of it.
    pub(crate) budget: Duration,
    /// How much of it, at its end, belongs to the records: until the outcome of one is known.
    pub(crate) settle: Duration,
}

/// Waits for the answers and settles the records, together within the budget.
///
/// `settle` is called with the time that is left: once all is answered, else while it is still
/// enough for every record. As it lets nothing more be queued, a slow client cannot take the
/// records' time. Answers that wait for a record are waited for until the end.
pub(crate) async fn answer_and_settle<A, S>(
    times: DrainTimes,
    answers: impl Future<Output = A>,
    settle: impl AsyncFnOnce(Duration) -> S,
) -> (A, S) {
    let end = Instant::now() + times.budget;
    let mut answers = std::pin::pin!(answers);
    let answered = tokio::select! {
        answered = &mut answers => Some(answered),
        () = sleep(times.budget.saturating_sub(times.settle)) => None,
    };
    let settled = settle(end.saturating_duration_since(Instant::now()));
    match answered {
        Some(answered) => (answered, settled.await),
        None => tokio::join!(answers, settled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: DrainTimes =
        DrainTimes { budget: Duration::from_secs(10), settle: Duration::from_secs(8) };

    /// When settling began and how long it was given, after answers that took so long.
    async fn drained_after(answers: Duration) -> (Duration, Duration) {
        let began = Instant::now();
        let settle = async |left| (began.elapsed(), left);
        answer_and_settle(TIMES, sleep(answers), settle).await.1
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_take_the_whole_budget_leave_the_records_their_time() {
        let seconds = Duration::from_secs;
        assert_eq!(drained_after(seconds(10)).await, (seconds(2), seconds(8)));
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_settled_as_soon_as_all_is_answered() {
        let (began, left) = drained_after(Duration::from_secs(1)).await;
        assert_eq!((began, left), (Duration::from_secs(1), Duration::from_secs(9)));
    }
}
