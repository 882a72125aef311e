//! The log as the slices see it: append and be told where it stands, or why it does not.

use event_schema::header::{Headers, MAX_COUNT};
use kafka_io::header::RecordHeaders;
use kafka_io::producer::{Delivered, Producer, Record, SendError};

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
    /// Appends a record and waits until it is acknowledged.
    ///
    /// # Errors
    /// [`SendError::Refused`] where it is certainly not in the log, now or later;
    /// [`SendError::Unknown`] for all else.
    fn append(
        &self,
        record: NewRecord<'_>,
    ) -> impl Future<Output = Result<Delivered, SendError>> + Send;
}

impl Log for Producer {
    async fn append(&self, record: NewRecord<'_>) -> Result<Delivered, SendError> {
        let mut headers = RecordHeaders::with_capacity(MAX_COUNT);
        record.headers.write(|name, value| headers.push(name, value));
        let NewRecord { topic, stream_id, value, .. } = record;
        self.send(Record { topic, key: stream_id.as_bytes(), payload: value, headers }).await
    }
}
