//! The protocol with one rule broken: the checker finds a stale read.

use super::rules::{Mistake, Setting};
use super::run::fails;

const SMALL: Setting = Setting::SMALL;
const CUTS: Setting = Setting { cuts: true, ..SMALL };
const TWO_LANES: Setting = Setting { lanes: 2, cuts: true, ..SMALL };
const REPLAY: Setting = Setting { replay: true, ..SMALL };

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
fn a_body_stamped_when_it_is_filled_is_found_out() {
    fails(Mistake::StampWhenFilling, CUTS);
}

#[test]
fn a_load_begun_before_the_read_that_takes_its_result_is_found_out() {
    fails(Mistake::JoinAnyLoad, SMALL);
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
fn a_call_sent_again_under_its_batch_id_is_found_out() {
    fails(Mistake::SendAgain, Setting { calls: 3, ..SMALL });
}

#[test]
fn a_tombstone_set_before_the_rows_are_locked_is_found_out() {
    fails(Mistake::TombstoneBeforeLocks, REPLAY);
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
fn a_cache_generation_raised_once_for_several_blind_commits_is_found_out() {
    fails(Mistake::RaiseOnce, CUTS);
}

#[test]
fn a_fence_that_does_not_ask_for_the_owner_is_found_out() {
    let setting = Setting { takeover_raises: true, ..TWO_LANES };
    fails(Mistake::FenceWithoutOwner, setting);
}

#[test]
fn a_redis_emptied_unnoticed_is_found_out() {
    fails(Mistake::NoMark, Setting { flush: true, ..SMALL });
}

#[test]
fn a_redis_replaced_between_two_owners_is_found_out() {
    fails(Mistake::ForgetServer, Setting { lanes: 2, failover: true, ..SMALL });
}

#[test]
fn a_copy_that_serves_while_its_trust_key_lives_is_found_out() {
    fails(Mistake::CopyServesAtOnce, Setting { failover: true, ..SMALL });
}

#[test]
fn a_replay_that_does_not_see_the_cache_generation_rise_is_found_out() {
    fails(Mistake::ReplayUnchecked, Setting { flush: true, ..REPLAY });
}

#[test]
fn a_renewal_in_a_promotion_is_found_out() {
    fails(Mistake::RenewInPromotion, Setting { promotion: true, ..SMALL });
}
