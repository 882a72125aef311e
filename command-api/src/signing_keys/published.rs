//! The keys of the table at one moment, and what each is good for then.

use std::time::Duration;

use domain::Timestamp;

use super::key::{Key, PrivateKey};

/// Every key that is published.
#[derive(Debug)]
pub struct Keys {
    /// By the times from which they sign.
    keys: Vec<Key>,
    read_at: Timestamp,
}

impl Keys {
    /// Keys that the database held at this time of its clock.
    pub fn new(mut keys: Vec<Key>, read_at: Timestamp) -> Self {
        keys.sort_by(|a, b| (a.signs_from, &a.kid).cmp(&(b.signs_from, &b.kid)));
        Self { keys, read_at }
    }

    /// The keys, by the times from which they sign.
    pub fn all(&self) -> &[Key] {
        &self.keys
    }

    /// When the database was read, by its own clock.
    pub fn read_at(&self) -> Timestamp {
        self.read_at
    }

    /// The key that signs, with its name: of those that can, the one that began last. A clock that is behind
    /// the database's is taken to be no earlier than the database was when it was read.
    pub fn signer_at(&self, now: Timestamp) -> Option<(&str, &PrivateKey)> {
        let now = now.max(self.read_at);
        let mut begun = self.keys.iter().rev().filter(|key| key.signs_from <= now);
        begun.find_map(|key| Some((key.kid.as_str(), key.private.as_ref()?)))
    }

    /// Until when a key is published: as long as access tokens may live that it has signed, which is `hold`
    /// after another one takes over. `None` where no other one is to, and where there is no such key. A key
    /// that cannot be opened takes over from nobody.
    pub fn published_until(&self, kid: &str, hold: Duration) -> Option<Timestamp> {
        let mut later = self.keys.iter().skip_while(|key| key.kid != kid).skip(1);
        later.find(|key| key.private.is_some()).map(|key| key.signs_from.after(hold))
    }

    /// The names of keys that need not be published any more.
    pub fn lapsed_at(&self, now: Timestamp, hold: Duration) -> Vec<String> {
        let is_over =
            |key: &&Key| self.published_until(&key.kid, hold).is_some_and(|until| until <= now);
        self.keys.iter().filter(is_over).map(|key| key.kid.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(100);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    fn key(kid: &str, signs_from: i64) -> Key {
        Key { kid: kid.to_owned(), ..Key::generate(at(signs_from)) }
    }

    /// One that was sealed under another secret.
    fn unopened(kid: &str, signs_from: i64) -> Key {
        Key { private: None, ..key(kid, signs_from) }
    }

    /// As they were read at the beginning of time.
    fn keys(keys: impl IntoIterator<Item = Key>) -> Keys {
        Keys::new(keys.into_iter().collect(), at(0))
    }

    fn signer(keys: &Keys, now: i64) -> Option<&str> {
        keys.signer_at(at(now)).map(|(kid, _)| kid)
    }

    #[test]
    fn the_key_that_began_last_signs() {
        let keys = keys([key("new", 600), key("old", 10)]);
        for (now, expected) in
            [(9, None), (10, Some("old")), (599, Some("old")), (600, Some("new"))]
        {
            assert_eq!(signer(&keys, now), expected, "at {now}");
        }
    }

    #[test]
    fn of_two_keys_of_one_time_every_process_takes_the_same() {
        for order in [["a", "b"], ["b", "a"]] {
            assert_eq!(signer(&keys(order.map(|kid| key(kid, 10))), 10), Some("b"));
        }
    }

    #[test]
    fn a_clock_that_is_behind_the_database_s_keeps_no_key_from_signing() {
        let keys = Keys::new(vec![key("one", 10)], at(10));
        assert_eq!(signer(&keys, 7), Some("one"));
    }

    #[test]
    fn a_key_that_cannot_be_opened_signs_nothing_and_takes_over_from_nobody() {
        let keys = keys([key("ours", 10), unopened("another's", 20)]);
        assert_eq!(signer(&keys, 30), Some("ours"));
        assert_eq!(keys.published_until("ours", HOLD), None);
        assert!(keys.lapsed_at(at(9_999), HOLD).is_empty());
    }

    #[test]
    fn a_key_stays_published_while_tokens_that_it_signed_may_live() {
        let keys = keys([key("old", 10), key("new", 600)]);
        assert_eq!(keys.published_until("old", HOLD), Some(at(700)));
        assert_eq!(keys.published_until("new", HOLD), None);
        assert_eq!(keys.published_until("none", HOLD), None);
        assert!(keys.lapsed_at(at(699), HOLD).is_empty());
        assert_eq!(keys.lapsed_at(at(700), HOLD), ["old"]);
    }

    #[test]
    fn what_another_secret_sealed_lapses_as_well() {
        let keys = keys([unopened("another's", 10), key("ours", 20)]);
        assert_eq!(keys.lapsed_at(at(120), HOLD), ["another's"]);
    }

    #[test]
    fn a_key_that_signs_or_is_to_sign_never_lapses() {
        for count in 1..6 {
            let keys = keys((0..count).map(|number| key(&number.to_string(), number * 50)));
            for now in 0..600 {
                let lapsed = keys.lapsed_at(at(now), HOLD);
                let left = keys.all().iter().filter(|key| !lapsed.contains(&key.kid));
                let left: Vec<&str> = left.map(|key| key.kid.as_str()).collect();
                assert!(signer(&keys, now).is_some_and(|kid| left.contains(&kid)), "at {now}");
                let mut next = keys.all().iter().filter(|key| key.signs_from > at(now));
                assert!(next.all(|key| left.contains(&key.kid.as_str())), "at {now}");
            }
        }
    }
}
