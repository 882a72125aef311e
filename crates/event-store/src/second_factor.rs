//! What is kept of a person's second factor: beside decisions, and never in the log.

use std::fmt;

use crate::claim::Digest;

/// A second factor as it is kept. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// The secret that codes follow from, sealed by whoever opens it again. Sealed anew it is another
    /// one: by these bytes a second factor is told from the one that takes its place.
    pub sealed_secret: Vec<u8>,
    /// The last step of time whose code was taken: no code of it or of an earlier one is.
    pub last_step: u64,
    /// Keyed hashes of the recovery codes that are left.
    pub recovery_codes: Vec<Digest>,
}

/// What somebody has shown who has a second factor: good once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum UsedCode {
    /// The code of a step of time.
    Step(u64),
    /// A recovery code, by its keyed hash.
    Recovery(Digest),
}

impl SecondFactor {
    /// Uses a code up, if it is still good; returns whether it was.
    pub(crate) fn use_up(&mut self, used: UsedCode) -> bool {
        match used {
            UsedCode::Step(step) => {
                let is_good = self.last_step < step;
                self.last_step = self.last_step.max(step);
                is_good
            }
            UsedCode::Recovery(code) => {
                let before = self.recovery_codes.len();
                self.recovery_codes.retain(|left| *left != code);
                self.recovery_codes.len() < before
            }
        }
    }
}

impl fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecondFactor([redacted])")
    }
}
