//! The log as the slices see it: append and be told where it stands, or why it does not.

use event_schema::header::{Headers, MAX_COUNT};
use kafka_io::header::RecordHeaders;
use kafka_io::producer::{Delivered, LostOutcome, Producer, Record, Refusal};

/// A record to append.
#[derive(Debug)]
pub struct NewRecord<'a> {
    /// The topic's name in the cluster.
    pub topic: &'a str,
    /// The stream's id, which is the key.
    pub stream_id: &'a str,
    /// The value in the wire format.
    pub value: &'a [u8],
    /// The headers.
    pub headers: Headers<'a>,
}

/// Where events go. The process uses [`Producer`]; tests note what was sent.
pub trait Log: Send + Sync + 'static {
    /// Hands a record over; records of one stream are appended in the order of these calls. What is
    /// returned waits until every in-sync replica has it, or says why nobody knows.
    ///
    /// # Errors
    /// It is certainly not in the log, now or later.
    fn append(
        &self,
        record: NewRecord<'_>,
    ) -> Result<impl Future<Output = Result<Delivered, LostOutcome>> + Send + use<Self>, Refusal>;
}

impl Log for Producer {
    fn append(
        &self,
        record: NewRecord<'_>,
    ) -> Result<impl Future<Output = Result<Delivered, LostOutcome>> + Send + use<>, Refusal> {
        let mut headers = RecordHeaders::with_capacity(MAX_COUNT);
        record.headers.write(|name, value| headers.push(name, value));
        let NewRecord { topic, stream_id, value, .. } = record;
        self.enqueue(Record { topic, key: stream_id.as_bytes(), payload: value, headers })
    }
}
