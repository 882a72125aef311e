//! The protocol as it is meant: every setting is explored to its end.

use super::rules::Setting;
use super::run::holds;

const SMALL: Setting = Setting::SMALL;

#[test]
fn nothing_stale_with_one_lane_and_two_readers() {
    holds("one lane, two readers, cuts", Setting { readers: 2, cuts: true, calls: 3, ..SMALL });
}

#[test]
fn nothing_stale_when_owners_change() {
    let setting = Setting { lanes: 2, cuts: true, ..SMALL };
    holds("two lanes, cuts", setting);
}

#[test]
fn nothing_stale_when_letters_are_replayed() {
    holds("lane, replay, cuts", Setting { replay: true, cuts: true, calls: 3, ..SMALL });
}

#[test]
fn nothing_stale_when_redis_is_emptied() {
    holds("lane, replay, flush", Setting { replay: true, flush: true, ..SMALL });
}

#[test]
fn nothing_stale_when_an_older_copy_serves() {
    holds("lane, failover", Setting { failover: true, ..SMALL });
}

#[test]
fn nothing_stale_when_another_generation_is_promoted() {
    holds("lane, replay, promotion", Setting { replay: true, promotion: true, ..SMALL });
}

#[test]
fn nothing_stale_with_two_keys() {
    holds("two keys, chunks", Setting { keys: 2, chunks: true, ..SMALL });
}

#[test]
fn nothing_stale_with_two_keys_of_which_one_is_replayed() {
    holds("two keys, replay, chunks", Setting { keys: 2, replay: true, chunks: true, ..SMALL });
}

#[test]
fn nothing_stale_when_owners_change_and_redis_is_emptied() {
    holds("two lanes, flush", Setting { lanes: 2, flush: true, ..SMALL });
}

#[test]
fn nothing_stale_when_owners_change_and_an_older_copy_serves() {
    holds("two lanes, failover, 1 call", Setting { lanes: 2, failover: true, calls: 1, ..SMALL });
}

#[test]
fn nothing_stale_when_another_generation_is_promoted_among_two_owners() {
    holds("two lanes, promotion", Setting { lanes: 2, promotion: true, ..SMALL });
}

#[test]
fn nothing_stale_when_each_takeover_raises_the_cache_generation() {
    holds("two lanes, raising", Setting { lanes: 2, takeover_raises: true, ..SMALL });
}
