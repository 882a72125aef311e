//! The time by which access tokens are judged.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 by this machine's clock, as [`Verifier::verify`](crate::Verifier::verify) wants them.
pub fn now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}
