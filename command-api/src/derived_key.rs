//! Keys that are derived from the deployment's secret, one for each purpose.

use hmac::Mac;

pub(crate) use settings::keyed;

/// The key of a purpose. Whoever has it learns neither the secret nor the key of another purpose.
pub(crate) fn derived(secret: &[u8], purpose: &str) -> [u8; 32] {
    keyed(secret).chain_update(purpose).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_and_each_secret_has_a_key_of_its_own() {
        let key = derived(b"a secret", "one purpose");
        assert_eq!(key, derived(b"a secret", "one purpose"));
        assert_ne!(key, derived(b"a secret", "another purpose"));
        assert_ne!(key, derived(b"another secret", "one purpose"));
    }
}
