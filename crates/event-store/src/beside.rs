//! What a decision writes beside its events, in the same transaction: what must not enter the log, and
//! what is to be done because of it.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

/// One such row.
#[derive(Clone, PartialEq, Eq)]
pub enum Beside {
    /// A person's key comes into being.
    SubjectKey {
        /// The person.
        subject: String,
        /// What their fields are sealed with.
        key: [u8; 32],
    },
    /// A person is erased: the key is destroyed, and so are password hash, answers to requests and mails
    /// that wait.
    Erasure {
        /// The person.
        subject: String,
        /// The person's stream.
        stream_id: String,
    },
    /// A password hash, in place of the one before.
    PasswordHash {
        /// The person.
        subject: String,
        /// The hash, as a PHC string.
        hash: String,
    },
    /// A mail is to be sent because of the decision's last event.
    Mail {
        /// The mail.
        id: Uuid,
        /// Which one.
        kind: &'static str,
    },
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SubjectKey { .. } => "SubjectKey",
            Self::Erasure { .. } => "Erasure",
            Self::PasswordHash { .. } => "PasswordHash",
            Self::Mail { .. } => "Mail",
        })
    }
}

/// How a mail is settled that somebody else is responsible for now: [`MailsBeside::last_sent`] counts it.
pub const SENT: &str = "sent";

/// A mail that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMail {
    /// The mail.
    pub id: Uuid,
    /// Which one.
    pub kind: String,
    /// The stream whose event caused it.
    pub stream_id: String,
    /// The event's version.
    pub version: u64,
    /// How often it was tried.
    pub attempts: i32,
}

/// What there is beside a mail, whichever process has caused or sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailsBeside {
    /// Whether a later event of the stream has caused another mail of the kind, whatever became of that.
    pub has_newer: bool,
    /// How long ago a mail of the stream was [sent](SENT) last, of those that are not forgotten.
    pub last_sent: Option<Duration>,
    /// Whether the stream has an e-mail address: one that lapsed may be somebody else's.
    pub holds_claim: bool,
}
