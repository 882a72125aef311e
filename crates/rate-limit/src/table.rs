//! Callers by key, in slots that are laid out once.
//!
//! A caller has four places where they may stand, and a fifth takes the place of the one whose buckets are full
//! soonest. So memory is bounded whoever asks, nothing is ever purged, and no lock is held for longer than it
//! takes to look at four slots.

use parking_lot::{Mutex, MutexGuard};

use crate::slot::{Counted, Slot};

const WAYS: usize = 4;

pub(crate) struct Table {
    sets: Box<[Mutex<Set>]>,
}

#[derive(Default)]
pub(crate) struct Set {
    slots: [Option<Slot>; WAYS],
}

impl Table {
    /// Room for about this many callers of a class.
    pub(crate) fn new(callers: usize) -> Self {
        let sets = callers.div_ceil(WAYS).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    /// Where a caller stands, if anywhere.
    pub(crate) fn set(&self, counted: Counted) -> MutexGuard<'_, Set> {
        // The key is a hash; its classes are neighbours.
        let low = (counted.key.0 & u128::from(u32::MAX)) as usize;
        let number = low.wrapping_add(counted.class as usize) & (self.sets.len() - 1);
        self.sets[number].lock()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.sets.iter().map(|set| set.lock().slots.iter().flatten().count()).sum()
    }
}

impl Set {
    /// The caller's slot, if they are remembered.
    pub(crate) fn find(&mut self, counted: Counted) -> Option<&mut Slot> {
        self.slots.iter_mut().flatten().find(|slot| slot.counted == counted)
    }

    /// The caller's slot, which is a new one if they are not remembered.
    pub(crate) fn slot(&mut self, counted: Counted) -> &mut Slot {
        let is_own = |slot: &Option<Slot>| slot.as_ref().is_some_and(|it| it.counted == counted);
        let own = self.slots.iter().position(is_own);
        let place = own.unwrap_or_else(|| self.place_to_take());
        let slot = &mut self.slots[place];
        if own.is_none() {
            *slot = None;
        }
        slot.get_or_insert_with(|| Slot::new(counted))
    }

    fn place_to_take(&self) -> usize {
        let rests_at = |slot: &Option<Slot>| slot.as_ref().map_or(0, Slot::rests_at);
        let soonest = self.slots.iter().enumerate().min_by_key(|&(_, slot)| rests_at(slot));
        soonest.map_or(0, |(place, _)| place)
    }
}
