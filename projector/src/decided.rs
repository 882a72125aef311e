//! Decided events as the runner sees them, whatever they are decided about.

use domain::decision::Decided;
use domain::device::BodyHash;
use event_schema::decode::{DecodeError, EventFamily};
use event_schema::schema::{Family, Schema};
use read_models::recorded::Recorded;
use uuid::Uuid;

use crate::runner::{Event, Sequence};

/// What is decided about one kind of thing, each of which has a stream.
pub trait InStream: Send + Sync + 'static {
    /// The stream of the thing with this id.
    fn stream_id(aggregate_id: Uuid) -> String;
}

/// A decided event, with the name of the stream it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent<E> {
    stream_id: String,
    decided: Decided<E>,
}

/// What events are about, each once, in the order in which whoever changes several takes them.
pub fn aggregates<E>(events: &[Recorded<Decided<E>>]) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = events.iter().map(|record| record.event.aggregate_id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl<E> StreamEvent<E> {
    /// The event itself.
    pub fn decided(&self) -> &Decided<E> {
        &self.decided
    }
}

impl<E: InStream> From<Decided<E>> for StreamEvent<E> {
    fn from(decided: Decided<E>) -> Self {
        Self { stream_id: E::stream_id(decided.aggregate_id), decided }
    }
}

impl<E: InStream> EventFamily for StreamEvent<E>
where
    Decided<E>: EventFamily,
{
    const FAMILY: Family = <Decided<E> as EventFamily>::FAMILY;

    fn read(schema: Schema, datum: &mut &[u8]) -> Result<Self, DecodeError> {
        <Decided<E> as EventFamily>::read(schema, datum).map(Self::from)
    }
}

impl<E: InStream> Event for StreamEvent<E>
where
    Decided<E>: EventFamily,
{
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
