//! Verified tokens, remembered by their hash until they expire.
//!
//! The slots are laid out once: a token has four places where it may stand, and a fifth one takes
//! the place of another. So memory is bounded whatever is sent, nothing is ever purged, and no lock
//! is held for longer than four comparisons.

use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::Caller;

/// SHA-256 of a token.
pub(crate) type TokenHash = [u8; 32];

const WAYS: usize = 4;

pub(crate) struct Cache {
    sets: Box<[Mutex<Set>]>,
}

#[derive(Default)]
struct Set {
    slots: [Option<Slot>; WAYS],
    /// The slot that is given up next.
    next: usize,
}

struct Slot {
    hash: TokenHash,
    /// The keys by which it was verified.
    keys: u64,
    caller: Arc<Caller>,
}

pub(crate) fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

impl Cache {
    /// Room for about this many tokens.
    pub(crate) fn new(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    /// The caller of a token that was verified by these keys and has not expired.
    pub(crate) fn get(&self, hash: &TokenHash, keys: u64, now: i64) -> Option<Arc<Caller>> {
        let set = self.set(hash).lock();
        let slot = set.slots.iter().flatten().find(|slot| slot.hash == *hash)?;
        (slot.keys == keys && slot.caller.expires_at > now).then(|| Arc::clone(&slot.caller))
    }

    pub(crate) fn put(&self, hash: TokenHash, keys: u64, caller: Arc<Caller>, now: i64) {
        let mut set = self.set(&hash).lock();
        let is_free = |slot: &Option<Slot>| {
            slot.as_ref().is_none_or(|slot| {
                slot.hash == hash || slot.keys != keys || slot.caller.expires_at <= now
            })
        };
        // The token's own slot first, so that it never stands twice.
        let own = set.slots.iter().position(|slot| slot.as_ref().is_some_and(|s| s.hash == hash));
        let place = own.or_else(|| set.slots.iter().position(is_free)).unwrap_or(set.next);
        set.next = (place + 1) % WAYS;
        set.slots[place] = Some(Slot { hash, keys, caller });
    }

    fn set(&self, hash: &TokenHash) -> &Mutex<Set> {
        let [a, b, c, d, ..] = *hash;
        let number = u32::from_le_bytes([a, b, c, d]) as usize;
        &self.sets[number & (self.sets.len() - 1)]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.sets.iter().map(|set| set.lock().slots.iter().flatten().count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Roles;

    fn caller(subject: &str, expires_at: i64) -> Arc<Caller> {
        Arc::new(Caller {
            subject: subject.into(),
            issuer: String::new(),
            roles: Roles::default(),
            device_id: None,
            session_id: None,
            token_id: None,
            revocable: None,
            actor: String::new(),
            expires_at,
        })
    }

    #[test]
    fn a_token_is_remembered_until_it_expires_or_the_keys_change() {
        let cache = Cache::new(16);
        cache.put(hash("t"), 1, caller("ann", 100), 0);
        assert_eq!(cache.get(&hash("t"), 1, 99).unwrap().subject, "ann");
        assert!(cache.get(&hash("t"), 1, 100).is_none());
        assert!(cache.get(&hash("t"), 2, 99).is_none());
        assert!(cache.get(&hash("u"), 1, 99).is_none());
    }

    #[test]
    fn a_token_that_is_verified_again_is_remembered_anew() {
        let cache = Cache::new(4);
        cache.put(hash("t"), 1, caller("old", 100), 0);
        cache.put(hash("t"), 2, caller("new", 100), 0);
        assert_eq!(cache.get(&hash("t"), 2, 0).unwrap().subject, "new");
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn however_many_tokens_come_no_more_are_kept_than_there_is_room_for() {
        let cache = Cache::new(64);
        for n in 0..10_000 {
            cache.put(hash(&n.to_string()), 1, caller("x", 100), 0);
        }
        assert_eq!(cache.len(), 64);
        assert!(cache.get(&hash("9999"), 1, 0).is_some());
    }

    #[test]
    fn expired_tokens_give_up_their_places_first() {
        let cache = Cache::new(4);
        cache.put(hash("lives"), 1, caller("lives", 1_000), 0);
        for n in 0..100 {
            cache.put(hash(&n.to_string()), 1, caller("x", n + 1), n);
        }
        assert_eq!(cache.get(&hash("lives"), 1, 100).unwrap().subject, "lives");
    }
}
