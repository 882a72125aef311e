//! Bytes as people copy them: base32 (RFC 4648, 6), of whole groups of five bytes, which need no padding.

/// Bytes of a group, and the letters that it makes.
const GROUP: usize = 5;
const LETTERS: usize = 8;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The bytes in capital letters and digits.
pub(super) fn encoded<const N: usize>(bytes: &[u8; N]) -> String {
    const { assert!(N.is_multiple_of(GROUP), "a part of a group needs padding") };
    bytes.chunks_exact(GROUP).flat_map(letters).collect()
}

fn letters(group: &[u8]) -> [char; LETTERS] {
    let bits = group.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    // The first letter holds the highest five of forty bits.
    [35, 30, 25, 20, 15, 10, 5, 0]
        .map(|shift| char::from(ALPHABET[((bits >> shift) & 31) as usize]))
}

/// The bytes of so many letters, capital or small; `None` of any other text.
pub(super) fn decoded<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    const { assert!(N.is_multiple_of(GROUP), "a part of a group needs padding") };
    if text.len() != N / GROUP * LETTERS {
        return None;
    }
    let mut bytes = [0; N];
    for (group, letters) in bytes.chunks_exact_mut(GROUP).zip(text.chunks_exact(LETTERS)) {
        let mut values = letters.iter().map(|letter| value(*letter));
        let bits = values.try_fold(0_u64, |bits, value| Some((bits << 5) | value?))?;
        group.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(bytes)
}

fn value(letter: u8) -> Option<u64> {
    match letter.to_ascii_uppercase() {
        letter @ b'A'..=b'Z' => Some(u64::from(letter - b'A')),
        digit @ b'2'..=b'7' => Some(u64::from(digit - b'2') + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_written_as_the_rfc_writes_them() {
        assert_eq!(encoded(b"fooba"), "MZXW6YTB");
        let secret = b"12345678901234567890";
        assert_eq!(encoded(secret), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(encoded(&[0xff; 5]), "77777777");
        assert_eq!(decoded::<5>(b"mzxw6ytb").as_ref(), Some(b"fooba"));
    }

    #[test]
    fn what_is_no_text_of_so_many_bytes_is_not_read() {
        for text in ["", "MZXW6YT", "MZXW6YTBA", "MZXW6YT1", "MZXW6YT=", "MZXW6YT ", "MZXW6Yé"] {
            assert_eq!(decoded::<5>(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes: [u8; 20]) {
            prop_assert_eq!(decoded(encoded(&bytes).as_bytes()), Some(bytes));
        }
    }
}
