//! A record that is to become a letter: plain data.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use domain::Timestamp;
use read_models::recorded::{LogPosition, Recorded};

use crate::runner::sequence::Link;
use crate::runner::{Event, Failure};

/// A record that cannot be folded, by its coordinates; its bytes are read from the log again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetAside {
    pub(crate) partition: i32,
    pub(crate) position: LogPosition,
    pub(crate) log_time: Timestamp,
    /// Whose it is, where the key is text that can be stored.
    pub(crate) stream_id: Option<String>,
    /// Its place in its stream, where that is known.
    pub(crate) link: Option<Link>,
    /// Who is at fault, for the brake: equal for records of one key, whatever its bytes.
    pub(crate) culprit: u64,
    pub(crate) failure: Failure,
}

impl SetAside {
    /// The record of an event, for a failure.
    pub(crate) fn of<E: Event>(record: &Recorded<E>, failure: Failure) -> Self {
        let key = record.event.stream_id().as_bytes();
        Self {
            partition: record.partition,
            position: record.position,
            log_time: record.log_time,
            stream_id: storable(key),
            link: Link::of(&record.event),
            culprit: culprit(Some(key), &record.position),
            failure,
        }
    }
}

/// A record as it stands in line to be folded.
#[derive(Debug)]
pub(crate) enum Item<E> {
    /// To be folded.
    Event(Recorded<E>),
    /// To be set aside, with its event where that can be read.
    SetAside(SetAside, Option<Recorded<E>>),
}

impl<E: Event> Item<E> {
    /// The same record, found unfoldable.
    pub(crate) fn blamed(self, failure: Failure) -> Self {
        match self {
            Self::Event(record) => Self::SetAside(SetAside::of(&record, failure), Some(record)),
            aside @ Self::SetAside(..) => aside,
        }
    }

    /// The event, if it is to be folded.
    pub(crate) fn event(&self) -> Option<&Recorded<E>> {
        match self {
            Self::Event(record) => Some(record),
            Self::SetAside(..) => None,
        }
    }

    /// Its event's place in its stream, where that is known.
    pub(crate) fn link(&self) -> Option<Link> {
        match self {
            Self::Event(record) => Link::of(&record.event),
            Self::SetAside(aside, _) => aside.link,
        }
    }

    pub(crate) fn set_aside(&self) -> Option<&SetAside> {
        match self {
            Self::Event(_) => None,
            Self::SetAside(aside, _) => Some(aside),
        }
    }
}

/// The longest key that an index takes beside the other coordinates of a letter, in bytes.
const LONGEST_STORABLE: usize = 2_048;

/// A key as text, if the database can hold and index it.
pub(crate) fn storable(key: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(key).ok()?;
    (key.len() <= LONGEST_STORABLE && !text.contains('\0')).then(|| text.to_owned())
}

/// A key, or a record that has none.
pub(crate) fn culprit(key: Option<&[u8]>, position: &LogPosition) -> u64 {
    let mut hasher = DefaultHasher::new();
    match key {
        Some(key) => key.hash(&mut hasher),
        None => position.hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_database_cannot_hold_as_text_is_kept_as_bytes_alone() {
        assert_eq!(storable(b"device-1"), Some("device-1".to_owned()));
        assert_eq!(storable(b"a\0b"), None);
        assert_eq!(storable(&[0xff]), None);
        assert_eq!(storable(&[b'a'; 3_000]), None);
    }
}
