use domain::Timestamp;
use domain::device::{Dedupe, DeviceEvent, DeviceEventReported, DeviceId};
use proptest::option::of;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::device;

const ID: u32 = 7;

fn known(schema_id: u32, record_name: &str, version: i32) -> KnownId {
    KnownId { schema_id, record_name: record_name.to_owned(), version }
}

fn decoder() -> Decoder<DeviceEvent> {
    crate::limit_allocations();
    let ours = device::WRITTEN;
    Decoder::new([
        known(ID, ours.record_name(), ours.version()),
        known(8, ours.record_name(), 1_000),
        known(9, "millrace.content.ArticlePublished", 1),
    ])
}

fn a_report() -> DeviceEventReported {
    DeviceEventReported {
        device_id: DeviceId::from_log("device-123".to_owned()),
        request_id: Uuid::from_u128(1),
        dedupe: Dedupe::None,
        body_hash: None,
        occurred_at: None,
        payload: "{}".to_owned(),
    }
}

fn value() -> Vec<u8> {
    device::encode(&a_report(), ID).unwrap()
}

prop_compose! {
    fn any_report()(
        device_id in ".{0,40}", request_id: u128, body_hash in of(any::<[u8; 32]>()),
        occurred_at in of(any::<i64>()), payload in ".{0,400}",
    ) -> DeviceEventReported {
        DeviceEventReported {
            device_id: DeviceId::from_log(device_id),
            request_id: Uuid::from_u128(request_id),
            dedupe: if body_hash.is_some() { Dedupe::Client } else { Dedupe::None },
            body_hash,
            occurred_at: occurred_at.map(Timestamp),
            payload,
        }
    }
}

#[test]
fn a_value_is_taken_only_with_the_prefix_of_the_wire_format() {
    let decoder = decoder();
    let mut other_magic = value();
    other_magic[0] = 1;
    assert_eq!(decoder.decode(&[]), Err(DecodeError::Empty));
    assert_eq!(decoder.decode(&other_magic), Err(DecodeError::Magic));
    assert_eq!(decoder.decode(&[0, 0, 0]), Err(DecodeError::Truncated));
}

#[test]
fn an_id_means_what_was_recorded_for_it() {
    let decoder = decoder();
    let with_id = |id: u32| {
        let mut value = value();
        value[1..5].copy_from_slice(&id.to_be_bytes());
        decoder.decode(&value)
    };
    assert_eq!(with_id(ID), Ok(DeviceEvent::Reported(a_report())));
    assert_eq!(
        with_id(8),
        Err(DecodeError::NewerVersion {
            id: 8,
            record_name: "millrace.device.DeviceEventReported"
        })
    );
    let record_name = "millrace.content.ArticlePublished".to_owned();
    assert_eq!(with_id(9), Err(DecodeError::WrongRecord { id: 9, record_name }));
    assert_eq!(with_id(10), Err(DecodeError::UnknownSchemaId(10)));
}

#[test]
fn what_an_event_cannot_hold_is_malformed() {
    let decoder = decoder();
    // device_id "d", request_id of the length given, dedupe, body_hash, no time, empty payload.
    let datum = |request_id: &str, dedupe: u8, body_hash: &[u8]| {
        let mut value = vec![0, 0, 0, 0, 7, 2, b'd'];
        value.push(u8::try_from(request_id.len() * 2).unwrap());
        value.extend_from_slice(request_id.as_bytes());
        value.push(dedupe);
        value.extend_from_slice(body_hash);
        value.extend_from_slice(&[0, 0]);
        decoder.decode(&value)
    };
    let id = "00000000-0000-0000-0000-000000000001";
    let malformed = |what| Err(DecodeError::Malformed { what });
    assert!(datum(id, 0, &[0]).is_ok());
    assert_eq!(datum("not a uuid", 0, &[0]), malformed("request_id"));
    assert_eq!(datum(id, 4, &[0]), malformed("datum"), "a symbol that the schema does not have");
    assert_eq!(datum(id, 2, &[0]), malformed("body_hash"), "named by the client without a hash");
    assert_eq!(datum(id, 0, &[2, 2, 0]), malformed("body_hash"), "a hash of one byte");
    let hash: Vec<u8> = [2, 64].into_iter().chain([9; 32]).collect();
    assert!(datum(id, 2, &hash).is_ok());
    assert_eq!(datum(id, 0, &hash), malformed("body_hash"), "a hash that nobody asked for");
}

#[test]
fn a_length_beyond_the_limit_is_refused_and_not_allocated() {
    assert_eq!(crate::limit_allocations(), crate::ALLOCATION_LIMIT);
    // A device_id said to be 2^40 bytes long.
    let value = [0, 0, 0, 0, 7, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
    assert_eq!(decoder().decode(&value), Err(DecodeError::Malformed { what: "datum" }));
}

#[test]
fn a_registered_text_counts_as_ours_whatever_its_spelling() {
    let meaning = |text: &str| {
        meaning_of::<DeviceEvent>(&RegisteredText { text: text.to_owned(), is_avro: true })
    };
    let ours = device::WRITTEN;
    let value: serde_json::Value = serde_json::from_str(ours.text()).unwrap();
    assert_eq!(meaning(ours.text()), Meaning::Ours(ours));
    assert_eq!(meaning(&value.to_string()), Meaning::Ours(ours));

    let mut newer = value;
    let field = serde_json::json!({"name": "added", "type": ["null", "string"], "default": null});
    newer["fields"].as_array_mut().unwrap().push(field);
    assert_eq!(meaning(&newer.to_string()), Meaning::NewerVersion(ours.record_name()));

    let other = r#"{"type":"record","name":"a.B","fields":[]}"#;
    assert_eq!(meaning(other), Meaning::WrongRecord("a.B".to_owned()));
    assert_eq!(meaning("\"string\""), Meaning::WrongRecord("no Avro record".to_owned()));
}

#[test]
fn every_error_has_its_own_kind() {
    let record_name = "a".to_owned();
    let errors = [
        DecodeError::Empty,
        DecodeError::Magic,
        DecodeError::Truncated,
        DecodeError::UnknownSchemaId(1),
        DecodeError::WrongRecord { id: 1, record_name },
        DecodeError::NewerVersion { id: 1, record_name: "a" },
        DecodeError::TrailingBytes(1),
        DecodeError::Malformed { what: "datum" },
    ];
    let kinds: std::collections::BTreeSet<_> = errors.iter().map(DecodeError::kind).collect();
    assert_eq!(kinds.len(), errors.len());
}

proptest! {
    #[test]
    fn an_event_reads_back_as_written(event in any_report()) {
        let value = device::encode(&event, ID).unwrap();
        prop_assert_eq!(decoder().decode(&value), Ok(DeviceEvent::Reported(event)));
    }

    #[test]
    fn an_event_is_written_into_one_allocation(event in any_report()) {
        let value = device::encode(&event, ID).unwrap();
        prop_assert_eq!(value.capacity(), Vec::<u8>::with_capacity(device::room(&event)).capacity());
    }

    #[test]
    fn every_byte_must_be_used(event in any_report(), rest in proptest::collection::vec(any::<u8>(), 1..9)) {
        let mut value = device::encode(&event, ID).unwrap();
        value.extend_from_slice(&rest);
        prop_assert_eq!(decoder().decode(&value), Err(DecodeError::TrailingBytes(rest.len())));
    }

    #[test]
    fn a_value_that_ends_early_is_refused(event in any_report(), part in 0.0..1.0_f64) {
        let value = device::encode(&event, ID).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
            reason = "a part of a length is a length")]
        let length = (value.len() as f64 * part) as usize;
        prop_assert!(decoder().decode(&value[..length]).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let value: Vec<u8> = [0, 0, 0, 0, 7].into_iter().chain(bytes.iter().copied()).collect();
        let _ = decoder().decode(&value);
        let _ = decoder().decode(&bytes);
    }

    #[test]
    fn a_changed_value_is_refused_or_another_event_but_no_panic(
        event in any_report(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut value = device::encode(&event, ID).unwrap();
        for (place, byte) in changes {
            let place = place.index(value.len());
            value[place] = byte;
        }
        if let Ok(DeviceEvent::Reported(event)) = decoder().decode(&value) {
            prop_assert_eq!(event.body_hash.is_some(), event.dedupe == Dedupe::Client);
        }
    }
}
