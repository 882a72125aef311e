//! Which parts take part in a run of the model, and which one rule is broken in it.

/// A rule that is broken: the checker must find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The relay sends the next event of a stream before the one before it is acknowledged.
    SendAhead,
    /// An event is marked as published before it is acknowledged.
    MarkWhenSent,
    /// A decision does not compare the version that it was made on.
    AppendUnchecked,
    /// A decision does not ask whether the log was compared since the store began to run.
    DecideUncompared,
    /// The log is compared while what earlier relays have sent may still arrive.
    CompareUnfenced,
    /// The projection drops a version that it knows, whatever its identity.
    AbsorbByVersion,
    /// The projection folds whatever version comes next.
    FoldGaps,
}

/// Who takes part and what happens to them. Always explored: two relays that each believe for a while to
/// be the one, sends that arrive late, twice or unacknowledged, and ends of relays at every step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// Decisions that are made, at most.
    pub(super) decisions: u8,
    /// Sends under way at one time, at most.
    pub(super) flights: usize,
    /// Records that reach the log, at most: how often something is sent again.
    pub(super) records: usize,
    /// The store is set back to an earlier state once.
    pub(super) restore: bool,
    /// Somebody else writes to the log: an event of theirs, or a version left out.
    pub(super) stranger: bool,
    pub(super) mistake: Option<Mistake>,
}

impl Setting {
    /// Nothing special.
    pub(super) const SMALL: Self = Self {
        decisions: 3,
        flights: 2,
        records: 4,
        restore: false,
        stranger: false,
        mistake: None,
    };

    pub(super) fn breaks(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}
