//! What becomes of a mail that was taken over.

use std::time::Duration;

/// What became of an attempt.
pub(super) struct Attempted {
    /// How the mail was settled, or when to try again.
    pub(super) outcome: Result<&'static str, Duration>,
    /// What was at fault, by its stable name.
    pub(super) fault: Option<&'static str>,
    /// Whether it counts among the attempts after which a mail is given up.
    pub(super) is_tried: bool,
}

impl Attempted {
    /// The mail needs nothing more.
    pub(super) fn settled(outcome: &'static str) -> Self {
        Self { outcome: Ok(outcome), fault: None, is_tried: true }
    }

    /// It is tried again after the wait.
    pub(super) fn failed(wait: Duration) -> Self {
        Self { outcome: Err(wait), fault: None, is_tried: true }
    }

    /// It is not tried before the wait is over.
    pub(super) fn put_off(wait: Duration) -> Self {
        Self { outcome: Err(wait), fault: None, is_tried: false }
    }

    /// The same with what was at fault.
    pub(super) fn by_fault(self, fault: &'static str) -> Self {
        Self { fault: Some(fault), ..self }
    }
}
