//! The protocol with one of its plain rules broken: the checker finds a stale hit.

use super::rules::{Mistake, Setting};
use super::run::fails;

const SMALL: Setting = Setting::SMALL;
const CUTS: Setting = Setting { cuts: true, ..SMALL };
const TWO_KEYS: Setting = Setting { keys: 2, chunks: true, ..SMALL };
const TWO_LANES: Setting = Setting { lanes: 2, cuts: true, ..SMALL };

#[test]
fn a_tombstone_after_the_commit_is_found_out() {
    fails(Mistake::TombstoneAfterCommit, SMALL);
}

#[test]
fn a_fill_without_a_lease_is_found_out() {
    fails(Mistake::FillWithoutLease, SMALL);
}

#[test]
fn a_fill_whose_lease_is_not_compared_is_found_out() {
    fails(Mistake::FillAfterLease, SMALL);
}

#[test]
fn a_renewal_that_does_not_ask_for_the_owner_is_found_out() {
    fails(Mistake::RenewUnasked, TWO_LANES);
}

#[test]
fn an_upgrade_of_another_batch_s_tombstone_is_found_out() {
    fails(Mistake::UpgradeAnyTombstone, SMALL);
}

#[test]
fn a_tombstone_that_goes_before_its_transaction_ends_is_found_out() {
    fails(Mistake::TombstoneTooShort, SMALL);
}

#[test]
fn a_commit_without_redis_that_does_not_wait_is_found_out() {
    fails(Mistake::NoWait, CUTS);
}

#[test]
fn a_renewal_whose_time_counts_from_its_arrival_is_found_out() {
    fails(Mistake::RenewFromArrival, CUTS);
}

#[test]
fn a_lease_in_a_window_is_found_out() {
    fails(Mistake::LeaseInWindow, SMALL);
}

#[test]
fn an_end_of_another_batch_s_window_is_found_out() {
    fails(Mistake::EndAnyWindow, SMALL);
}

#[test]
fn a_window_that_the_last_of_a_batch_s_calls_sets_is_found_out() {
    fails(Mistake::WindowLast, TWO_KEYS);
}

#[test]
fn a_replay_that_shares_the_window_of_lanes_is_found_out() {
    fails(Mistake::ReplayByWindow, Setting { replay: true, ..TWO_KEYS });
}
