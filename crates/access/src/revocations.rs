//! Access tokens that are taken back before they expire, as this process knows them.
//!
//! A request looks at a snapshot in memory and at a time: no lock, no I/O, and nothing at all for tokens
//! that name no session. Whoever brings the set ([`crate::identity`]) says with every look until when it
//! may be relied on, so that a watch that has died or hangs is noticed without its help.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use domain::Revoked;
use domain::role::Role;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::{Revocable, Roles, Unauthenticated};

/// That access tokens are taken no more, and for how long that has to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Which ones.
    pub what: Revoked,
    /// When the last of them has expired, in seconds since 1970.
    pub expires_at: i64,
}

/// What becomes of callers with a revocable token while it is not known what was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnknown {
    /// Admins are refused; the others are taken, by what was known last.
    RefuseAdmin,
    /// All are refused.
    RefuseAll,
    /// All are taken, by what was known last.
    Allow,
}

impl WhenUnknown {
    fn refuses(self, roles: Roles) -> bool {
        match self {
            Self::RefuseAdmin => roles.contains(Role::Admin),
            Self::RefuseAll => true,
            Self::Allow => false,
        }
    }
}

/// The set of what was revoked.
#[derive(Debug)]
pub struct Revocations {
    when_unknown: WhenUnknown,
    /// From here on time is counted.
    began: Instant,
    /// Milliseconds; 0 as long as nothing was known.
    known_until: AtomicU64,
    snapshot: ArcSwap<Snapshot>,
    /// What the snapshot is made of, with when it may be forgotten.
    held: Mutex<HashMap<Revoked, i64>>,
}

/// What was revoked, as it is looked up.
#[derive(Debug, Default)]
struct Snapshot {
    sessions: HashSet<Uuid>,
    /// The first version whose tokens are taken, by user.
    users: HashMap<Uuid, u64>,
}

impl Snapshot {
    fn of<'a>(held: impl IntoIterator<Item = &'a Revoked>) -> Self {
        let mut snapshot = Self::default();
        for revoked in held {
            match *revoked {
                Revoked::Session(id) => {
                    snapshot.sessions.insert(id);
                }
                Revoked::User { id, below_version } => {
                    let first = snapshot.users.entry(id).or_default();
                    *first = below_version.max(*first);
                }
            }
        }
        snapshot
    }

    /// A look-up in a map without entries is a comparison.
    fn holds(&self, token: &Revocable) -> bool {
        self.sessions.contains(&token.session)
            || self.users.get(&token.user).is_some_and(|first| token.user_version < *first)
    }
}

impl Revocations {
    /// Nothing is known yet.
    pub fn new(when_unknown: WhenUnknown) -> Self {
        Self {
            when_unknown,
            began: Instant::now(),
            known_until: AtomicU64::new(0),
            snapshot: ArcSwap::default(),
            held: Mutex::default(),
        }
    }

    /// Takes what was found, and forgets what is about expired tokens only; `now` in seconds since 1970.
    /// Everything that was revoked before the look is known then, and may be relied on until
    /// `known_until`. What is held already stays, also when it is not found again: nobody takes a
    /// revocation back.
    pub fn take(
        &self,
        found: impl IntoIterator<Item = Revocation>,
        now: i64,
        known_until: Instant,
    ) {
        let mut held = self.held.lock();
        let mut is_changed = false;
        for Revocation { what, expires_at } in found {
            let expires = held.entry(what).or_insert_with(|| {
                is_changed = true;
                expires_at
            });
            *expires = expires_at.max(*expires);
        }
        let before = held.len();
        held.retain(|_, expires_at| *expires_at > now);
        if is_changed || held.len() < before {
            self.snapshot.store(Arc::new(Snapshot::of(held.keys())));
        }
        // After the snapshot: who sees the time sees also what it is about.
        self.known_until.fetch_max(self.millis(known_until), Ordering::Release);
    }

    /// Takes the holder of a token as far as it goes by what was revoked.
    ///
    /// # Errors
    /// The token was revoked; or that is not known, and somebody with these roles is not taken then.
    pub fn check(
        &self,
        token: &Revocable,
        roles: Roles,
        now: Instant,
    ) -> Result<(), Unauthenticated> {
        // First the time: what is looked at then is at least as new.
        let is_known = self.is_known(now);
        if self.snapshot.load().holds(token) {
            return Err(Unauthenticated::Revoked);
        }
        if !is_known && self.when_unknown.refuses(roles) {
            return Err(Unauthenticated::RevocationsUnknown);
        }
        Ok(())
    }

    /// Whether everything that was revoked up to a moment ago is known.
    pub fn is_known(&self, now: Instant) -> bool {
        self.millis(now) < self.known_until.load(Ordering::Acquire)
    }

    /// How many sessions and users are held.
    pub fn held(&self) -> usize {
        self.held.lock().len()
    }

    /// What becomes of callers while it is not known what was revoked.
    pub fn when_unknown(&self) -> WhenUnknown {
        self.when_unknown
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// Long before any time of a test.
    const PAST: i64 = 0;

    const NEVER: i64 = i64::MAX;

    fn id(number: u8) -> Uuid {
        Uuid::from_u128(u128::from(number))
    }

    fn token(session: u8, user: u8, user_version: u64) -> Revocable {
        Revocable { session: id(session), user: id(user), user_version }
    }

    fn session(number: u8, expires_at: i64) -> Revocation {
        Revocation { what: Revoked::Session(id(number)), expires_at }
    }

    fn user(number: u8, below_version: u64, expires_at: i64) -> Revocation {
        Revocation { what: Revoked::User { id: id(number), below_version }, expires_at }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn check(set: &Revocations, token: Revocable) -> Result<(), Unauthenticated> {
        set.check(&token, Roles::default(), Instant::now())
    }

    #[test]
    fn a_revoked_session_has_no_tokens_and_others_have() {
        let set = Revocations::new(WhenUnknown::RefuseAll);
        set.take([session(1, NEVER)], PAST, soon());
        assert_eq!(check(&set, token(1, 7, 9)), Err(Unauthenticated::Revoked));
        assert_eq!(check(&set, token(2, 7, 9)), Ok(()));
        assert_eq!(check(&set, token(2, 1, 9)), Ok(()), "a user is no session");
    }

    #[test]
    fn of_a_user_older_tokens_are_revoked_and_newer_ones_are_not() {
        let set = Revocations::new(WhenUnknown::RefuseAll);
        set.take([user(1, 5, NEVER), user(1, 3, NEVER)], PAST, soon());
        assert_eq!(check(&set, token(9, 1, 4)), Err(Unauthenticated::Revoked));
        assert_eq!(check(&set, token(9, 1, 5)), Ok(()));
        assert_eq!(check(&set, token(9, 2, 1)), Ok(()));
    }

    #[test]
    fn what_is_not_found_again_stays_revoked_until_its_tokens_have_expired() {
        let set = Revocations::new(WhenUnknown::RefuseAll);
        set.take([session(1, 100), user(2, 8, 200)], 0, soon());
        set.take([], 99, soon());
        assert_eq!((check(&set, token(1, 9, 0)), set.held()), (Err(Unauthenticated::Revoked), 2));
        set.take([], 100, soon());
        assert_eq!((check(&set, token(1, 9, 0)), set.held()), (Ok(()), 1));
        set.take([], 200, soon());
        assert_eq!((check(&set, token(9, 2, 0)), set.held()), (Ok(()), 0));
    }

    #[test]
    fn while_it_is_not_known_the_setting_decides_who_is_taken() {
        let admin: Roles = [Role::User, Role::Admin].into_iter().collect();
        let user: Roles = [Role::User].into_iter().collect();
        let refused = Err(Unauthenticated::RevocationsUnknown);
        for (when_unknown, of_admin, of_user) in [
            (WhenUnknown::RefuseAdmin, refused, Ok(())),
            (WhenUnknown::RefuseAll, refused, refused),
            (WhenUnknown::Allow, Ok(()), Ok(())),
        ] {
            let set = Revocations::new(when_unknown);
            let now = Instant::now();
            let both = |now| {
                let of = |roles| set.check(&token(1, 1, 1), roles, now);
                (of(admin), of(user))
            };
            assert_eq!(both(now), (of_admin, of_user), "{when_unknown:?} at the start");
            set.take([session(2, NEVER)], PAST, now + Duration::from_secs(2));
            assert_eq!(both(now), (Ok(()), Ok(())), "{when_unknown:?} once it is known");
            let later = now + Duration::from_secs(2);
            assert_eq!(both(later), (of_admin, of_user), "{when_unknown:?} after that");
            assert_eq!(set.check(&token(2, 1, 1), user, later), Err(Unauthenticated::Revoked));
        }
    }

    #[test]
    fn a_look_that_was_late_takes_back_no_time() {
        let set = Revocations::new(WhenUnknown::RefuseAll);
        let now = Instant::now();
        set.take([], PAST, now + Duration::from_secs(2));
        set.take([], PAST, now + Duration::from_secs(1));
        assert!(set.is_known(now + Duration::from_millis(1_500)));
    }

    fn revocation() -> impl Strategy<Value = Revocation> {
        let expires = 0_i64..40;
        prop_oneof![
            (0_u8..4, expires.clone()).prop_map(|(number, expires)| session(number, expires)),
            (0_u8..3, 1_u64..6, expires)
                .prop_map(|(number, below, expires)| user(number, below, expires)),
        ]
    }

    /// Rows as they lie in the table, each looked at.
    fn is_revoked(rows: &[Revocation], token: &Revocable, now: i64) -> bool {
        rows.iter().filter(|row| row.expires_at > now).any(|row| match row.what {
            Revoked::Session(id) => id == token.session,
            Revoked::User { id, below_version } => {
                id == token.user && token.user_version < below_version
            }
        })
    }

    fn all_tokens() -> impl Iterator<Item = Revocable> {
        (0_u8..5).flat_map(|session| {
            (0_u8..4).flat_map(move |user| (0_u64..7).map(move |v| token(session, user, v)))
        })
    }

    proptest! {
        /// Whatever is found in which order, once, twice or again after a while.
        #[test]
        fn the_set_is_what_the_rows_say(
            looks in prop::collection::vec(
                (0_i64..10, prop::collection::vec(revocation(), 0..6), any::<bool>()),
                1..8,
            ),
        ) {
            let set = Revocations::new(WhenUnknown::RefuseAll);
            let (mut rows, mut now) = (Vec::<Revocation>::new(), 0);
            for (pause, found, is_whole) in looks {
                now += pause;
                rows.extend(found.iter().copied());
                // A whole look brings again what was found before, in whatever order.
                let brought: Vec<_> =
                    if is_whole { rows.iter().rev().copied().collect() } else { found };
                set.take(brought, now, soon());
                for token in all_tokens() {
                    let is_refused = check(&set, token).is_err();
                    prop_assert_eq!(is_refused, is_revoked(&rows, &token, now), "{:?}", token);
                }
            }
        }
    }
}
