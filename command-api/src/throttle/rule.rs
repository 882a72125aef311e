//! What failures to log in cost: without I/O.

use std::time::Duration;

/// The longest power of two that is taken: beyond it every wait is the longest.
pub(super) const MOST_DOUBLINGS: u32 = 20;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What failures cost: the first of them nothing, then a second, and twice as much with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The failure after which somebody waits for a second: never the first.
    pub first_wait_at: u32,
    /// The longest wait.
    pub longest_wait: Duration,
    /// In this time without a failure [`Self::forgotten`] are forgotten.
    pub forgets_every: Duration,
    /// How many; `None` where all are.
    pub forgotten: Option<u32>,
    /// How many are forgotten when somebody is let in; `None` where all are.
    pub forgotten_when_let_in: Option<u32>,
    /// How long after the last one they are kept: longer than anybody waits for them.
    pub kept_for: Duration,
}

/// Of one name from one address: after an hour without a failure all is forgotten.
pub const RULE_OF_NAME: Rule = Rule {
    first_wait_at: 3,
    longest_wait: Duration::from_secs(15 * 60),
    forgets_every: HOUR,
    forgotten: None,
    forgotten_when_let_in: None,
    kept_for: Duration::from_secs(2 * 3_600),
};

/// Of codes of one user, wherever they are tried: whoever fails knows the password, and any other code may be the
/// right one. So an hour forgets one alone, and that the owner comes in forgets no more than that: else whoever
/// guesses beside them would begin anew each time.
pub const RULE_OF_CODE: Rule = Rule {
    first_wait_at: 3,
    longest_wait: Duration::from_secs(15 * 60),
    forgets_every: HOUR,
    forgotten: Some(1),
    forgotten_when_let_in: Some(1),
    kept_for: Duration::from_secs(7 * 24 * 3_600),
};

/// Of one address, and of one site: each minute forgets one, so that those who mistype their passwords are in
/// nobody's way.
pub const RULE_OF_ADDRESS: Rule = Rule {
    first_wait_at: 50,
    longest_wait: MINUTE,
    forgets_every: MINUTE,
    forgotten: Some(1),
    forgotten_when_let_in: Some(0),
    kept_for: DAY,
};

/// Of one name, wherever: only many who guess together fail so often, and nobody waits for long.
pub const RULE_OF_ACCOUNT: Rule = Rule {
    first_wait_at: 100,
    longest_wait: Duration::from_secs(30),
    forgets_every: MINUTE,
    forgotten: Some(1),
    forgotten_when_let_in: Some(0),
    kept_for: DAY,
};

impl Rule {
    /// How many failures count after one more, which came so long after the last one.
    pub fn after_one_more(&self, failures: u32, since_last: Duration) -> u32 {
        let times = since_last.as_secs() / self.forgets_every.as_secs().max(1);
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        let left = match self.forgotten {
            _ if since_last >= self.kept_for => 0,
            Some(each_time) => failures.saturating_sub(each_time.saturating_mul(times)),
            None if times > 0 => 0,
            None => failures,
        };
        left.saturating_add(1)
    }

    /// How many are left once somebody was let in.
    pub fn after_let_in(&self, failures: u32) -> u32 {
        self.forgotten_when_let_in.map_or(0, |forgotten| failures.saturating_sub(forgotten))
    }

    /// How long to wait after so many.
    pub fn wait_after(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.first_wait_at) {
            None => Duration::ZERO,
            Some(doublings) => {
                let seconds = 1_u64 << doublings.min(MOST_DOUBLINGS);
                Duration::from_secs(seconds).min(self.longest_wait)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Rule; 4] = [RULE_OF_NAME, RULE_OF_CODE, RULE_OF_ADDRESS, RULE_OF_ACCOUNT];

    #[test]
    fn waits_begin_after_three_failures_and_double_up_to_a_quarter_of_an_hour() {
        let waits = |failures: &[u32]| -> Vec<u64> {
            failures.iter().map(|count| RULE_OF_NAME.wait_after(*count).as_secs()).collect()
        };
        assert_eq!(waits(&[0, 1, 2, 3, 4, 5, 12]), [0, 0, 0, 1, 2, 4, 512]);
        assert_eq!(waits(&[13, 14, 40, u32::MAX]), [900; 4]);
    }

    #[test]
    fn an_address_has_more_room_and_shorter_waits() {
        let wait = |failures| RULE_OF_ADDRESS.wait_after(failures).as_secs();
        assert_eq!([49, 50, 51, 56, 1_000].map(wait), [0, 1, 2, 60, 60]);
    }

    #[test]
    fn a_name_has_the_most_room_and_the_shortest_waits_where_all_count() {
        let wait = |failures| RULE_OF_ACCOUNT.wait_after(failures).as_secs();
        assert_eq!([99, 100, 101, 105, 1_000].map(wait), [0, 1, 2, 30, 30]);
    }

    #[test]
    fn failures_of_a_name_are_forgotten_after_an_hour_without_one() {
        let after = |seconds| RULE_OF_NAME.after_one_more(7, Duration::from_secs(seconds));
        assert_eq!([0, 3_599, 3_600, 100_000].map(after), [8, 8, 1, 1]);
        assert_eq!(RULE_OF_NAME.after_one_more(u32::MAX, Duration::ZERO), u32::MAX);
    }

    #[test]
    fn wrong_codes_wait_as_passwords_do_and_are_forgotten_one_an_hour() {
        for failures in [0, 2, 3, 4, 13, 1_000] {
            assert_eq!(RULE_OF_CODE.wait_after(failures), RULE_OF_NAME.wait_after(failures));
        }
        let after = |seconds| RULE_OF_CODE.after_one_more(7, Duration::from_secs(seconds));
        assert_eq!([0, 3_599, 3_600, 4 * 3_600, 100_000].map(after), [8, 8, 7, 4, 1]);
        let a_week = RULE_OF_CODE.kept_for;
        let after = |time| RULE_OF_CODE.after_one_more(1_000, time);
        assert_eq!((after(a_week - HOUR), after(a_week)), (1_000 - 167 + 1, 1));
    }

    #[test]
    fn who_is_let_in_by_a_password_begins_anew_and_by_a_code_has_failed_once_less() {
        let left = |rule: Rule| [0, 1, 2, 40].map(|failures| rule.after_let_in(failures));
        assert_eq!(left(RULE_OF_NAME), [0; 4]);
        assert_eq!(left(RULE_OF_CODE), [0, 0, 1, 39]);
        assert_eq!(left(RULE_OF_ADDRESS), [0, 1, 2, 40]);
    }

    #[test]
    fn those_of_an_address_are_forgotten_one_by_one() {
        let after = |seconds| RULE_OF_ADDRESS.after_one_more(10, Duration::from_secs(seconds));
        assert_eq!([0, 59, 60, 300, 36_000].map(after), [11, 11, 10, 6, 1]);
    }

    #[test]
    fn somebody_who_mistypes_once_a_minute_never_holds_an_office_back() {
        let failures = (0..10_000).fold(0, |n, _| RULE_OF_ADDRESS.after_one_more(n, MINUTE));
        assert_eq!(RULE_OF_ADDRESS.wait_after(failures), Duration::ZERO);
    }

    #[test]
    fn the_first_failure_costs_nothing_and_all_are_kept_while_anybody_waits_for_them() {
        for rule in ALL {
            assert!(rule.first_wait_at > 1, "{rule:?}");
            assert!(rule.longest_wait.max(rule.forgets_every) < rule.kept_for, "{rule:?}");
        }
    }
}
