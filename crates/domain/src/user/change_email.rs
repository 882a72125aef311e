//! Changing the address: letters go elsewhere, once it is verified again.

use super::{Email, NoSuchUser, User, UserEvent};
use crate::decision::Command;

/// Gives a user another address, which they are asked to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeEmail {
    /// The address.
    pub email: Email,
}

impl Command for ChangeEmail {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = NoSuchUser;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let email = self.email.into_string();
        if User::of(state)?.email.as_ref() == Some(&email) {
            return Ok(Vec::new());
        }
        Ok(vec![UserEvent::EmailChanged { email }, UserEvent::EmailVerificationRequested])
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, email_changed, given};
    use super::*;

    fn change_to(email: &str) -> ChangeEmail {
        ChangeEmail { email: Email::parse(email).unwrap() }
    }

    #[test]
    fn another_address_must_be_verified() {
        given([ann_registered(), UserEvent::EmailVerified])
            .when(change_to("ann@example.com"))
            .then([email_changed("ann@example.com"), UserEvent::EmailVerificationRequested]);
    }

    #[test]
    fn another_spelling_is_another_address_since_some_hosts_tell_them_apart() {
        given([ann_registered()])
            .when(change_to("ann@example.org"))
            .then([email_changed("ann@example.org"), UserEvent::EmailVerificationRequested]);
    }

    #[test]
    fn the_present_address_changes_nothing() {
        given([ann_registered()]).when(change_to("Ann@example.org")).then([]);
    }

    #[test]
    fn there_must_be_somebody_to_write_to() {
        let change = change_to("ann@example.com");
        given([]).when(change.clone()).then_error(NoSuchUser::NotFound);
        given([ann_registered(), UserEvent::Erased]).when(change).then_error(NoSuchUser::Erased);
    }
}
