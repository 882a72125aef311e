//! What reads were answered, as counts over time.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {
        /// Counters that every reader shares.
        #[derive(Debug, Default)]
        pub(super) struct Tally { $($(#[doc = $doc])* pub(super) $name: AtomicU64,)* }

        /// Counters at one moment, or their differences between two.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub(super) struct Counts { $(pub(super) $name: u64,)* }

        impl Tally {
            pub(super) fn now(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl Counts {
            pub(super) fn since(self, before: Self) -> Self {
                Self { $($name: self.$name - before.$name,)* }
            }

            pub(super) fn and(self, other: Self) -> Self {
                Self { $($name: self.$name + other.$name,)* }
            }
        }
    };
}

counts! {
    /// Reads that were answered with what the key is: 200, 304 or 404.
    reads
    /// Those of them that carried a token.
    with_token
    /// Those of them that said that nothing has changed.
    unchanged
    /// Those of them that said that there is nothing.
    missing
    /// Those of them that came from Redis.
    hits
    /// Those of them that shared another read's load.
    collapsed
    /// Those of them that found a body of another cache generation.
    outdated
    /// Those of them that did without Redis.
    bypassed
    /// Reads that were told honestly that the view has not come so far.
    behind
    /// Reads that were answered otherwise, or not at all.
    errors
    /// Events that were accepted.
    written
    /// Attempts to write that failed and were made again.
    rewritten
    /// Looks at all rows in Postgres.
    looks
}

impl Counts {
    /// The share of hits, in percent.
    pub(super) fn hit_rate(self) -> f64 {
        100.0 * self.hits as f64 / self.reads.max(1) as f64
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
