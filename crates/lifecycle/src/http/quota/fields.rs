//! What answers say of quotas: `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-11
//! writes them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use rate_limit::{Quota, Told, Unit};

/// Where the caller stands.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Which quotas hold.
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The longest standing: a name of ours and two numbers.
const LONGEST: usize = 80;

/// `"short";q=100;w=60, "work";q=500;w=10;qu="work"`; what is not said to be counted otherwise are requests.
pub(super) fn policy(quotas: impl Iterator<Item = Quota>) -> Option<HeaderValue> {
    let mut text = String::new();
    for Quota { name, units, window, unit } in quotas {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}\"{name}\";q={units};w={}", window.as_secs());
        if unit == Unit::Work {
            text.push_str(";qu=\"work\"");
        }
    }
    HeaderValue::from_str(&text).ok()
}

/// `"short";r=50;t=30`: of this quota so much is left, and in so many seconds it is whole again, or there is
/// enough for what was refused.
pub(super) fn standing(told: &Told) -> Option<HeaderValue> {
    let mut text = [0; LONGEST];
    let mut room = &mut text[..];
    let (name, left, after) = (told.quota.name, told.left, seconds(told.after));
    write!(room, "\"{name}\";r={left};t={after}").ok()?;
    let written = LONGEST - room.len();
    HeaderValue::from_bytes(text.get(..written)?).ok()
}

/// Whole seconds, rounded up, and at least one.
pub(super) fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use rate_limit::{APP, Class};

    use super::*;

    #[test]
    fn quotas_are_told_by_name_with_what_they_count() {
        let told = |class| policy(APP.quotas(class).iter().copied()).unwrap();
        assert_eq!(
            told(Class::General),
            r#""short";q=100;w=60, "medium";q=500;w=600, "long";q=2000;w=3600, "work";q=500;w=10;qu="work""#
        );
        assert_eq!(told(Class::Facts), r#""facts";q=60000;w=60"#);
    }

    #[test]
    fn a_standing_is_told_in_whole_seconds_that_are_never_too_few() {
        let quota = APP.quotas(Class::General)[0];
        let told = |left, millis| {
            standing(&Told { quota, left, after: Duration::from_millis(millis) }).unwrap()
        };
        assert_eq!(told(50, 30_000), r#""short";r=50;t=30"#);
        assert_eq!(told(0, 601), r#""short";r=0;t=1"#);
        assert_eq!(told(0, 0), r#""short";r=0;t=1"#);
        assert_eq!(
            told(u64::MAX, u64::MAX),
            r#""short";r=18446744073709551615;t=18446744073709552"#
        );
    }
}
