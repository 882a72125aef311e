//! Rules that the protocol lacked, or left open, until the checker found a stale read without them:
//! each test leaves one of them out. The traces are told in `docs/adr/0010-cache-protocol.md`.

use super::NO_STALE_LOAD;
use super::rules::{Mistake, Setting};
use super::run::{fails, fails_by};

const SMALL: Setting = Setting::SMALL;
const CUTS: Setting = Setting { cuts: true, ..SMALL };
const TWO_LANES: Setting = Setting { lanes: 2, cuts: true, ..SMALL };
const REPLAY: Setting = Setting { replay: true, ..SMALL };

#[test]
fn a_body_stamped_when_it_is_filled_is_found_out() {
    fails(Mistake::StampWhenFilling, CUTS);
}

#[test]
fn a_load_begun_before_the_read_that_takes_its_result_is_found_out() {
    fails_by(NO_STALE_LOAD, Mistake::JoinAnyLoad, SMALL);
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

#[test]
fn a_mark_left_after_the_cache_generation_rose_is_found_out() {
    fails(Mistake::MarkAfterRaise, Setting { flush: true, calls: 3, ..SMALL });
}

#[test]
fn a_cache_generation_raised_beside_an_open_transaction_is_found_out() {
    fails(Mistake::RaiseUnlocked, Setting { flush: true, ..SMALL });
}
