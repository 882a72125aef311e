//! Who is counted, and when.

use std::fmt;

/// Who is counted, as a keyed hash: nobody can be told by it, and nobody can choose to be taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LimitKey(pub u128);

impl fmt::Display for LimitKey {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Nanoseconds since a beginning of the caller's choice, by a clock that never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);
