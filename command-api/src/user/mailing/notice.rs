//! Mails that tell somebody what was done to their account, so that they learn of it if it was not them.
//!
//! One goes to the address from before that: whoever takes an account over has their own put in its place. And
//! only where it was shown to be theirs, so that nobody has us write to strangers.

use domain::user::{User, UserEvent};
use uuid::Uuid;

use crate::decision::Beside;
use crate::mail::{Mail, PublicUrl, texts};

/// What somebody is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::user) enum Notice {
    /// They have another password.
    PasswordChanged,
    /// They have another address.
    EmailChanged,
    /// They have a second factor.
    SecondFactorEnrolled,
    /// They have none any more.
    SecondFactorRemoved,
}

impl Notice {
    const ALL: [Self; 4] = [
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::SecondFactorEnrolled,
        Self::SecondFactorRemoved,
    ];

    /// The mail beside the decision, where there is an address that it may go to.
    pub(in crate::user) fn beside(self, before: Option<&User<String>>) -> Option<Beside> {
        before.filter(|user| user.email_verified).map(|_| Beside::Mail(self.kind()))
    }

    /// What a mail of this kind tells of, if it is a notice.
    pub(super) fn of(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.kind() == kind)
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::PasswordChanged => "password-changed",
            Self::EmailChanged => "email-changed",
            Self::SecondFactorEnrolled => "second-factor-enrolled",
            Self::SecondFactorRemoved => "second-factor-removed",
        }
    }

    /// Whether this is what it tells of.
    pub(super) fn is_of<P>(self, event: &UserEvent<P>) -> bool {
        match self {
            Self::PasswordChanged => matches!(event, UserEvent::PasswordChanged),
            Self::EmailChanged => matches!(event, UserEvent::EmailChanged { .. }),
            Self::SecondFactorEnrolled => matches!(event, UserEvent::SecondFactorEnrolled),
            Self::SecondFactorRemoved => matches!(event, UserEvent::SecondFactorRemoved),
        }
    }

    /// The mail, to whoever the user was before.
    pub(super) fn mail(
        self,
        id: Uuid,
        before: User<String>,
        public_url: &PublicUrl,
    ) -> Option<Mail> {
        let to = before.email.filter(|_| before.email_verified)?;
        Some(match self {
            Self::PasswordChanged => texts::password_changed(id, to, public_url),
            Self::EmailChanged => texts::email_changed(id, to, public_url),
            Self::SecondFactorEnrolled => texts::second_factor_enrolled(id, to, public_url),
            Self::SecondFactorRemoved => texts::second_factor_removed(id, to, public_url),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_is_known_by_its_kind() {
        for notice in Notice::ALL {
            assert_eq!(Notice::of(notice.kind()), Some(notice));
        }
        assert_eq!(Notice::of(super::super::VERIFY_EMAIL), None);
        assert_eq!(Notice::of(super::super::RESET_PASSWORD), None);
    }
}
