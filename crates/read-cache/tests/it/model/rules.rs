//! Which parts take part in a run of the model, and which one rule is broken in it.

/// A rule that is broken: the checker must find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The tombstones are set after the commit.
    TombstoneAfterCommit,
    /// A reader loads and fills without having asked for a lease.
    FillWithoutLease,
    /// A reader that was given a lease fills without asking whether it still lives.
    FillAfterLease,
    /// A body is stamped with the cache generation of the trust key at the time of the fill.
    StampWhenFilling,
    /// Whoever misses takes the result of any load that is under way in its process.
    JoinAnyLoad,
    /// The trust key is renewed without asking Postgres for the owner.
    RenewUnasked,
    /// The call after the commit turns any tombstone into its body.
    UpgradeAnyTombstone,
    /// The call before the commit is sent again under the same batch id.
    SendAgain,
    /// The call before the commit is sent before the rows are locked.
    TombstoneBeforeLocks,
    /// A tombstone or window may be gone before its transaction is over: evicted, or its time is too
    /// short.
    TombstoneTooShort,
    /// The lane commits without Redis and does not wait until trust must have lapsed.
    NoWait,
    /// Of the commits without Redis only the first raises the cache generation.
    RaiseOnce,
    /// The fence compares the offset alone.
    FenceWithoutOwner,
    /// Trust is renewed in a Redis that was emptied since the cache generation was raised.
    NoMark,
    /// A new owner takes the Redis that it finds for the one that its predecessor used.
    ForgetServer,
    /// An older copy takes the place of Redis while a trust key in it lives.
    CopyServesAtOnce,
    /// A replay commits although the cache generation rose since it began.
    ReplayUnchecked,
    /// A renewal's time counts from its arrival, not from the time that Redis told.
    RenewFromArrival,
    /// The mark is left in Redis after the cache generation was raised for it.
    MarkAfterRaise,
    /// The cache generation is raised beside the lock on the position.
    RaiseUnlocked,
    /// Renewals do not ask whether the generation is being switched.
    RenewInPromotion,
    /// A lease is given in a window.
    LeaseInWindow,
    /// The call after the commit ends whatever window it finds.
    EndAnyWindow,
    /// Of a batch's calls before the commit the last one sets the window, not the first.
    WindowLast,
    /// A replay, too, sets the window in place of tombstones at absent keys.
    ReplayByWindow,
}

/// Who takes part and what happens to them. All else is always explored: delays and losses of every
/// call, crashes and transactions ended at every step, bodies, leases and the trust key gone at any
/// time, tombstones and windows gone once their transaction is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) keys: usize,
    pub(super) readers: usize,
    pub(super) lanes: usize,
    /// Calls that are under way at one time, at most.
    pub(super) calls: usize,
    /// A lane may believe at any time that it cannot reach Redis.
    pub(super) cuts: bool,
    pub(super) replay: bool,
    /// Redis is emptied, with and without a restart.
    pub(super) flush: bool,
    /// An older copy takes the place of Redis.
    pub(super) failover: bool,
    pub(super) promotion: bool,
    /// A takeover raises the cache generation.
    pub(super) takeover_raises: bool,
    /// The calls around a commit are cut: one for each key.
    pub(super) chunks: bool,
    pub(super) mistake: Option<Mistake>,
}

impl Setting {
    /// One lane, one reader, one key, nothing special.
    pub(super) const SMALL: Self = Self {
        keys: 1,
        readers: 1,
        lanes: 1,
        calls: 2,
        cuts: false,
        replay: false,
        flush: false,
        failover: false,
        promotion: false,
        takeover_raises: false,
        chunks: false,
        mistake: None,
    };

    pub(super) fn breaks(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}
