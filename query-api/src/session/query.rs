//! Which sessions are asked for.

use domain::Timestamp;
use domain::session::SessionId;
use domain::user::UserId;
use read_models::session::StoredSession;
use serde::{Deserialize, Serialize};

use super::standing::Holding;
use crate::parameters::{Fault, Parameters};

/// Parameters of a page.
pub(super) const OF_PAGES: [&str; 4] = ["user_id", "state", "limit", "cursor"];

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filter {
    /// Whose sessions; the caller's own where it is absent.
    pub(super) user_id: Option<UserId>,
    pub(super) state: Option<State>,
}

/// Those that somebody is logged in by, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    Ended,
}

impl State {
    const ALL: [Self; 2] = [Self::Active, Self::Ended];

    /// As it is asked for and shown.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }

    /// All of them.
    pub(super) fn names() -> [&'static str; 2] {
        Self::ALL.map(Self::name)
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| {
            Fault::new("one-of", format!("must be one of {}", Self::names().join(", ")))
        })
    }
}

impl Filter {
    /// Reads the parameters but for those of pages; faults are noted there.
    pub(super) fn read(parameters: &mut Parameters) -> Self {
        let id =
            |text: &str| UserId::parse(text).map_err(|error| Fault::new("uuid", error.to_string()));
        Self {
            user_id: parameters.read("user_id", id),
            state: parameters.read("state", State::parse),
        }
    }
}

/// Sessions of a user, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionsQuery {
    pub(super) user_id: UserId,
    pub(super) state: Option<State>,
    /// Which of them are active.
    pub(super) holding: Holding,
    /// Only those behind this place.
    pub(super) after: Option<Place>,
}

/// The place of a row in the order: when it began, in microseconds since 1970, and its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    started_at: i64,
    id: String,
}

impl Place {
    pub(super) fn started_at(&self) -> Timestamp {
        Timestamp(self.started_at)
    }

    pub(super) fn id(&self) -> SessionId {
        // It is signed: what is no id was never written.
        SessionId::parse(&self.id).unwrap_or(SessionId(uuid::Uuid::nil()))
    }
}

/// Where a session stands.
pub(super) fn place(session: &StoredSession) -> Place {
    Place { started_at: session.row.started_at.micros(), id: session.id.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Filter, Vec<String>> {
        let uri = format!("/api/v1/auth/sessions?{query}").parse().unwrap();
        let mut parameters = Parameters::of(&uri, &OF_PAGES);
        let filter = Filter::read(&mut parameters);
        parameters.check().map(|()| filter).map_err(|problem| {
            problem
                .parameter_errors()
                .iter()
                .map(|e| format!("{} {}", e.parameter, e.rule))
                .collect()
        })
    }

    #[test]
    fn all_of_the_caller_s_unless_others_are_asked_for() {
        assert_eq!(read(""), Ok(Filter { user_id: None, state: None }));
        let id = UserId(uuid::Uuid::from_u128(7));
        for (state, name) in [(State::Active, "active"), (State::Ended, "ended")] {
            let filter = Filter { user_id: Some(id), state: Some(state) };
            assert_eq!(read(&format!("user_id={id}&state={name}")), Ok(filter));
        }
    }

    #[test]
    fn what_is_no_filter_is_named() {
        assert_eq!(read("state=open").unwrap_err(), ["state one-of"]);
        assert_eq!(read("user_id=ann").unwrap_err(), ["user_id uuid"]);
        assert_eq!(read("user=x").unwrap_err(), ["user known-parameters"]);
    }
}
