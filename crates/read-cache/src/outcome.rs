//! What the cache did for a read, in the words of `Cache-Status` (RFC 9211), without HTTP.

use std::fmt;

/// Why a read went to Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The key held nothing, a lease or a tombstone.
    Miss,
    /// The key held a body of another cache generation.
    Stale,
    /// The cache was not used: out of reach, slow, or nobody vouches for the partition.
    Bypass,
}

/// What the cache did for a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The body came from Redis.
    Hit,
    /// It came from Postgres.
    Forwarded {
        /// Why.
        why: Forward,
        /// Whether it stands in Redis now.
        stored: bool,
        /// Whether another read of this process loaded it.
        collapsed: bool,
    },
}

impl fmt::Display for Outcome {
    /// The parameters of the header's member: `hit`, `fwd=miss; stored; collapsed`, `fwd=bypass`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Forwarded { why, stored, collapsed } = self else { return f.write_str("hit") };
        f.write_str(match why {
            Forward::Miss => "fwd=miss",
            Forward::Stale => "fwd=stale",
            Forward::Bypass => "fwd=bypass",
        })?;
        if *stored {
            f.write_str("; stored")?;
        }
        if *collapsed {
            f.write_str("; collapsed")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_read_as_the_header_spells_them() {
        let forwarded = |why, stored, collapsed| Outcome::Forwarded { why, stored, collapsed };
        assert_eq!(Outcome::Hit.to_string(), "hit");
        assert_eq!(forwarded(Forward::Miss, true, true).to_string(), "fwd=miss; stored; collapsed");
        assert_eq!(forwarded(Forward::Stale, true, false).to_string(), "fwd=stale; stored");
        assert_eq!(forwarded(Forward::Bypass, false, false).to_string(), "fwd=bypass");
    }
}
