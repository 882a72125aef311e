//! The times of the protocol. They hang together: none may be changed alone.

use std::time::Duration;

/// How long a tombstone or a window stands unless its batch takes it away.
pub const TOMBSTONE: Duration = Duration::from_secs(10);

/// How long a tombstone of a replay stands. A replay does not own its partition and cannot end the
/// trust in it, and Postgres sets no limit to the time that a commit itself takes, to reach the disk or
/// a standby: [`LONGEST_TRANSACTION`] bounds all that comes before. So this is a limit for the commit.
pub const REPLAY_TOMBSTONE: Duration = Duration::from_secs(120);

/// How long a load may take before its lease lapses.
pub const LEASE: Duration = Duration::from_secs(3);

/// How long the trust in a partition's bodies lasts after the time that its renewal began with.
pub const TRUST: Duration = Duration::from_secs(2);

/// How often trust is renewed.
pub const RENEWAL: Duration = Duration::from_millis(500);

/// What clocks may differ by, and a step of one may amount to, while trust lapses.
pub const MARGIN: Duration = Duration::from_millis(500);

/// The longest transaction between the two calls of a writer. One that lasted longer could commit
/// when its tombstones and windows have lapsed and somebody has filled what it was about to change.
///
/// Of a lane whose commit itself takes longer nothing is trusted by then: it learns no outcome, stops
/// renewing, and its successor waits for the locks of its transaction.
pub const LONGEST_TRANSACTION: Duration = TOMBSTONE.saturating_sub(LEASE).saturating_sub(MARGIN);
