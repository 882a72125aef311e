//! Mails to people: plain text, sent by a [`Mailer`], which says whether to try again.
//!
//! Somebody else keeps mails until they have been sent, and sends one again after
//! [`MailError::Temporary`]: so a mail may arrive twice, under one id.

mod config;
mod message;
mod outbox;
mod public_url;
mod smtp;
pub mod texts;

use std::fmt;

use lettre::transport::smtp::Error as SmtpError;
use uuid::Uuid;

pub use config::{ConfiguredMailer, MailConfig};
pub use outbox::OutboxDirectory;
pub use public_url::PublicUrl;
pub use smtp::SmtpMailer;

/// A mail. Whom it goes to and what it says is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Its identity, the same however often it is sent: its `Message-ID`.
    pub id: Uuid,
    /// The recipient's address.
    pub to: String,
    /// The subject, one line.
    pub subject: String,
    /// What it says.
    pub text: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What sends mails.
pub trait Mailer: Send + Sync + 'static {
    /// Sends a mail, in a bounded time. Once it is `Ok`, somebody else is responsible for the mail.
    ///
    /// # Errors
    /// It was not sent, or nobody knows.
    fn send(&self, mail: &Mail) -> impl Future<Output = Result<(), MailError>> + Send;
}

/// Why a mail was not sent. Holds nothing of the mail or of what a server said about it, which
/// usually names the recipient.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// It may be sent later; whether it was sent already may be unknown.
    #[error("the mail cannot be sent now; try again later")]
    Temporary(#[source] MailFault),
    /// It is never sent as it is.
    #[error("the mail cannot be sent, now or later")]
    Permanent(#[source] MailFault),
}

/// What was wrong.
#[derive(Debug, thiserror::Error)]
pub enum MailFault {
    /// The recipient is no address that this server can reach.
    #[error("the recipient is no address that can be sent to")]
    Recipient,
    /// The subject has line breaks or other control characters.
    #[error("the subject must be one line")]
    Subject,
    /// The mail server did not answer in time.
    #[error("the mail server did not answer in time")]
    NoAnswer,
    /// There is no connection, no TLS, or it broke off.
    #[error("there is no connection to the mail server")]
    Connection(#[source] SmtpError),
    /// The mail server has no STARTTLS, without which nothing is sent.
    #[error("the mail server does not offer STARTTLS")]
    NoStartTls,
    /// The mail server does not take us: what it says at the beginning, or to our name and password.
    #[error("the mail server does not take us (code {code})")]
    NotTaken {
        /// Its answer's code.
        code: u16,
    },
    /// The mail server offers no way to tell it our name and password that we know.
    #[error("the mail server offers no way to sign in that we know")]
    NoSignIn,
    /// The mail server does not take the mail.
    #[error("the mail server does not take the mail (code {code})")]
    Refused {
        /// Its answer's code.
        code: u16,
    },
    /// What answers does not speak SMTP.
    #[error("the mail server's answer is no SMTP")]
    NotSmtp,
    /// The outbox cannot be written.
    #[error("the outbox cannot be written")]
    Outbox(#[source] std::io::Error),
}

impl MailError {
    /// Whether to try again.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Temporary(_))
    }

    /// What was wrong.
    pub fn fault(&self) -> &MailFault {
        let (Self::Temporary(fault) | Self::Permanent(fault)) = self;
        fault
    }
}

impl MailFault {
    /// A stable name, for metrics and log lines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Subject => "subject",
            Self::NoAnswer => "no-answer",
            Self::Connection(_) => "connection",
            Self::NoStartTls => "no-starttls",
            Self::NotTaken { .. } => "not-taken",
            Self::NoSignIn => "no-sign-in",
            Self::Refused { .. } => "refused",
            Self::NotSmtp => "not-smtp",
            Self::Outbox(_) => "outbox",
        }
    }
}
