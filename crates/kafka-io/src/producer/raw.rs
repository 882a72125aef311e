//! Appending a record exactly as it was elsewhere.

use rdkafka::error::RDKafkaErrorCode;

use super::{Delivered, Producer, Refusal, SendError, settled};
use crate::header::{OwnedHeader, RecordHeaders};

/// A record to append as it is: what is absent stays absent, what is empty stays empty.
pub struct RawRecord<'a> {
    /// The topic, as [`crate::topic::Topic::name`] spells it.
    pub topic: &'a str,
    /// The partition, whatever the key says.
    pub partition: i32,
    /// Key, if any.
    pub key: Option<&'a [u8]>,
    /// Value, if any.
    pub value: Option<&'a [u8]>,
    /// Headers in order; names may repeat.
    pub headers: &'a [OwnedHeader],
}

impl Producer {
    /// Appends a record as [`Self::send`] does, with the same errors. A partition below 0 is
    /// refused; one that the topic does not have is refused once the client knows the topic, and
    /// unknown before that, though it never reaches the log.
    pub async fn send_raw(&self, record: RawRecord<'_>) -> Result<Delivered, SendError> {
        // The client takes -1 for "where the key belongs".
        if record.partition < 0 {
            let refusal = Refusal::Client(RDKafkaErrorCode::UnknownPartition);
            return Err(SendError::Refused(refusal));
        }
        let outcome = self.queue(record.topic, |mut outgoing| {
            outgoing.partition = Some(record.partition);
            outgoing.key = record.key;
            outgoing.payload = record.value;
            outgoing.headers = Some(RecordHeaders::copy_of(record.headers).into_client());
            outgoing
        });
        let outcome = outcome.map_err(SendError::Refused)?;
        settled(outcome).await.map_err(SendError::Unknown)
    }
}
