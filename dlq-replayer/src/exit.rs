//! What the exit code says.

/// How a call ended. The numbers are what scripts rely on: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything that was asked is done.
    Done,
    /// Nothing matched what was asked.
    NothingMatched,
    /// The arguments or settings are wrong; nothing was done.
    Usage,
    /// Some letters were not settled, or some that were named are not there.
    SomeFailed,
    /// Refused: not confirmed, more than the cap, or the projection's brake. Nothing was done.
    Refused,
    /// The database or something else that is needed cannot be reached, or is not as it must be.
    Unreachable,
}

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NothingMatched => 1,
            Self::Usage => 2,
            Self::SomeFailed => 3,
            Self::Refused => 4,
            Self::Unreachable => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_the_documented_ones() {
        let codes = [
            Exit::Done,
            Exit::NothingMatched,
            Exit::Usage,
            Exit::SomeFailed,
            Exit::Refused,
            Exit::Unreachable,
        ];
        assert_eq!(codes.map(Exit::code), [0, 1, 2, 3, 4, 5]);
    }
}
