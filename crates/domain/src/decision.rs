//! Decisions: a command is judged against the state of one stream, and the events that follow take
//! their places in it.

use std::borrow::Cow;

use uuid::Uuid;

use crate::Timestamp;

/// A command: a wish that may be refused. Time, ids and facts that were looked up arrive inside it.
pub trait Command {
    /// What the events of a stream add up to.
    type State;
    /// What can happen in the stream.
    type Event;
    /// Why the command may be refused.
    type Error;

    /// Judges the command against the state; `None` is a stream without events. No events mean that
    /// there is nothing to change, which is a success.
    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error>;
}

/// An event with its place in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided<E> {
    /// The event's identity.
    pub event_id: Uuid,
    /// Whose stream it is.
    pub aggregate_id: Uuid,
    /// Its number in the stream, from 1.
    pub version: u64,
    /// The event before it in the stream; `None` only for the first.
    pub previous_id: Option<Uuid>,
    /// When it was decided.
    pub occurred_at: Timestamp,
    /// What happened.
    pub event: E,
}

impl<E> Decided<E> {
    /// The same place with the event in another form, which the function makes of the event's id
    /// and the event.
    pub fn try_map<F, X>(
        self,
        form: impl FnOnce(Uuid, E) -> Result<F, X>,
    ) -> Result<Decided<F>, X> {
        let Self { event_id, aggregate_id, version, previous_id, occurred_at, event } = self;
        let event = form(event_id, event)?;
        Ok(Decided { event_id, aggregate_id, version, previous_id, occurred_at, event })
    }
}

/// What a value must be unique among. A stream holds at most one claim of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimKind {
    /// User names.
    Username,
    /// E-mail addresses.
    Email,
}

impl ClaimKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Username, Self::Email];

    /// The name under which claims are stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Email => "email",
        }
    }
}

/// What an event does to the claims of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimChange<'a> {
    /// The stream claims the value; an earlier claim of this kind is released with it.
    Take {
        /// Unique among what.
        kind: ClaimKind,
        /// The value, normalised: two values are the same claim exactly when these are equal.
        value: Cow<'a, str>,
        /// From when on others may take it, unless it is confirmed before.
        lapses_at: Option<Timestamp>,
    },
    /// The claim lapses no more.
    Confirm {
        /// Unique among what.
        kind: ClaimKind,
    },
    /// The value is free again.
    Release {
        /// Unique among what.
        kind: ClaimKind,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_form_of_an_event_keeps_its_place() {
        let decided = Decided {
            event_id: Uuid::from_u128(1),
            aggregate_id: Uuid::from_u128(2),
            version: 3,
            previous_id: Some(Uuid::from_u128(4)),
            occurred_at: Timestamp(5),
            event: 6_u8,
        };
        let mapped = decided.clone().try_map(|id, event| Ok::<_, ()>((id, event))).unwrap();
        assert_eq!(mapped.event, (Uuid::from_u128(1), 6));
        assert_eq!(mapped.try_map(|_, (_, event)| Ok::<_, ()>(event)), Ok(decided.clone()));
        assert_eq!(decided.try_map(|_, _| Err::<(), _>("no form")), Err("no form"));
    }
}
