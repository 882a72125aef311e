use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const EVENT: Uuid = Uuid::from_u128(0x0190_a0b0_c0d0_7000_8000_0000_0000_0001);
const ANOTHER: Uuid = Uuid::from_u128(0x0190_a0b0_c0d0_7000_8000_0000_0000_0002);

/// Key of 32 bytes 7, nonce of 0 to 11.
const OTHERS: [u8; 44] = [
    0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x79, 0xef, 0x87,
    0x30, 0x78, 0x71, 0xb8, 0x24, 0x07, 0xde, 0x80, 0xb2, 0x8d, 0x2a, 0x0b, 0x0a, 0x70, 0x88, 0x41,
    0x92, 0xeb, 0x4c, 0xdc, 0x2c, 0xf5, 0x09, 0x22, 0x07, 0x6d, 0xc4, 0x09,
];

fn a_key() -> SubjectKey {
    SubjectKey::from_bytes([7; 32])
}

#[test]
fn a_sealed_text_does_not_open_in_another_event_or_field() {
    let sealed = a_key().seal(EVENT, "email", "ann@example.org");
    let in_event = Sealed { event_id: ANOTHER, ..sealed.clone() };
    let in_field = Sealed { field: "username", ..sealed.clone() };
    assert_eq!(a_key().open(&sealed).as_deref(), Some("ann@example.org"));
    assert_eq!(a_key().open(&in_event), None);
    assert_eq!(a_key().open(&in_field), None);
}

#[test]
fn another_key_opens_nothing() {
    let sealed = a_key().seal(EVENT, "email", "ann@example.org");
    assert_eq!(SubjectKey::from_bytes([8; 32]).open(&sealed), None);
    assert_eq!(SubjectKey::generate().open(&sealed), None);
}

#[test]
fn no_changed_bit_goes_unnoticed() {
    let sealed = a_key().seal(EVENT, "email", "ann@example.org");
    for bit in 0..sealed.bytes.len() * 8 {
        let mut changed = sealed.clone();
        changed.bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(a_key().open(&changed), None, "bit {bit}");
    }
}

#[test]
fn bytes_that_are_too_few_or_too_many_do_not_open() {
    let sealed = a_key().seal(EVENT, "email", "ann@example.org");
    for length in 0..sealed.bytes.len() {
        let shortened = Sealed { bytes: sealed.bytes[..length].to_vec(), ..sealed.clone() };
        assert_eq!(a_key().open(&shortened), None, "{length} bytes");
    }
    let lengthened = Sealed { bytes: [&sealed.bytes[..], &[0]].concat(), ..sealed.clone() };
    assert_eq!(a_key().open(&lengthened), None);
}

#[test]
fn a_key_is_never_printed() {
    assert_eq!(format!("{:?}", a_key()), "SubjectKey(..)");
}

#[test]
fn every_key_and_every_sealing_is_another() {
    let keys: BTreeSet<_> = (0..64).map(|_| *SubjectKey::generate().as_bytes()).collect();
    let sealed: BTreeSet<_> = (0..64).map(|_| a_key().seal(EVENT, "bio", "Hi").bytes).collect();
    assert_eq!((keys.len(), sealed.len()), (64, 64));
}

/// What the log holds must open for ever: bytes that Python's `cryptography` wrote.
#[test]
fn what_another_library_sealed_opens() {
    let sealed = Sealed { event_id: EVENT, field: "email", bytes: OTHERS.to_vec() };
    assert_eq!(a_key().open(&sealed).as_deref(), Some("ann@example.org"));
    let nonce = *OTHERS[1..].first_chunk().unwrap();
    assert_eq!(a_key().seal_with(nonce, EVENT, "email", "ann@example.org"), OTHERS);
}

proptest! {
    #[test]
    fn every_text_opens_as_it_was_sealed(text in any::<String>(), key: [u8; 32], event: u128) {
        let key = SubjectKey::from_bytes(key);
        let sealed = key.seal(Uuid::from_u128(event), "bio", &text);
        prop_assert_eq!(sealed.bytes.len(), 1 + 12 + text.len() + 16);
        prop_assert_eq!(key.open(&sealed), Some(text));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert_eq!(a_key().open(&Sealed { event_id: EVENT, field: "bio", bytes }), None);
    }
}
