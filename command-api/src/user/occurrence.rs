//! What happens to users and passwords, as it is counted and logged.

use domain::user::{UserEvent, UserId};
use problem_details::{Problem, ProblemType};
use telemetry::{SecurityEvent, SecurityEventName};

use crate::decision::request::ANYBODY;

/// That somebody has shown who they are by the password before.
const BY_PASSWORD: &str = "current-password";

/// That somebody has shown who they are by a mail.
const BY_MAIL: &str = "mail";

/// That somebody has shown who they are by a code of the second factor.
const BY_CODE: &str = "code";

/// That somebody else has decided it, who may.
const BY_ADMIN: &str = "admin";

/// Something has happened to a user, as it is stored: once, however often its request is answered. What changes
/// nothing of who may what is not told.
pub(super) fn happened<T>(event: &UserEvent<T>, user: UserId, actor: &str) {
    let account = user.to_string();
    let Some((name, reason)) = told(event, &account, actor) else { return };
    let event = SecurityEvent { reason, ..SecurityEvent::new(name) };
    let event = if actor == ANYBODY { event } else { event.by(actor) };
    event.of(&account).emit();
}

/// What is told of an event, and why.
fn told<T>(
    event: &UserEvent<T>,
    account: &str,
    actor: &str,
) -> Option<(SecurityEventName, Option<&'static str>)> {
    Some(match event {
        UserEvent::EmailChanged { .. } => (SecurityEventName::EmailChanged, None),
        UserEvent::PasswordChanged => {
            // Everybody changes their own alone; with a mail, without an access token.
            let by = if actor == ANYBODY { BY_MAIL } else { BY_PASSWORD };
            (SecurityEventName::PasswordChanged, Some(by))
        }
        UserEvent::SecondFactorEnrolled => (SecurityEventName::SecondFactorEnrolled, None),
        UserEvent::SecondFactorRemoved => {
            let by = if actor == account { BY_CODE } else { BY_ADMIN };
            (SecurityEventName::SecondFactorRemoved, Some(by))
        }
        UserEvent::Deactivated => (SecurityEventName::Deactivated, None),
        UserEvent::Reactivated => (SecurityEventName::Reactivated, None),
        UserEvent::RoleGranted { role } => (SecurityEventName::RoleGranted, Some(role.name())),
        UserEvent::RoleRevoked { role } => (SecurityEventName::RoleRevoked, Some(role.name())),
        UserEvent::SessionsEnded => (SecurityEventName::SessionsEnded, Some("all")),
        UserEvent::Erased => (SecurityEventName::Erased, None),
        UserEvent::Registered { .. }
        | UserEvent::EmailVerificationRequested
        | UserEvent::EmailVerified
        | UserEvent::ProfileUpdated { .. } => return None,
    })
}

/// Somebody says that a password was forgotten: whoever they are and whosever it is.
pub(super) fn password_forgotten() {
    SecurityEvent::new(SecurityEventName::PasswordForgotten).emit_quietly();
}

/// What was brought to have another password was never sent by us, or too long ago.
pub(super) fn reset_token_unknown() {
    SecurityEvent::new(SecurityEventName::ResetRefused).because("unknown").emit_quietly();
}

/// A mail of ours was good for no other password any more, where that is the problem.
pub(super) fn reset_refused(user: UserId, problem: &Problem) {
    if problem.kind() == ProblemType::InvalidVerificationToken {
        let event = SecurityEvent::new(SecurityEventName::ResetRefused);
        event.because("overtaken").of(&user.to_string()).emit();
    }
}

/// Somebody who has the mail of a registration did not know its password. It has the id of the user who may come of it.
pub(super) fn registration_refused(registration: UserId) {
    let event = SecurityEvent::new(SecurityEventName::RegistrationRefused);
    event.of(&registration.to_string()).emit();
}

/// Somebody who is in did not know the password.
pub(super) fn password_not_known(user: UserId) {
    SecurityEvent::new(SecurityEventName::PasswordRefused).of(&user.to_string()).emit();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_what_somebody_has_shown_who_they_are_is_told() {
        let (ann, admin) =
            ("0198f0c2-7d3e-7c3b-8a57-0242ac120002", "0198f0c2-7d3e-7c3b-8a57-0242ac120003");
        let (password, removed) = (UserEvent::PasswordChanged, UserEvent::SecondFactorRemoved);
        for (event, actor, reason) in [
            (&password, ann, "current-password"),
            (&password, ANYBODY, "mail"),
            (&removed, ann, "code"),
            (&removed, admin, "admin"),
            (&removed, "operator", "admin"),
        ] {
            let told = told::<String>(event, ann, actor).and_then(|(_, reason)| reason);
            assert_eq!(told, Some(reason), "{event:?} by {actor}");
        }
    }
}
