//! What has become of a letter.

/// Where a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LetterState {
    /// It is tried again by itself.
    Retrying,
    /// It waits for somebody.
    Parked,
    /// It waits behind an earlier letter of its key.
    Blocked,
    /// It was folded.
    Applied,
    /// It was folded and counted, and does not show: a newer event of its key had won before.
    Superseded,
    /// Its event had an effect already, under the same id.
    Duplicate,
    /// Somebody decided never to fold it.
    Discarded,
}

impl LetterState {
    /// The states in which something is still to be done.
    pub const OPEN: [Self; 3] = [Self::Retrying, Self::Parked, Self::Blocked];

    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Retrying,
        Self::Parked,
        Self::Blocked,
        Self::Applied,
        Self::Superseded,
        Self::Duplicate,
        Self::Discarded,
    ];

    /// As it is stored, and as operators write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::Parked => "parked",
            Self::Blocked => "blocked",
            Self::Applied => "applied",
            Self::Superseded => "superseded",
            Self::Duplicate => "duplicate",
            Self::Discarded => "discarded",
        }
    }

    /// The state of a name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether something is still to be done.
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_by_its_name() {
        for state in LetterState::ALL {
            assert_eq!(LetterState::find(state.as_str()), Some(state));
        }
        assert_eq!(LetterState::find("lost"), None);
    }
}
