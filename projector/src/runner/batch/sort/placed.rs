//! Decided events of one stream that have a place in it and nothing else.

use domain::Timestamp;
use domain::device::BodyHash;
use event_schema::decode::{DecodeError, EventFamily};
use event_schema::schema::{Family, Schema};
use read_models::recorded::{LogPosition, Recorded};
use uuid::Uuid;

use crate::runner::sequence::Link;
use crate::runner::{Event, Sequence};

pub(super) const STREAM: &str = "stream";

/// An event that only has a place.
#[derive(Debug, Clone)]
pub(super) struct Placed(pub(super) Link);

impl EventFamily for Placed {
    const FAMILY: Family = Family::Device;

    fn read(_: Schema, _: &mut &[u8]) -> Result<Self, DecodeError> {
        Err(DecodeError::Empty)
    }
}

impl Event for Placed {
    fn stream_id(&self) -> &str {
        STREAM
    }

    fn event_id(&self) -> Uuid {
        self.0.event_id
    }

    fn client_named(&self) -> Option<BodyHash> {
        None
    }

    fn sequence(&self) -> Option<Sequence> {
        Some(Sequence { version: self.0.version, previous_id: self.0.previous_id })
    }
}

/// The real event of a version; an id beyond any version is a stranger's.
pub(super) fn real(version: u64) -> Link {
    let id = |version: u64| Uuid::from_u128(version.into());
    Link { version, event_id: id(version), previous_id: (version > 1).then(|| id(version - 1)) }
}

pub(super) fn forked(version: u64, stranger: u128, names_the_right_one: bool) -> Link {
    let previous_id = if names_the_right_one {
        real(version).previous_id
    } else {
        Some(Uuid::from_u128(stranger + 2_000))
    };
    Link { version, event_id: Uuid::from_u128(stranger + 1_000), previous_id }
}

pub(super) fn recorded(link: Link, offset: i64) -> Recorded<Placed> {
    Recorded {
        event: Placed(link),
        partition: 0,
        position: LogPosition { epoch: 1, offset },
        log_time: Timestamp(offset),
    }
}
