//! Waiting for a condition.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How long a condition usually may take to come true. It is a verdict, not a pace: a condition
/// that is true is seen within milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the check succeeds and returns its result. The check's error says what is the case
/// instead; the last one is the cause of the error of a wait that fails.
pub async fn eventually<T>(what: &str, check: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    eventually_within(PATIENCE, what, check).await
}

/// The same with another patience.
pub async fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match check().await {
            Ok(value) => return Ok(value),
            Err(seen) if began.elapsed() > patience => {
                return Err(seen).with_context(|| format!("it never came true that {what}"));
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[tokio::test]
    async fn a_wait_that_fails_says_what_was_seen_last() {
        let mut count = 0;
        let failed = eventually_within(Duration::ZERO, "the count is 5", async || {
            count += 1;
            if count < 5 { bail!("the count is {count}") } else { Ok(()) }
        })
        .await
        .unwrap_err();
        assert!(
            format!("{failed:#}")
                .starts_with("it never came true that the count is 5: the count is")
        );
    }

    #[tokio::test]
    async fn a_wait_returns_what_the_check_found() {
        let mut count = 0;
        let found = eventually("the count is 3", async || {
            count += 1;
            if count < 3 { bail!("the count is {count}") } else { Ok(count) }
        })
        .await;
        assert_eq!(found.unwrap(), 3);
    }
}
