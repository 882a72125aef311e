//! What is decided of a request.

use std::time::Duration;

use crate::Quota;

/// Whether a request is let through, and what its caller may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is.
    pub is_admitted: bool,
    /// Whether there is something to [take](crate::Limiter::take) that there was not before: whoever charges
    /// the shared buckets is to be woken.
    pub wakes: bool,
    /// The quota that the caller is closest to the end of, or that the request was refused for.
    pub told: Told,
}

/// Where a caller stands with a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The quota.
    pub quota: Quota,
    /// How many units are left of it.
    pub left: u64,
    /// In what time the bucket is full again, if nothing more is taken; where the request was refused, in
    /// what time there is enough for it. Never less than that.
    pub after: Duration,
}
