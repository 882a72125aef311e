//! Who is counted, by names that tell nothing of them.

use std::fmt;
use std::net::IpAddr;

use hmac::{Hmac, Mac as _};
use rate_limit::LimitKey;
use settings::{Settings, TokenSecret, keyed};
use sha2::Sha256;

/// Bytes of a hash that a caller is named by: no two are named the same.
const BYTES: usize = 16;

/// Names callers by keyed hashes: the same in every process of a deployment, so that they can be counted
/// together, and of no use to whoever reads them without the deployment's secret.
///
/// Both blocks of the key are hashed beforehand: a request costs those of what is named, and one more.
#[derive(Clone)]
pub struct CallerKeys(Hmac<Sha256>);

impl CallerKeys {
    /// Derives the key from the deployment's secret.
    pub(crate) fn from_settings(settings: &mut Settings) -> Self {
        let secret = TokenSecret::from_settings(settings);
        let derived = keyed(secret.as_bytes()).chain_update(b"callers of a quota").finalize();
        Self(keyed(&derived.into_bytes()))
    }

    /// A user, within an issuer of access tokens.
    pub fn user(&self, issuer: &str, subject: &str) -> LimitKey {
        self.key(b"u", issuer.as_bytes(), subject.as_bytes())
    }

    /// A device that an access token is bound to.
    pub fn device(&self, issuer: &str, device_id: &str) -> LimitKey {
        self.key(b"d", issuer.as_bytes(), device_id.as_bytes())
    }

    /// An address; of the newer ones the network of 64 bits, which one client has as a whole.
    pub(crate) fn address(&self, address: IpAddr) -> LimitKey {
        match address.to_canonical() {
            IpAddr::V4(address) => self.key(b"4", b"", &address.octets()),
            IpAddr::V6(address) => {
                let network = (address.to_bits() >> 64) << 64;
                self.key(b"6", b"", &network.to_be_bytes())
            }
        }
    }

    fn key(&self, kind: &[u8; 1], issuer: &[u8], id: &[u8]) -> LimitKey {
        let length = (issuer.len() as u64).to_be_bytes();
        let mac = self.0.clone().chain_update(kind).chain_update(length).chain_update(issuer);
        let mac = mac.chain_update(id).finalize().into_bytes();
        let key = mac.iter().take(BYTES).fold(0, |key: u128, byte| (key << 8) | u128::from(*byte));
        LimitKey(key)
    }
}

impl fmt::Debug for CallerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerKeys([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> CallerKeys {
        let pairs = [("MILLRACE_PROFILE", "dev"), ("MILLRACE_TOKEN_SECRET", secret)];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        CallerKeys::from_settings(&mut Settings::new(pairs))
    }

    fn address(text: &str) -> LimitKey {
        keys("a").address(text.parse().unwrap())
    }

    #[test]
    fn a_caller_has_one_name_in_every_process_and_another_in_every_deployment() {
        assert_eq!(keys("a").user("i", "ann"), keys("a").user("i", "ann"));
        assert_ne!(keys("a").user("i", "ann"), keys("b").user("i", "ann"));
    }

    #[test]
    fn nobody_is_counted_as_somebody_else() {
        let keys = keys("a");
        let names = [
            keys.user("i", "ann"),
            keys.user("i", "bob"),
            keys.user("j", "ann"),
            keys.user("ia", "nn"),
            keys.device("i", "ann"),
            address("198.51.100.7"),
            address("198.51.100.8"),
            address("2001:db8::7"),
            address("2001:db8:0:1::7"),
        ];
        for (place, name) in names.iter().enumerate() {
            assert!(!names[..place].contains(name), "{place}");
        }
    }

    #[test]
    fn one_client_is_one_address_however_it_is_written_and_one_network_of_the_newer_ones() {
        assert_eq!(address("::ffff:198.51.100.7"), address("198.51.100.7"));
        assert_eq!(address("2001:db8::7"), address("2001:db8::ffff:ffff:ffff:ffff"));
    }

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", keys("a")), "CallerKeys([redacted])");
    }
}
