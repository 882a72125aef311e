//! One way through a partition for records that stand close together.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::{Consumer, MAX_READ_BYTES, OwnedRecord, ReadRecordError, Request};
use crate::header::own_headers;

/// How far the next record may be for it to be cheaper to read what stands between.
const NEAR: i64 = 100;

/// Reads what is asked for and leaves the client without an assignment.
pub(super) fn read(
    consumer: &Consumer,
    request: &Request,
) -> Result<Vec<OwnedRecord>, ReadRecordError> {
    let mut reading = Reading { consumer, request, records: Vec::new(), bytes: 0 };
    for offsets in passes(&request.offsets) {
        reading.pass(Awaited(offsets))?;
    }
    consumer.unassign().map_err(unavailable)?;
    Ok(reading.records)
}

/// Rising offsets, cut where two are far apart.
fn passes(offsets: &[i64]) -> impl Iterator<Item = &[i64]> {
    offsets.chunk_by(|one, next| next.saturating_sub(*one) <= NEAR)
}

/// The offsets that are still to come, rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Awaited<'a>(&'a [i64]);

/// What a delivered record means for what is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// It was awaited, and is no longer.
    Awaited,
    /// Nobody asked for it.
    Between,
    /// The one awaited at this offset does not exist, or it would have come first.
    Passed {
        /// Where it should be.
        offset: i64,
    },
}

impl Awaited<'_> {
    fn next(&self) -> Option<i64> {
        self.0.first().copied()
    }

    fn receive(&mut self, delivered: i64) -> Arrival {
        match self.0.split_first() {
            Some((next, rest)) if delivered == *next => {
                self.0 = rest;
                Arrival::Awaited
            }
            Some((next, _)) if delivered > *next => Arrival::Passed { offset: *next },
            _ => Arrival::Between,
        }
    }
}

/// What an error of the client means for a pass.
enum Trouble {
    /// The log ends here, as far as the broker knows.
    End,
    /// The offset lies outside the log, as far as the broker knows.
    OutOfRange,
    /// It may pass before the deadline, and no record is lost by it.
    Connection,
    /// Nothing more is to be expected, or a record may have been left out.
    Unreadable,
}

struct Reading<'a> {
    consumer: &'a Consumer,
    request: &'a Request,
    records: Vec<OwnedRecord>,
    bytes: usize,
}

impl Reading<'_> {
    fn pass(&mut self, mut awaited: Awaited<'_>) -> Result<(), ReadRecordError> {
        let mut is_within_log = false;
        let mut last_error = None;
        self.assign(&awaited)?;
        while let Some(next) = awaited.next() {
            let left = self.left();
            if left.is_zero() {
                return Err(ReadRecordError::Unavailable { source: last_error });
            }
            match self.consumer.poll(left) {
                None => {}
                Some(Ok(message)) => self.take(&mut awaited, &message)?,
                Some(Err(error)) => match trouble(&error) {
                    Trouble::Connection => last_error = Some(error),
                    Trouble::Unreadable => return Err(unavailable(error)),
                    Trouble::OutOfRange if self.holds(next)? => return Err(unavailable(error)),
                    // The log grew meanwhile, or its end was not known: what there is now is read
                    // once more. If it ends again without the record, the record is not in it.
                    Trouble::End if !is_within_log && self.holds(next)? => {
                        is_within_log = true;
                        self.assign(&awaited)?;
                    }
                    Trouble::OutOfRange | Trouble::End => {
                        return Err(ReadRecordError::Gone { offset: next });
                    }
                },
            }
        }
        Ok(())
    }

    fn left(&self) -> Duration {
        self.request.until.saturating_duration_since(Instant::now())
    }

    fn assign(&self, awaited: &Awaited<'_>) -> Result<(), ReadRecordError> {
        let Some(next) = awaited.next() else { return Ok(()) };
        if next < 0 {
            return Err(ReadRecordError::Gone { offset: next });
        }
        let Request { topic, partition, .. } = self.request;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, *partition, Offset::Offset(next)).map_err(unavailable)?;
        self.consumer.assign(&list).map_err(unavailable)
    }

    /// Whether an offset lies between the log's ends.
    fn holds(&self, offset: i64) -> Result<bool, ReadRecordError> {
        let Request { topic, partition, .. } = self.request;
        // The client takes no time-out of zero.
        let left = self.left().max(Duration::from_millis(1));
        let (start, end) =
            self.consumer.fetch_watermarks(topic, *partition, left).map_err(unavailable)?;
        Ok((start..end).contains(&offset))
    }

    fn take(
        &mut self,
        awaited: &mut Awaited<'_>,
        message: &BorrowedMessage<'_>,
    ) -> Result<(), ReadRecordError> {
        match awaited.receive(message.offset()) {
            Arrival::Between => return Ok(()),
            Arrival::Passed { offset } => return Err(ReadRecordError::Gone { offset }),
            Arrival::Awaited => {}
        }
        let record = own(message)?;
        self.bytes += record.bytes();
        if self.bytes > MAX_READ_BYTES && !self.records.is_empty() {
            return Err(ReadRecordError::TooMuch { fits: self.records.len() });
        }
        self.records.push(record);
        Ok(())
    }
}

fn own(message: &BorrowedMessage<'_>) -> Result<OwnedRecord, ReadRecordError> {
    let offset = message.offset();
    let headers =
        own_headers(message).map_err(|source| ReadRecordError::Headers { offset, source })?;
    Ok(OwnedRecord {
        offset,
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    })
}

fn unavailable(source: KafkaError) -> ReadRecordError {
    ReadRecordError::Unavailable { source: Some(source) }
}

fn trouble(error: &KafkaError) -> Trouble {
    use RDKafkaErrorCode as Code;
    if matches!(error, KafkaError::PartitionEOF(_)) {
        return Trouble::End;
    }
    match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Trouble::OutOfRange,
        Some(
            Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::Resolve
            // The client looks for the coordinator of its group, which is needed for nothing here.
            | Code::CoordinatorNotAvailable
            | Code::GroupAuthorizationFailed,
        ) => Trouble::Connection,
        _ => Trouble::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_are_read_in_one_pass_and_distant_records_each_in_their_own() {
        let found: Vec<_> = passes(&[1, 2, 3, 103, 204, 1_000_000]).collect();
        assert_eq!(found, [&[1, 2, 3, 103][..], &[204], &[1_000_000]]);
        assert_eq!(passes(&[]).count(), 0);
        assert_eq!(passes(&[i64::MIN, i64::MAX]).count(), 2);
    }

    #[test]
    fn an_error_that_may_have_left_out_a_record_ends_the_pass() {
        for code in [RDKafkaErrorCode::BadMessage, RDKafkaErrorCode::BadCompression] {
            let error = KafkaError::MessageConsumption(code);
            assert!(matches!(trouble(&error), Trouble::Unreadable), "{code:?}");
        }
    }

    proptest! {
        /// From a log with gaps, delivered from where the pass begins, exactly the awaited records
        /// are taken up to the first that the log does not hold.
        #[test]
        fn the_awaited_records_are_taken_up_to_the_first_that_is_missing(
            log in prop::collection::btree_set(0i64..60, 0..60),
            asked in prop::collection::btree_set(0i64..60, 1..20),
        ) {
            let offsets: Vec<i64> = asked.iter().copied().collect();
            let mut awaited = Awaited(&offsets);
            let (mut taken, mut passed) = (BTreeSet::new(), None);
            for delivered in log.range(offsets[0]..) {
                match awaited.receive(*delivered) {
                    Arrival::Awaited => { taken.insert(*delivered); }
                    Arrival::Between => {}
                    Arrival::Passed { offset } => { passed = Some(offset); break; }
                }
            }
            let missing = asked.difference(&log).next().copied();
            let expected: BTreeSet<_> =
                asked.iter().copied().take_while(|offset| Some(*offset) != missing).collect();
            prop_assert_eq!(taken, expected);
            let is_passed = missing.is_some_and(|at| log.range(at..).next().is_some());
            prop_assert_eq!(passed, missing.filter(|_| is_passed));
            prop_assert_eq!(awaited.next(), missing);
        }
    }
}
