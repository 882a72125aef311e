//! What an attempt to log in counts for: without I/O.

use std::net::IpAddr;

use domain::decision::ClaimKind;
use domain::user::{UserId, Username};
use event_store::claim::{ClaimKey, Digest};

use super::rule::{RULE_OF_ACCOUNT, RULE_OF_ADDRESS, RULE_OF_CODE, RULE_OF_NAME, Rule};

/// What keyed hashes of names and addresses are made for.
const OF_NAME: &str = "login-failures-of-name";
const OF_CODE: &str = "second-factor-failures-of-user";
const OF_PENDING: &str = "password-failures-of-registration";
const OF_ADDRESS: &str = "login-failures-of-address";
const OF_SITE: &str = "login-failures-of-site";
const OF_ACCOUNT: &str = "login-failures-of-account";

/// An attempt to log in, as the keyed hashes that it counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Of the name and where it was tried from, of the user whose second factor is asked for, or of a registration.
    pub of_name: Digest,
    /// By which rule it counts for that.
    pub rule: Rule,
    /// Of where it was tried from.
    pub of_address: Option<Digest>,
    /// Of what is around that, where one client may have many networks.
    pub of_site: Option<Digest>,
    /// Of the name, wherever it was tried from.
    pub of_account: Option<Digest>,
}

impl Attempt {
    /// One of somebody who is known already and is to show that they know the password.
    pub(crate) fn of_username(key: &ClaimKey, username: &str, client: IpAddr) -> Self {
        Self::by_name(key, ClaimKind::Username, &Username::normalise(username), client)
    }

    /// One with a code of somebody's second factor.
    pub(crate) fn of_code(key: &ClaimKey, user: UserId, client: IpAddr) -> Self {
        Self {
            of_name: key.digest(OF_CODE, &user.to_string()),
            rule: RULE_OF_CODE,
            ..Self::by_nobody(key, client)
        }
    }

    /// One with the password of a registration that waits. Never by the name that was asked for, which may be that of
    /// somebody else, who is not to be held back by it.
    pub(crate) fn of_pending(key: &ClaimKey, registration: UserId, client: IpAddr) -> Self {
        let of_name = key.digest(OF_PENDING, &registration.to_string());
        Self { of_name, ..Self::by_nobody(key, client) }
    }

    /// One of whoever says to be known by this, in the form in which it is claimed.
    pub(crate) fn by_name(
        key: &ClaimKey,
        kind: ClaimKind,
        normalised: &str,
        client: IpAddr,
    ) -> Self {
        let (network, kind) = (network(client), kind.as_str());
        let of_name = format!("{network} {kind} {normalised}");
        let of_account = format!("{kind} {normalised}");
        Self {
            of_name: key.digest(OF_NAME, &of_name),
            of_account: Some(key.digest(OF_ACCOUNT, &of_account)),
            ..Self::by_nobody(key, client)
        }
    }

    /// One by nobody yet, from there.
    fn by_nobody(key: &ClaimKey, client: IpAddr) -> Self {
        Self {
            of_name: [0; 32],
            rule: RULE_OF_NAME,
            of_address: Some(key.digest(OF_ADDRESS, &network(client))),
            of_site: site(client).map(|site| key.digest(OF_SITE, &site)),
            of_account: None,
        }
    }

    /// All that its failure counts for, each by its rule.
    pub fn counts(&self) -> impl Iterator<Item = (Digest, Rule)> + use<> {
        let Self { of_name, rule, of_address, of_site, of_account } = *self;
        [
            Some((of_name, rule)),
            of_address.map(|of_address| (of_address, RULE_OF_ADDRESS)),
            of_site.map(|of_site| (of_site, RULE_OF_ADDRESS)),
            of_account.map(|of_account| (of_account, RULE_OF_ACCOUNT)),
        ]
        .into_iter()
        .flatten()
    }

    /// What holds strangers back, beside [`Self::of_name`].
    pub fn of_strangers(&self) -> [Option<Digest>; 3] {
        [self.of_address, self.of_site, self.of_account]
    }

    /// The same as one that counts for nothing that holds strangers back.
    #[must_use]
    pub fn for_its_name_alone(self) -> Self {
        Self { of_address: None, of_site: None, of_account: None, ..self }
    }
}

/// What one client has of addresses: one, or of the newer ones a whole network of them.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:016x}", address.to_bits() >> 64),
    }
}

/// What a client may have of the newer networks: all that a site is given.
fn site(address: IpAddr) -> Option<String> {
    match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(format!("{:012x}", address.to_bits() >> 80)),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn attempt(name: &str, client: &str) -> Attempt {
        let key = ClaimKey::derive(b"a secret");
        Attempt::of_username(&key, name, client.parse().unwrap())
    }

    #[test]
    fn a_name_counts_for_itself_at_each_address_and_everywhere_and_whatever_its_case() {
        let one = attempt("ann", "198.51.100.7");
        assert_eq!(attempt("ANN", "198.51.100.7"), one);
        let elsewhere = attempt("ann", "198.51.100.8");
        assert_ne!((elsewhere.of_name, elsewhere.of_address), (one.of_name, one.of_address));
        assert_eq!(elsewhere.of_account, one.of_account);
        let other = attempt("bob", "198.51.100.7");
        assert!(other.of_name != one.of_name && other.of_account != one.of_account);
        assert_eq!(other.of_address, one.of_address);
    }

    #[test]
    fn a_code_counts_for_its_user_wherever_it_is_tried_and_for_the_address() {
        let key = ClaimKey::derive(b"a secret");
        let of = |user: u128, client: &str| {
            Attempt::of_code(&key, UserId(Uuid::from_u128(user)), client.parse().unwrap())
        };
        let (one, elsewhere) = (of(1, "198.51.100.7"), of(1, "198.51.100.8"));
        assert_eq!(one.of_name, elsewhere.of_name);
        assert_ne!(one.of_address, elsewhere.of_address);
        assert_ne!(of(2, "198.51.100.7").of_name, one.of_name);
        assert_eq!(one.of_address, attempt("ann", "198.51.100.7").of_address);
        let rules: Vec<Rule> = one.counts().map(|(_, rule)| rule).collect();
        assert_eq!(rules, [RULE_OF_CODE, RULE_OF_ADDRESS]);
    }

    #[test]
    fn the_password_of_a_registration_counts_for_that_wherever_it_is_tried_and_for_the_address() {
        let key = ClaimKey::derive(b"a secret");
        let (id, client) = (UserId(Uuid::from_u128(1)), "198.51.100.7".parse().unwrap());
        let of = |id: u128, client: &str| {
            Attempt::of_pending(&key, UserId(Uuid::from_u128(id)), client.parse().unwrap())
        };
        let (one, elsewhere) = (of(1, "198.51.100.7"), of(1, "198.51.100.8"));
        assert_eq!(one.of_name, elsewhere.of_name);
        assert_ne!(one.of_address, elsewhere.of_address);
        assert_ne!(of(2, "198.51.100.7").of_name, one.of_name);
        assert_ne!(Attempt::of_code(&key, id, client).of_name, one.of_name);
        assert_eq!(one.of_address, attempt("ann", "198.51.100.7").of_address);
        let rules: Vec<Rule> = one.counts().map(|(_, rule)| rule).collect();
        assert_eq!(rules, [RULE_OF_NAME, RULE_OF_ADDRESS]);
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let one = attempt("ann", "2001:db8:1:2::7");
        assert_eq!(attempt("ann", "2001:db8:1:2:ffff::1"), one);
        let other = attempt("ann", "2001:db8:1:3::7");
        assert!(other.of_name != one.of_name && other.of_address != one.of_address);
        assert_eq!(attempt("ann", "::ffff:198.51.100.7"), attempt("ann", "198.51.100.7"));
    }

    #[test]
    fn networks_of_one_site_count_together() {
        let of_site = |client| attempt("ann", client).of_site;
        assert_eq!(of_site("2001:db8:1:2::7"), of_site("2001:db8:1:ffff::7"));
        assert_ne!(of_site("2001:db8:1:2::7"), of_site("2001:db8:2:2::7"));
        assert_eq!(of_site("198.51.100.7"), None);
        assert_eq!(of_site("::ffff:198.51.100.7"), None);
    }

    #[test]
    fn everything_that_an_attempt_is_counts_once() {
        let one = attempt("ann", "2001:db8:1:2::7");
        let mut digests: Vec<Digest> = one.counts().map(|(digest, _)| digest).collect();
        assert_eq!(digests.len(), 4);
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 4);
        assert_eq!(attempt("ann", "198.51.100.7").counts().count(), 3);
        let alone: Vec<_> = one.for_its_name_alone().counts().collect();
        assert_eq!(alone, [(one.of_name, RULE_OF_NAME)]);
    }
}
