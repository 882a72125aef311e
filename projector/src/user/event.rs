//! Events of users as the runner sees them.

use domain::decision::Decided;
use domain::device::BodyHash;
use domain::user::{UserEvent, UserId};
use event_schema::decode::{DecodeError, EventFamily};
use event_schema::personal::Sealed;
use event_schema::schema::{Family, Schema};
use uuid::Uuid;

use crate::runner::{Event, Sequence};

/// An event of a user, with the name of the stream it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserStreamEvent {
    stream_id: String,
    decided: Decided<UserEvent<Sealed>>,
}

impl UserStreamEvent {
    /// The event itself.
    pub fn decided(&self) -> &Decided<UserEvent<Sealed>> {
        &self.decided
    }
}

impl From<Decided<UserEvent<Sealed>>> for UserStreamEvent {
    fn from(decided: Decided<UserEvent<Sealed>>) -> Self {
        Self { stream_id: UserId(decided.aggregate_id).stream_id(), decided }
    }
}

impl EventFamily for UserStreamEvent {
    const FAMILY: Family = Family::User;

    fn read(schema: Schema, datum: &mut &[u8]) -> Result<Self, DecodeError> {
        Decided::read(schema, datum).map(Self::from)
    }
}

impl Event for UserStreamEvent {
    fn stream_id(&self) -> &str {
        &self.stream_id
    }

    fn event_id(&self) -> Uuid {
        self.decided.event_id
    }

    /// What was decided once is known by its version, whoever asked for it.
    fn client_named(&self) -> Option<BodyHash> {
        None
    }

    fn sequence(&self) -> Option<Sequence> {
        let Decided { version, previous_id, .. } = self.decided;
        Some(Sequence { version, previous_id })
    }
}
