//! What a limiter says, case by case.

use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;

const LIMITS: Limits = Limits { profile: &APP, factor: 1, instances: 2, callers: 64 };

const ANN: LimitKey = LimitKey(7);

fn alone(instances: u32) -> Limiter {
    Limiter::new(Limits { instances, ..LIMITS }, false)
}

/// How many of so many requests at one time are let through.
fn admitted(limiter: &Limiter, rated: Rated, requests: usize, now: u64) -> usize {
    let decide = |_: &usize| limiter.decide(ANN, rated, Moment(now)).is_admitted;
    (0..requests).filter(decide).count()
}

#[test]
fn who_has_used_up_a_quota_is_told_when_there_is_more_of_it() {
    let limiter = alone(1);
    assert_eq!(admitted(&limiter, Rated::READ, 200, 0), 100);
    let refused = limiter.decide(ANN, Rated::READ, Moment(0));
    assert!(!refused.is_admitted);
    assert_eq!((refused.told.quota.name, refused.told.left), ("short", 0));
    assert_eq!(refused.told.after, Duration::from_millis(600));
    assert!(!limiter.decide(ANN, Rated::READ, Moment(SECOND / 2)).is_admitted);
    assert_eq!(admitted(&limiter, Rated::READ, 5, SECOND * 6 / 10), 1);
}

#[test]
fn who_is_let_through_is_told_of_the_quota_that_ends_first() {
    let limiter = alone(1);
    let read = limiter.decide(ANN, Rated::READ, Moment(0)).told;
    assert_eq!((read.quota.name, read.left), ("short", 99));
    assert_eq!(read.after, Duration::from_millis(600));
    // Decisions cost work, and end that first.
    let written = limiter.decide(ANN, Rated::WRITE, Moment(0)).told;
    assert_eq!((written.quota.name, written.left), ("work", 489));
}

#[test]
fn a_heavy_request_needs_all_that_it_costs() {
    let limiter = alone(1);
    assert_eq!(admitted(&limiter, Rated::WRITE, 60, 0), 50);
    let refused = limiter.decide(ANN, Rated::WRITE, Moment(SECOND / 10));
    assert_eq!((refused.is_admitted, refused.told.quota.name), (false, "work"));
    assert_eq!(refused.told.left, 5);
    assert_eq!(refused.told.after, Duration::from_millis(100));
    assert!(limiter.decide(ANN, Rated::LIST, Moment(SECOND / 10)).is_admitted);
}

#[test]
fn classes_and_callers_are_counted_apart() {
    let limiter = alone(1);
    admitted(&limiter, Rated::READ, 200, 0);
    assert_eq!(admitted(&limiter, Rated::AUTH, 20, 0), 10);
    assert_eq!(admitted(&limiter, Rated::FACTS, 1_000, 0), 1_000);
    assert!(limiter.decide(LimitKey(8), Rated::READ, Moment(0)).is_admitted);
}

#[test]
fn a_refused_request_costs_nothing() {
    let limiter = alone(1);
    admitted(&limiter, Rated::READ, 10_000, 0);
    assert_eq!(admitted(&limiter, Rated::READ, 200, 60 * SECOND), 100);
}

#[test]
fn alone_a_process_keeps_to_its_share() {
    assert_eq!(admitted(&alone(2), Rated::READ, 200, 0), 50);
    let limiter = alone(4);
    assert_eq!(admitted(&limiter, Rated::READ, 200, 0), 25);
    assert_eq!(admitted(&limiter, Rated::READ, 200, 60 * SECOND), 25);
}

#[test]
fn a_factor_makes_every_quota_larger() {
    let limiter = Limiter::new(Limits { factor: 10, instances: 1, ..LIMITS }, false);
    assert_eq!(admitted(&limiter, Rated::READ, 2_000, 0), 1_000);
    let units: Vec<u64> = limiter.quotas(Class::Auth).map(|quota| quota.units).collect();
    assert_eq!(units, [100, 1_000, 5_000, 20_000]);
}

#[test]
fn a_process_asks_once_for_all_that_it_lets_through_and_no_more_than_a_credit_before_it_hears() {
    let limiter = Limiter::new(LIMITS, true);
    assert!(limiter.decide(ANN, Rated::READ, Moment(0)).wakes);
    assert!(!limiter.decide(ANN, Rated::READ, Moment(0)).wakes, "it is asked for already");
    assert_eq!(admitted(&limiter, Rated::READ, 100, 0), 10, "the credit is 12");
    let charges = limiter.take(10, Moment(0));
    let [charge] = charges[..] else { panic!("{charges:?}") };
    assert_eq!((charge.key, charge.class), (ANN, Class::General));
    assert_eq!(charge.nanos()[0], 12 * 600_000_000);
    assert_eq!(charge.nanos()[3], 12 * 20_000_000);
    assert_eq!(admitted(&limiter, Rated::READ, 1, 0), 0, "what is under way is open");
    // Others have used more of it meanwhile.
    let debts: Debts = [30, 0, 0, 0].map(|seconds| seconds * SECOND).into_iter().collect();
    limiter.charged(&charges, &[debts], Moment(0));
    let next = limiter.decide(ANN, Rated::READ, Moment(0));
    assert!(next.is_admitted && next.wakes);
    assert_eq!((next.told.quota.name, next.told.left), ("short", 49));
}

#[test]
fn a_bucket_that_owes_something_lets_nobody_through_until_it_does_not() {
    let limiter = Limiter::new(LIMITS, true);
    admitted(&limiter, Rated::READ, 1, 0);
    let charges = limiter.take(10, Moment(0));
    let debts: Debts = [90 * SECOND].into_iter().collect();
    limiter.charged(&charges, &[debts], Moment(0));
    let refused = limiter.decide(ANN, Rated::READ, Moment(0));
    assert!(!refused.is_admitted);
    assert_eq!(refused.told.after, Duration::from_millis(30_600));
    assert!(limiter.decide(ANN, Rated::READ, Moment(31 * SECOND)).is_admitted);
}

#[test]
fn what_was_not_charged_is_charged_again() {
    let limiter = Limiter::new(LIMITS, true);
    admitted(&limiter, Rated::READ, 3, 0);
    let charges = limiter.take(10, Moment(0));
    limiter.not_charged(&charges);
    assert!(limiter.is_alone());
    assert_eq!(limiter.take(10, Moment(0)), charges);
    limiter.charged(&charges, &[Debts::default()], Moment(0));
    assert!(!limiter.is_alone());
    assert!(limiter.take(10, Moment(0)).is_empty());
}

#[test]
fn what_was_let_through_long_ago_is_not_charged_when_the_buckets_are_back() {
    let limiter = Limiter::new(LIMITS, true);
    limiter.not_charged(&[]);
    for minute in 0..60 {
        assert_eq!(admitted(&limiter, Rated::READ, 25, minute * 60 * SECOND), 25);
    }
    let charges = limiter.take(10, Moment(60 * 60 * SECOND));
    let [charge] = charges[..] else { panic!("{charges:?}") };
    // Of 100 and 500 the shares have filled again within the last minute; of 2,000 in an hour half is used.
    assert_eq!(charge.nanos()[..2], [0, 0]);
    assert!(charge.nanos()[2] > 400 * 1_800_000_000, "{:?}", charge.nanos());
}

#[test]
fn however_many_callers_come_no_more_are_remembered_than_there_is_room_for() {
    let limiter = Limiter::new(LIMITS, true);
    for number in 0..100_000_u128 {
        // Spread as hashes are.
        let key = LimitKey(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        limiter.decide(key, Rated::READ, Moment(0));
    }
    assert!(limiter.remembered() <= 64, "{}", limiter.remembered());
    assert!(limiter.take(usize::MAX, Moment(0)).len() <= 64);
}

#[test]
fn whoever_has_used_most_is_forgotten_last() {
    let limiter = Limiter::new(Limits { callers: 4, instances: 1, ..LIMITS }, false);
    assert_eq!(admitted(&limiter, Rated::READ, 200, 0), 100);
    for number in 0..1_000 {
        limiter.decide(LimitKey(100 + number), Rated::READ, Moment(0));
    }
    assert_eq!(admitted(&limiter, Rated::READ, 200, 0), 0);
}
