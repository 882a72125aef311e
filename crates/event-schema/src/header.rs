//! The headers of every record: CloudEvents 1.0 in Kafka's binary content mode, with W3C trace
//! context. The only place that spells their names; one function writes them and one reads them.
//!
//! What the log holds cannot be changed, so neither can these names and spellings.

use domain::Timestamp;
use uuid::Uuid;

/// `specversion`: the version of CloudEvents, [`SPEC_VERSION_1`].
pub const SPEC_VERSION: &str = "ce_specversion";
/// `id`: the event's identity, a UUID in lower case with hyphens.
pub const ID: &str = "ce_id";
/// `source`: the process that made the event, such as [`SOURCE_COMMAND_API`].
pub const SOURCE: &str = "ce_source";
/// `type`: what happened, [`crate::schema::Schema::event_type`].
pub const TYPE: &str = "ce_type";
/// `subject`: the stream's id, equal to the record's key.
pub const SUBJECT: &str = "ce_subject";
/// `time`: when it happened, RFC 3339 in UTC with microseconds: the client's clock where the client
/// said so, else the clock of the process that took it.
pub const TIME: &str = "ce_time";
/// `datacontenttype`: how the value is written, [`AVRO`].
pub const CONTENT_TYPE: &str = "content-type";
/// Extension `partitionkey`: what decides the partition, the stream's id again.
pub const PARTITION_KEY: &str = "ce_partitionkey";
/// Our extension: the event's number in its stream, from 1; only for events that were decided.
pub const STREAM_VERSION: &str = "ce_streamversion";
/// Our extension: the id of the event before it in its stream; absent from the first.
pub const PREVIOUS_ID: &str = "ce_previousid";
/// Our extension: what all events of one cause share.
pub const CORRELATION_ID: &str = "ce_correlationid";
/// Our extension: the id of the command or event that caused this one.
pub const CAUSATION_ID: &str = "ce_causationid";
/// Our extension: an opaque id of who did it; never a name or an address.
pub const ACTOR: &str = "ce_actor";
/// W3C trace context of the request that made the event.
pub const TRACE_PARENT: &str = "traceparent";

/// How many headers [`Headers::write`] puts at most.
pub const MAX_COUNT: usize = 14;
/// The version of CloudEvents these headers follow.
pub const SPEC_VERSION_1: &str = "1.0";
/// The content type of a value in the wire format.
pub const AVRO: &str = "application/avro";
/// The `source` of what command-api takes.
pub const SOURCE_COMMAND_API: &str = "/millrace/command-api";

/// The headers of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    /// [`ID`].
    pub id: Uuid,
    /// [`SOURCE`].
    pub source: &'a str,
    /// [`TYPE`].
    pub event_type: &'a str,
    /// [`SUBJECT`] and [`PARTITION_KEY`].
    pub stream_id: &'a str,
    /// [`TIME`]; not written where RFC 3339 has no spelling for it.
    pub time: Option<Timestamp>,
    /// [`STREAM_VERSION`].
    pub stream_version: Option<u64>,
    /// [`PREVIOUS_ID`].
    pub previous_id: Option<Uuid>,
    /// [`CORRELATION_ID`].
    pub correlation_id: Option<&'a str>,
    /// [`CAUSATION_ID`].
    pub causation_id: Option<&'a str>,
    /// [`ACTOR`].
    pub actor: Option<&'a str>,
    /// [`TRACE_PARENT`].
    pub traceparent: Option<&'a str>,
}

/// Why headers are not ours. Messages never hold what a header held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A header that every event has is absent, or has no value.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header stands twice.
    #[error("the header {0} stands twice")]
    Twice(&'static str),
    /// A value is not UTF-8.
    #[error("the header {0} is not text")]
    NotText(&'static str),
    /// A value is not of its header's form.
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    /// The headers follow another version of CloudEvents.
    #[error("the header ce_specversion is not 1.0")]
    OtherSpecVersion,
    /// The subject and the partition key name two streams.
    #[error("the headers ce_subject and ce_partitionkey differ")]
    TwoStreams,
}

impl HeaderError {
    /// A stable name for metrics and letters.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Missing(_) => "header-missing",
            Self::Twice(_) => "header-twice",
            Self::NotText(_) => "header-not-text",
            Self::Malformed(_) => "header-malformed",
            Self::OtherSpecVersion => "header-spec-version",
            Self::TwoStreams => "header-two-streams",
        }
    }
}

impl<'a> Headers<'a> {
    /// Calls `put` with each header, always in the same order; absent optionals are left out.
    pub fn write(&self, mut put: impl FnMut(&'static str, &[u8])) {
        let mut buffer = Uuid::encode_buffer();
        put(SPEC_VERSION, SPEC_VERSION_1.as_bytes());
        put(ID, self.id.as_hyphenated().encode_lower(&mut buffer).as_bytes());
        put(SOURCE, self.source.as_bytes());
        put(TYPE, self.event_type.as_bytes());
        put(SUBJECT, self.stream_id.as_bytes());
        if let Some(time) = self.time.and_then(rfc3339) {
            put(TIME, time.as_bytes());
        }
        put(CONTENT_TYPE, AVRO.as_bytes());
        put(PARTITION_KEY, self.stream_id.as_bytes());
        if let Some(version) = self.stream_version {
            put(STREAM_VERSION, version.to_string().as_bytes());
        }
        if let Some(id) = self.previous_id {
            put(PREVIOUS_ID, id.as_hyphenated().encode_lower(&mut buffer).as_bytes());
        }
        for (name, text) in [
            (CORRELATION_ID, self.correlation_id),
            (CAUSATION_ID, self.causation_id),
            (ACTOR, self.actor),
            (TRACE_PARENT, self.traceparent),
        ] {
            if let Some(text) = text {
                put(name, text.as_bytes());
            }
        }
    }

    /// Reads the headers of a record; names that are not listed above are passed over.
    pub fn read(
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, HeaderError> {
        let found = Found::collect(headers)?;
        if found.required(SPEC_VERSION)? != SPEC_VERSION_1 {
            return Err(HeaderError::OtherSpecVersion);
        }
        if found.optional(CONTENT_TYPE).is_some_and(|content| content != AVRO) {
            return Err(HeaderError::Malformed(CONTENT_TYPE));
        }
        let stream_id = found.required(SUBJECT)?;
        if found.optional(PARTITION_KEY).is_some_and(|key| key != stream_id) {
            return Err(HeaderError::TwoStreams);
        }
        Ok(Self {
            id: uuid(found.required(ID)?).ok_or(HeaderError::Malformed(ID))?,
            source: found.required(SOURCE)?,
            event_type: found.required(TYPE)?,
            stream_id,
            time: found.parsed(TIME, Timestamp::parse_rfc3339)?,
            stream_version: found.parsed(STREAM_VERSION, |text| text.parse().ok())?,
            previous_id: found.parsed(PREVIOUS_ID, uuid)?,
            correlation_id: found.optional(CORRELATION_ID),
            causation_id: found.optional(CAUSATION_ID),
            actor: found.optional(ACTOR),
            traceparent: found.optional(TRACE_PARENT),
        })
    }
}

const NAMES: [&str; MAX_COUNT] = [
    SPEC_VERSION,
    ID,
    SOURCE,
    TYPE,
    SUBJECT,
    TIME,
    CONTENT_TYPE,
    PARTITION_KEY,
    STREAM_VERSION,
    PREVIOUS_ID,
    CORRELATION_ID,
    CAUSATION_ID,
    ACTOR,
    TRACE_PARENT,
];

/// The texts found, each at its name's place in [`NAMES`].
struct Found<'a>([Option<&'a str>; MAX_COUNT]);

impl<'a> Found<'a> {
    fn collect(
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Result<Self, HeaderError> {
        let mut found = [None; MAX_COUNT];
        for (name, value) in headers {
            let Some(place) = place(name) else { continue };
            let Some(value) = value else { continue };
            let name = NAMES[place];
            let text = std::str::from_utf8(value).map_err(|_| HeaderError::NotText(name))?;
            if found[place].replace(text).is_some() {
                return Err(HeaderError::Twice(name));
            }
        }
        Ok(Self(found))
    }

    fn optional(&self, name: &'static str) -> Option<&'a str> {
        self.0[place(name)?]
    }

    fn required(&self, name: &'static str) -> Result<&'a str, HeaderError> {
        self.optional(name).filter(|text| !text.is_empty()).ok_or(HeaderError::Missing(name))
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, HeaderError> {
        self.optional(name).map(|text| parse(text).ok_or(HeaderError::Malformed(name))).transpose()
    }
}

fn place(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| *known == name)
}

fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

/// RFC 3339 has four digits for the year.
fn rfc3339(time: Timestamp) -> Option<String> {
    time.to_rfc3339().filter(|text| text.len() == "2026-03-01T12:00:00.123456Z".len())
}

#[cfg(test)]
mod tests;
