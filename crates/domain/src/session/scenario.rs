//! How tests tell what happened, what is asked for and what follows.

use std::fmt::Debug;
use std::time::Duration;

use uuid::Uuid;

use super::{ClientMark, RefreshRules, Session, SessionEvent, SessionLife, evolve};
use crate::Timestamp;
use crate::decision::Command;
use crate::user::UserId;

pub(super) const ANN: UserId = UserId(Uuid::from_u128(7));

/// Of the user, when she [logged in](logged_in).
pub(super) const EPOCH: u32 = 3;

/// As deployments have them unless they say otherwise.
pub(super) const RULES: RefreshRules = RefreshRules {
    repeat_within: Duration::from_secs(10),
    life: SessionLife {
        idle: Duration::from_hours(14 * 24),
        longest: Duration::from_hours(90 * 24),
    },
};

/// 2026-03-01T12:00:00Z.
const NOON: Timestamp = Timestamp(1_772_366_400_000_000);

/// A stream as events have left it.
pub(super) struct Given(Option<Session>);

/// What a command came to.
pub(super) struct Outcome<E>(Result<Vec<SessionEvent>, E>);

pub(super) fn given(events: impl IntoIterator<Item = SessionEvent>) -> Given {
    Given(events.into_iter().fold(None, evolve))
}

impl Given {
    pub(super) fn when<C>(self, command: C) -> Outcome<C::Error>
    where
        C: Command<State = Session, Event = SessionEvent>,
    {
        Outcome(command.decide(self.0.as_ref()))
    }
}

impl<E: Debug + PartialEq> Outcome<E> {
    #[track_caller]
    pub(super) fn then<const N: usize>(self, events: [SessionEvent; N]) {
        assert_eq!(self.0, Ok(Vec::from(events)));
    }

    #[track_caller]
    pub(super) fn then_error(self, error: E) {
        assert_eq!(self.0, Err(error));
    }
}

/// The time so many seconds after the login.
pub(super) fn after(seconds: u64) -> Timestamp {
    NOON.after(Duration::from_secs(seconds))
}

pub(super) fn phone() -> ClientMark {
    ClientMark::new("phone".to_owned()).unwrap()
}

pub(super) fn laptop() -> ClientMark {
    ClientMark::new("laptop".to_owned()).unwrap()
}

pub(super) fn logged_in() -> SessionEvent {
    let (session_epoch, started_at) = (EPOCH, after(0));
    SessionEvent::LoggedIn { user_id: ANN, session_epoch, client: phone(), started_at }
}

pub(super) fn refreshed(generation: u32, client: ClientMark, seconds: u64) -> SessionEvent {
    SessionEvent::Refreshed { generation, client, refreshed_at: after(seconds) }
}
