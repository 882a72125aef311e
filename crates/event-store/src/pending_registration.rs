//! Registrations that wait until somebody has shown that the address is theirs.
//!
//! They are kept whoever has the address, so that whoever asks is told nothing of it. The mail of one has its id,
//! and belongs to no stream: all mails of an address are counted together, whichever registration they are of.
//!
//! Of an address several wait, each with its own mail: else anybody could make a link good for nothing that was mailed
//! to somebody else. No number bounds them. To count those of an address takes a lock that all who register with it
//! wait for, and to drop some lets strangers choose which: there are as many as quotas let anybody ask for in the time
//! that they wait, each of them a row beside that of its mail, which is kept for longer.

use std::time::Duration;

use uuid::Uuid;

use crate::beside::DueMail;
use crate::claim::Digest;

/// A registration that is to wait, whatever else waits for its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRegistration {
    /// The registration, and its mail: of version 7.
    pub id: Uuid,
    /// The address, by the hash of a claim on it.
    pub email: Digest,
    /// What was asked for. The store cannot read it.
    pub sealed: Vec<u8>,
    /// Which mail.
    pub mail: &'static str,
    /// How long it waits.
    pub waits_for: Duration,
}

/// A registration that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRegistration {
    /// What was asked for, as it was given.
    pub sealed: Vec<u8>,
    /// The stream that has the address now; `None` also where its claim has lapsed.
    pub holder: Option<String>,
}

/// What stands in the place of a stream in the mails of registrations, before the hash of their address.
const REGISTRATION: &str = "registration-";

/// What stands in the place of a stream in the mails of registrations with an address.
pub(crate) fn mails_of(email: &Digest) -> String {
    let digits: String = email.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{REGISTRATION}{digits}")
}

/// Whether it is the mail of a registration.
pub(crate) fn is_of_registration(mail: &DueMail) -> bool {
    mail.stream_id.starts_with(REGISTRATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_of_an_address_are_called_as_statements_call_them() {
        let mut digest: Digest = [0x0a; 32];
        digest[31] = 0xf7;
        assert_eq!(mails_of(&digest), format!("registration-{}f7", "0a".repeat(31)));
    }
}
