//! Decoding on the polling thread, with a decoder that learns new schema ids while it runs.

use std::sync::Arc;

use domain::Timestamp;
use event_schema::decode::{DecodeError, Decoder};
use event_schema::header::TRACE_PARENT;
use kafka_io::consumer::{Decode, RecordView};
use read_models::partitioner::partition_of;
use read_models::recorded::{LogPosition, Recorded};
use telemetry::{TraceParent, trace};

use super::{Event, Failure, FailureClass};
use crate::letters::set_aside::{SetAside, culprit, storable};

/// The decoder that the polling thread and the lanes share.
pub(crate) type SharedDecoder<E> = Arc<Decoder<E>>;

/// The trace that a record carries on, where this process traces; boxed, since it seldom does.
pub(super) type Origin = Option<Box<TraceParent>>;

/// A record as it comes to a lane.
pub(super) enum Decoded<E> {
    /// An event, and what it is part of.
    Event(Recorded<E>, Origin),
    /// What could not be decoded, with its bytes: it may be decodable once more is known.
    Undecoded(Box<Undecoded>),
}

/// A record that could not be decoded.
pub(super) struct Undecoded {
    pub(super) error: UndecodedError,
    value: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    place: Place,
    position: LogPosition,
    log_time: Timestamp,
    pub(super) origin: Origin,
}

/// Why a record is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UndecodedError {
    #[error("the record has no key")]
    NoKey,
    #[error("the record has no value")]
    NoValue,
    #[error("the key is not the stream the event belongs to")]
    ForeignKey,
    #[error("the record is not in the partition that its key belongs to")]
    ForeignPartition,
    #[error(transparent)]
    Value(DecodeError),
}

impl UndecodedError {
    /// Stable name, for health, metrics and letters.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NoKey => "no-key",
            Self::NoValue => "no-value",
            Self::ForeignKey => "foreign-key",
            Self::ForeignPartition => "foreign-partition",
            Self::Value(error) => error.kind(),
        }
    }

    /// What is wrong with the value, if it is the value.
    pub(crate) fn value(&self) -> Option<&DecodeError> {
        match self {
            Self::Value(error) => Some(error),
            Self::NoKey | Self::NoValue | Self::ForeignKey | Self::ForeignPartition => None,
        }
    }

    /// As a failure of the record.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            class: FailureClass::Poison,
            code: self.kind().to_owned(),
            message: self.to_string(),
        }
    }
}

/// Codes of letters whose record nobody could decode: nothing is known of its event but what headers
/// say. Not those of events that stand under another key or in another partition than their own.
pub(crate) const UNDECODABLE: [&str; 9] = [
    "no-value",
    "empty",
    "magic",
    "truncated",
    "unknown-schema-id",
    "wrong-record",
    "newer-version",
    "trailing-bytes",
    "malformed",
];

/// Decodes records as events of a projection.
pub(super) struct EventDecode<E> {
    decoder: SharedDecoder<E>,
    epoch: i32,
    partitions: u32,
}

impl<E: Event> EventDecode<E> {
    /// Of a topic with so many partitions.
    pub(super) fn new(decoder: SharedDecoder<E>, epoch: i32, partitions: u32) -> Self {
        Self { decoder, epoch, partitions }
    }
}

impl<E: Event> Decode for EventDecode<E> {
    type Item = Decoded<E>;

    fn header(&self) -> Option<&'static str> {
        trace::is_on().then_some(TRACE_PARENT)
    }

    fn decode(&mut self, record: &RecordView<'_>) -> Decoded<E> {
        let position = LogPosition { epoch: self.epoch, offset: record.offset };
        let log_time = Timestamp::from_millis(record.timestamp_ms);
        let partition = record.partition;
        let origin = record.header.and_then(TraceParent::parse).map(Box::new);
        let place = Place { partition, partitions: self.partitions };
        match event_of(&self.decoder, record.key, record.value, place) {
            Ok(event) => Decoded::Event(Recorded { event, partition, position, log_time }, origin),
            Err(error) => Decoded::Undecoded(Box::new(Undecoded {
                error,
                value: record.value.map(<[u8]>::to_vec),
                key: record.key.map(<[u8]>::to_vec),
                place,
                position,
                log_time,
                origin,
            })),
        }
    }
}

impl Undecoded {
    /// The record as one to be set aside, for what is wrong with it.
    pub(super) fn set_aside(self) -> (SetAside, Origin) {
        let failure = self.error.failure();
        let aside = SetAside {
            partition: self.place.partition,
            position: self.position,
            log_time: self.log_time,
            stream_id: self.key.as_deref().and_then(storable),
            link: None,
            culprit: culprit(self.key.as_deref(), &self.position),
            failure,
        };
        (aside, self.origin)
    }

    /// Tries again with what the decoder knows now.
    pub(super) fn decode_again<E: Event>(
        &self,
        decoder: &Decoder<E>,
    ) -> Result<Recorded<E>, UndecodedError> {
        let event = event_of(decoder, self.key.as_deref(), self.value.as_deref(), self.place)?;
        Ok(Recorded {
            event,
            partition: self.place.partition,
            position: self.position,
            log_time: self.log_time,
        })
    }
}

/// In which of its topic's partitions a record stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) partition: i32,
    /// 0 where it is not recorded how many there are.
    pub(crate) partitions: u32,
}

impl Place {
    fn is_of(self, key: &[u8]) -> bool {
        self.partitions == 0
            || u32::try_from(self.partition) == Ok(partition_of(key, self.partitions))
    }
}

/// The event of a record, which stands under its own stream's key in that key's partition.
pub(crate) fn event_of<E: Event>(
    decoder: &Decoder<E>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    place: Place,
) -> Result<E, UndecodedError> {
    let key = key.ok_or(UndecodedError::NoKey)?;
    let value = value.ok_or(UndecodedError::NoValue)?;
    let event = decoder.decode(value).map_err(UndecodedError::Value)?;
    // Order holds per key: an event under another key than its stream's, or one that a client with
    // another partitioner wrote, would be folded by another partition than its neighbours, and neither
    // tokens nor the cache would know of it.
    if event.stream_id().as_bytes() != key {
        return Err(UndecodedError::ForeignKey);
    }
    if place.is_of(key) { Ok(event) } else { Err(UndecodedError::ForeignPartition) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_decoded_is_told_from_what_stands_in_the_wrong_place() {
        let record_name = "a.record";
        let values = [
            DecodeError::Empty,
            DecodeError::Magic,
            DecodeError::Truncated,
            DecodeError::UnknownSchemaId(1),
            DecodeError::WrongRecord { id: 1, record_name: record_name.to_owned() },
            DecodeError::NewerVersion { id: 1, record_name },
            DecodeError::TrailingBytes(1),
            DecodeError::Malformed { what: "datum" },
        ];
        let undecodable = values.map(UndecodedError::Value);
        for error in undecodable.iter().chain([&UndecodedError::NoValue]) {
            assert!(UNDECODABLE.contains(&error.kind()), "{error}");
        }
        for error in [UndecodedError::ForeignKey, UndecodedError::ForeignPartition] {
            assert!(!UNDECODABLE.contains(&error.kind()), "{error}");
        }
    }
}
