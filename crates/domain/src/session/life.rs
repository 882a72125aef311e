//! How long sessions last.

use std::time::Duration;

use crate::Timestamp;

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLife {
    /// For how long one may lie unused.
    pub idle: Duration,
    /// How long one may last, however it is used.
    pub longest: Duration,
}

impl SessionLife {
    /// From when on a session is over that began and was used last at these times. No event says so.
    pub fn lapses_at(&self, started_at: Timestamp, used_at: Timestamp) -> Timestamp {
        used_at.after(self.idle).min(started_at.after(self.longest))
    }
}
