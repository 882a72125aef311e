//! What a decision writes beside its events, in the same transaction: what must not enter the log, and
//! what is to be done because of it.

use std::fmt;
use std::time::Duration;

use domain::Timestamp;
use uuid::{Builder, Uuid};

use crate::second_factor::SecondFactor;

pub use domain::Revoked;

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
    /// A person is erased: the key is destroyed, and so are password hash, second factor, answers to
    /// requests, mails that wait and what is left of the registration by which they have become a user.
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
    /// The password hash goes, if it is older than a time: whoever knows its password knows one that was changed
    /// since. They have another one by a mail.
    NoPassword {
        /// The person.
        subject: String,
        /// What was written before is gone.
        written_before: Timestamp,
    },
    /// A second factor, in place of the one before, if there was one.
    SecondFactor {
        /// The person.
        subject: String,
        /// What is kept of it.
        factor: SecondFactor,
    },
    /// The second factor goes, if there is one.
    NoSecondFactor {
        /// The person.
        subject: String,
    },
    /// The second factor goes, if it was enrolled before a time: it was removed since, or another one took its
    /// place.
    NoSecondFactorBefore {
        /// The person.
        subject: String,
        /// What was enrolled before is gone.
        enrolled_before: Timestamp,
    },
    /// Somebody has become a user by a registration: neither it nor any other one waits for their address any more.
    NoPendingRegistration {
        /// The registration.
        id: Uuid,
    },
    /// A mail is to be sent because of the decision's last event.
    Mail {
        /// The mail.
        id: Uuid,
        /// Which one.
        kind: &'static str,
    },
    /// Mails of a kind are settled that wait for the stream already: nobody needs them any more.
    MailsNotNeeded {
        /// Which ones.
        kind: &'static str,
    },
    /// Access tokens are taken no more: every process is told, and finds it also when it was not.
    Revocation {
        /// Which ones.
        what: Revoked,
        /// How long, from now on, there may be one that has not expired.
        holds_for: Duration,
    },
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SubjectKey { .. } => "SubjectKey",
            Self::Erasure { .. } => "Erasure",
            Self::PasswordHash { .. } => "PasswordHash",
            Self::NoPassword { .. } => "NoPassword",
            Self::SecondFactor { .. } => "SecondFactor",
            Self::NoSecondFactor { .. } => "NoSecondFactor",
            Self::NoSecondFactorBefore { .. } => "NoSecondFactorBefore",
            Self::NoPendingRegistration { .. } => "NoPendingRegistration",
            Self::Mail { .. } => "Mail",
            Self::MailsNotNeeded { .. } => "MailsNotNeeded",
            Self::Revocation { .. } => "Revocation",
        })
    }
}

/// How a mail is settled that somebody else is responsible for now: [`MailsBeside::last_sent`] counts it.
pub const SENT: &str = "sent";

/// How a mail is settled that tells somebody what was done to their account: no other one waits for it.
pub const NOTIFIED: &str = "notified";

/// How a mail is settled that nobody needs any more.
pub const NOT_NEEDED: &str = "not-needed";

/// How a mail is settled that is for nobody.
pub const FOR_NOBODY: &str = "for-nobody";

/// Whose stream such a mail is kept for.
pub(crate) const NOBODY: &str = "nobody";

/// A mail that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMail {
    /// The mail.
    pub id: Uuid,
    /// Which one.
    pub kind: String,
    /// The stream whose event caused it, or that it was asked for.
    pub stream_id: String,
    /// The event's version, or that of the stream when it was asked for.
    pub version: u64,
    /// How often it was tried.
    pub attempts: i32,
}

impl DueMail {
    /// When it was asked for, by the clock of whoever had it kept; `None` where its id tells no time.
    pub fn asked_for_at(&self) -> Option<Timestamp> {
        let (seconds, nanos) = self.id.get_timestamp()?.to_unix();
        let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
        micros.checked_add(i64::from(nanos / 1_000)).map(Timestamp)
    }
}

/// Before the ids of all mails that were asked for so long before this one at most.
pub(crate) fn asked_for_before(id: Uuid, time: Duration) -> Uuid {
    let millis = id.get_timestamp().map_or(0, |at| {
        let (seconds, nanos) = at.to_unix();
        seconds.saturating_mul(1_000).saturating_add(u64::from(nanos / 1_000_000))
    });
    let before = millis.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    Builder::from_unix_timestamp_millis(before, &[0; 10]).into_uuid()
}

/// For how long [`MailsBeside::sent_lately`] counts a mail.
pub const LATELY: Duration = Duration::from_secs(24 * 3_600);

/// What there is beside a mail, whichever process has caused or sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailsBeside {
    /// Whether another mail of the kind came into being later, whatever became of that: by a later event of
    /// the stream, or at the same version, as its id tells.
    pub has_newer: bool,
    /// How long ago a mail of the stream and kind was [sent](SENT) last, of those that are not forgotten.
    pub last_sent: Option<Duration>,
    /// How many of the kind were sent to the stream [lately](LATELY), of those that are not forgotten.
    pub sent_lately: u32,
    /// Whether the stream has an e-mail address: one that lapsed may be somebody else's.
    pub holds_claim: bool,
}
