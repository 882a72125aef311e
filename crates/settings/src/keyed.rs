//! HMAC under any key.

use hmac::{Hmac, KeyInit as _};
use sha2::{Digest as _, Sha256};

/// Bytes that SHA-256 takes at a time: the length of a key as HMAC has it.
const BLOCK_BYTES: usize = 64;

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// HMAC-SHA256 under a key of any length: a longer one than a block is hashed, a shorter one padded (RFC 2104).
/// It cannot fail, so that there is no other key in place of the given one.
pub fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..HASH_BYTES].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use hmac::Mac as _;

    use super::*;

    #[test]
    fn a_key_of_any_length_is_that_of_the_rfc() {
        let key: Vec<u8> = (0..200).collect();
        for length in 0..=key.len() {
            let mac = |mac: Hmac<Sha256>| mac.chain_update(b"a message").finalize().into_bytes();
            let theirs = Hmac::new_from_slice(&key[..length]).unwrap();
            assert_eq!(mac(keyed(&key[..length])), mac(theirs), "{length} bytes");
        }
    }
}
