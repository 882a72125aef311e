//! What holds of the events of every decided family, and how tests write them.

use std::fmt::Debug;

use apache_avro::types::Value;
use domain::Timestamp;
use domain::decision::Decided;
use proptest::prelude::*;
use uuid::Uuid;

use super::EncodeError;
use crate::datum;
use crate::decode::{DecodeError, Decoder, EventFamily, KnownId};
use crate::schema::Schema;

pub(crate) const EVENT: Uuid = Uuid::from_u128(1);

/// Decided events that tests write.
pub(crate) trait Written: EventFamily {
    fn schema(&self) -> Schema;

    fn encode(&self, schema_id: u32) -> Result<Vec<u8>, EncodeError>;
}

/// A decoder to which each schema is known by its place in the list.
pub(crate) fn decoder<F: EventFamily>() -> Decoder<F> {
    crate::limit_allocations();
    Decoder::new(Schema::ALL.iter().map(|schema| KnownId {
        schema_id: id_of(*schema),
        record_name: schema.record_name().to_owned(),
        version: schema.version(),
    }))
}

pub(crate) fn id_of(schema: Schema) -> u32 {
    u32::try_from(Schema::ALL.iter().position(|one| *one == schema).unwrap()).unwrap()
}

pub(crate) fn written(decided: &impl Written) -> Vec<u8> {
    decided.encode(id_of(decided.schema())).unwrap()
}

/// The first event of a stream.
pub(crate) fn first<E>(event: E) -> Decided<E> {
    Decided {
        event_id: EVENT,
        aggregate_id: Uuid::from_u128(2),
        version: 1,
        previous_id: None,
        occurred_at: Timestamp(3),
        event,
    }
}

prop_compose! {
    /// Where an event can stand.
    pub(crate) fn any_place()(
        event_id: u128, aggregate_id: u128, version in 1..=i64::MAX.cast_unsigned(), previous_id: u128,
        occurred_at: i64, is_first: bool,
    ) -> Decided<()> {
        Decided {
            event_id: Uuid::from_u128(event_id),
            aggregate_id: Uuid::from_u128(aggregate_id),
            version: if is_first { 1 } else { version.max(2) },
            previous_id: (!is_first).then_some(Uuid::from_u128(previous_id)),
            occurred_at: Timestamp(occurred_at),
            event: (),
        }
    }
}

/// A value as another program writes it: a record as its schema has it, with these fields, else with those of ours,
/// else in the place of the [`first`] event.
pub(crate) fn foreign(schema: Schema, fields: &[(&str, Value)], ours: &[(&str, Value)]) -> Vec<u8> {
    let place = [
        ("event_id", text("00000000-0000-0000-0000-000000000001")),
        ("stream_version", Value::Long(1)),
        ("previous_id", null()),
        ("occurred_at", Value::TimestampMicros(3)),
    ];
    let avsc: serde_json::Value = serde_json::from_str(schema.text()).unwrap();
    let record = avsc["fields"].as_array().unwrap().iter().map(|field| {
        let name = field["name"].as_str().unwrap();
        let mut said = fields.iter().chain(ours).chain(&place);
        let value = match said.find(|(of, _)| *of == name).unwrap().1.clone() {
            // Of what may be null, the other branch.
            value if field["type"].is_array() && !matches!(value, Value::Union(..)) => {
                Value::Union(1, Box::new(value))
            }
            value => value,
        };
        (name.to_owned(), value)
    });
    let record = Value::Record(record.collect());
    let datum = datum::writer(schema).write_value_to_vec(record).unwrap();
    [&[0][..], &id_of(schema).to_be_bytes(), &datum].concat()
}

pub(crate) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub(crate) fn null() -> Value {
    Value::Union(0, Box::new(Value::Null))
}

/// What reads a value with these fields takes none whose event has no place in its stream.
pub(crate) fn must_have_a_place<F: Debug + PartialEq>(
    aggregate_id: &'static str,
    decoded: impl Fn(&[(&str, Value)]) -> Result<F, DecodeError>,
) {
    let version = |version| ("stream_version", Value::Long(version));
    let previous = |id| ("previous_id", text(id));
    for (fields, what) in [
        (vec![("event_id", text("no uuid"))], "event_id"),
        (vec![(aggregate_id, text("no uuid"))], aggregate_id),
        (vec![version(0)], "stream_version"),
        (vec![version(-1)], "stream_version"),
        (vec![version(2)], "previous_id"),
        (vec![previous("00000000-0000-0000-0000-000000000009")], "previous_id"),
        (vec![version(2), previous("no uuid")], "previous_id"),
    ] {
        assert_eq!(decoded(&fields), Err(DecodeError::Malformed { what }), "{fields:?}");
    }
    assert!(decoded(&[version(2), previous("00000000-0000-0000-0000-000000000009")]).is_ok());
}

/// The tests of what holds of every family, which has such decided events: `$any` makes any of them, and `$event` is
/// one of its events.
macro_rules! every_family {
    ($family:ty, $any:expr, $event:expr) => {
        mod every_family {
            use domain::decision::Decided;
            use proptest::collection::vec;
            use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

            use super::*;
            use $crate::decided::EncodeError;
            use $crate::decided::tests::{EVENT, Written, decoder, first, id_of, written};
            use $crate::decode::{DecodeError, EventFamily};
            use $crate::schema::Schema;

            #[test]
            fn an_event_without_a_place_is_never_written() {
                for (version, previous_id) in [
                    (0, None),
                    (0, Some(EVENT)),
                    (1, Some(EVENT)),
                    (2, None),
                    (u64::MAX, Some(EVENT)),
                ] {
                    let decided: $family = Decided { version, previous_id, ..first($event) };
                    assert!(
                        matches!(
                            decided.encode(7),
                            Err(EncodeError::Place { version: told }) if told == version
                        ),
                        "{version} {previous_id:?}"
                    );
                }
            }

            #[test]
            fn a_value_of_another_family_does_not_belong() {
                let own = <$family as EventFamily>::FAMILY;
                for other in Schema::ALL.iter().filter(|schema| schema.family() != own) {
                    let (id, record_name) = (id_of(*other), other.record_name().to_owned());
                    let value = [&[0][..], &id.to_be_bytes()].concat();
                    assert_eq!(
                        decoder::<$family>().decode(&value),
                        Err(DecodeError::WrongRecord { id, record_name })
                    );
                }
            }

            proptest! {
                #[test]
                fn an_event_reads_back_as_written(decided in $any) {
                    prop_assert_eq!(decoder::<$family>().decode(&written(&decided)), Ok(decided));
                }

                #[test]
                fn every_byte_must_be_used(decided in $any, rest in vec(any::<u8>(), 1..9)) {
                    let value = [written(&decided), rest.clone()].concat();
                    prop_assert_eq!(
                        decoder::<$family>().decode(&value),
                        Err(DecodeError::TrailingBytes(rest.len()))
                    );
                }

                #[test]
                fn a_value_that_ends_early_is_refused(decided in $any, at: prop::sample::Index) {
                    let value = written(&decided);
                    let cut = &value[..at.index(value.len())];
                    prop_assert!(decoder::<$family>().decode(cut).is_err());
                }

                #[test]
                fn no_bytes_make_it_panic(
                    schema in prop::sample::select(Schema::ALL),
                    bytes in vec(any::<u8>(), 0..200),
                ) {
                    let value = [&[0][..], &id_of(schema).to_be_bytes(), &bytes].concat();
                    let _ = decoder::<$family>().decode(&value);
                }

                #[test]
                fn a_changed_value_is_refused_or_another_event_that_could_have_been_written(
                    decided in $any,
                    changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
                ) {
                    let mut value = written(&decided);
                    for (place, byte) in changes {
                        let place = place.index(value.len());
                        value[place] = byte;
                    }
                    if let Ok(decided) = decoder::<$family>().decode(&value) {
                        let again = decoder::<$family>().decode(&written(&decided));
                        prop_assert_eq!(again, Ok(decided));
                    }
                }
            }
        }
    };
}

pub(crate) use every_family;
