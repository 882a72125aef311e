//! Codes that follow from a secret and the time: TOTP (RFC 6238) with SHA-1, six digits and steps of thirty
//! seconds, which is what every authenticator app takes. Pure.

use domain::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Seconds of a step.
pub(super) const PERIOD: u64 = 30;

/// Digits of a code.
pub(super) const DIGITS: usize = 6;

/// Bytes of a secret: as many as a hash of SHA-1 has (RFC 4226, 4).
pub(super) const SECRET_BYTES: usize = 20;

/// Bytes that SHA-1 takes at a time: the length of a key as HMAC has it.
const BLOCK_BYTES: usize = 64;

/// As many codes there are of so many digits.
const CODES: u32 = 1_000_000;

/// Steps by which two clocks may differ, to either side.
const SKEW: u64 = 1;

/// The step of a time, counted from 1970.
pub(super) fn step_at(time: Timestamp) -> u64 {
    u64::try_from(time.micros()).unwrap_or_default() / 1_000_000 / PERIOD
}

/// The step around now whose code this is, of those after the last one that was taken. It takes the same time
/// whatever the code is: all steps are computed, and codes are compared as numbers.
pub(super) fn step_of(secret: &[u8; SECRET_BYTES], code: u32, now: u64, last: u64) -> Option<u64> {
    let steps = now.saturating_sub(SKEW)..=now.saturating_add(SKEW);
    steps.fold(None, |found, step| {
        let is_its_code = code_of(secret, step) == code;
        if is_its_code && step > last { Some(step) } else { found }
    })
}

/// The code of a step (RFC 4226, 5.3).
fn code_of(secret: &[u8; SECRET_BYTES], step: u64) -> u32 {
    let mac: [u8; 20] =
        keyed(secret).chain_update(step.to_be_bytes()).finalize().into_bytes().into();
    // At most 15: the four bytes from there are among the twenty.
    let offset = usize::from(mac[19] & 0x0f);
    let bytes = [mac[offset] & 0x7f, mac[offset + 1], mac[offset + 2], mac[offset + 3]];
    u32::from_be_bytes(bytes) % CODES
}

/// HMAC pads a key that is shorter than a block with zeros (RFC 2104).
fn keyed(secret: &[u8; SECRET_BYTES]) -> Hmac<Sha1> {
    let mut block = [0; BLOCK_BYTES];
    block[..SECRET_BYTES].copy_from_slice(secret);
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of both RFCs.
    const SECRET: &[u8; SECRET_BYTES] = b"12345678901234567890";

    fn at(seconds: i64) -> u64 {
        step_at(Timestamp(seconds * 1_000_000))
    }

    /// RFC 4226, appendix D.
    #[test]
    fn codes_of_a_counter_are_those_of_the_rfc() {
        let codes = [
            755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871,
            520_489,
        ];
        for (counter, code) in (0..).zip(codes) {
            assert_eq!(code_of(SECRET, counter), code, "{counter}");
        }
    }

    /// RFC 6238, appendix B: the last six of its eight digits.
    #[test]
    fn codes_of_a_time_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            assert_eq!(code_of(SECRET, at(seconds)), code, "{seconds}");
            assert_eq!(step_of(SECRET, code, at(seconds), 0), Some(at(seconds)), "{seconds}");
        }
    }

    #[test]
    fn a_step_lasts_for_thirty_seconds() {
        assert_eq!([0, 29, 30, 59, 60].map(at), [0, 0, 1, 1, 2]);
        assert_eq!(step_at(Timestamp(-1)), 0);
    }

    #[test]
    fn a_code_is_good_one_step_before_its_own_and_one_after() {
        let code = code_of(SECRET, 100);
        let taken = |now| step_of(SECRET, code, now, 0);
        assert_eq!(
            [98, 99, 100, 101, 102].map(taken),
            [None, Some(100), Some(100), Some(100), None]
        );
    }

    #[test]
    fn no_step_is_taken_that_was_taken_nor_one_before_it() {
        let taken = |step, last| step_of(SECRET, code_of(SECRET, step), 100, last);
        assert_eq!(taken(100, 99), Some(100));
        assert_eq!(taken(100, 100), None);
        assert_eq!(taken(99, 100), None);
        assert_eq!(taken(101, 100), Some(101));
    }

    #[test]
    fn another_code_is_none_and_so_is_that_of_another_secret() {
        let other = code_of(SECRET, 100) ^ 1;
        assert_eq!(step_of(SECRET, other, 100, 0), None);
        assert_eq!(step_of(b"another secret of 20", code_of(SECRET, 100), 100, 0), None);
    }
}
