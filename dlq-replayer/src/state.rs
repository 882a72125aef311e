//! What has become of a letter.

/// The state of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum LetterState {
    /// Tried again by itself.
    Retrying,
    /// Waits for somebody.
    Parked,
    /// Waits behind an earlier letter of its key.
    Blocked,
    /// Folded.
    Applied,
    /// Folded: it counts, and does not show, since a newer event has won.
    Superseded,
    /// Changed nothing: its event was folded before.
    Duplicate,
    /// Never to be folded.
    Discarded,
}

impl LetterState {
    /// The states in which something is still to be done.
    pub const OPEN: [Self; 3] = [Self::Retrying, Self::Parked, Self::Blocked];

    const ALL: [Self; 7] = [
        Self::Retrying,
        Self::Parked,
        Self::Blocked,
        Self::Applied,
        Self::Superseded,
        Self::Duplicate,
        Self::Discarded,
    ];

    /// The name, as the table holds it.
    pub fn label(self) -> &'static str {
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
    pub fn find(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.label() == label)
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
            assert_eq!(LetterState::find(state.label()), Some(state));
        }
        assert_eq!(LetterState::find("lost"), None);
    }
}
