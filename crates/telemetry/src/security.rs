//! What happens to sessions, accounts and keys: the audit of who comes in, stays in and is put out, and of who may
//! what.

use crate::Metric;

macro_rules! names {
    (
        $first:ident = $first_name:literal $first_about:literal;
        $($id:ident = $name:literal $about:literal;)*
    ) => {
        /// What may happen, by the stable names that alerts, dashboards and whoever reads the log ask for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum SecurityEventName {
            #[doc = $first_about]
            $first,
            $(#[doc = $about] $id,)*
        }

        impl SecurityEventName {
            /// Every one, in the order of the documentation.
            pub const ALL: &[Self] = &[Self::$first, $(Self::$id),*];

            /// The name as it is told.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::$first => $first_name,
                    $(Self::$id => $name,)*
                }
            }
        }

        /// What their metric tells.
        pub(crate) const SENTENCE: &str = concat!(
            "What happened to sessions, accounts, passwords, second factors and signing keys: ",
            $first_name, $(", ", $name,)*
            "; and why, where there are several reasons, else none",
        );
    };
}

names! {
    LoggedIn = "logged-in" "Somebody has come in.";
    LoginRefused = "login-refused" "Somebody was not let in.";
    LoginThrottled = "login-throttled" "Somebody has to wait before they may try again.";
    Refreshed = "refreshed" "A session goes on.";
    RefreshRefused = "refresh-refused" "A refresh token was good for nothing, or no more.";
    ReuseDetected = "reuse-detected" "A refresh token was copied, so that its session has ended.";
    LoggedOut = "logged-out" "Somebody has left.";
    SessionsEnded = "sessions-ended" "One session was ended, or all of somebody.";
    PasswordChanged = "password-changed" "Somebody has another password.";
    PasswordRefused = "password-refused" "Somebody who is in did not know the password.";
    PasswordForgotten = "password-forgotten" "Somebody says that a password was forgotten.";
    ResetRefused = "reset-refused" "A mail was good for no other password, or no more.";
    RegistrationRefused = "registration-refused" "Somebody has the mail of a registration, and did not know its password.";
    SecondFactorEnrolled = "second-factor-enrolled" "Somebody has a second factor.";
    SecondFactorRemoved = "second-factor-removed" "Somebody has no second factor any more.";
    SecondFactorRefused = "second-factor-refused" "A code was wrong, or used before.";
    RecoveryCodeUsed = "recovery-code-used" "Somebody came without the app.";
    RoleGranted = "role-granted" "Somebody may be more.";
    RoleRevoked = "role-revoked" "Somebody may be less.";
    Deactivated = "deactivated" "Somebody may not come in any more.";
    Reactivated = "reactivated" "Somebody may come in again.";
    EmailChanged = "email-changed" "Somebody has another address.";
    Erased = "erased" "Somebody is forgotten.";
    SigningKeyAdded = "signing-key-added" "A signing key is published.";
    SigningKeyRemoved = "signing-key-removed" "A signing key is published no more.";
}

/// Something happened that whoever looks after security wants to find again: in the request's scope, so that
/// the line has its id and its trace. It never tells a name, an address or a secret.
#[derive(Debug)]
pub struct SecurityEvent<'a> {
    /// What happened.
    pub name: SecurityEventName,
    /// The stable name of why, where there is more than one reason.
    pub reason: Option<&'static str>,
    /// Who did it, as an opaque id, where it is known.
    pub actor: Option<&'a str>,
    /// Whose session or account it is about, as an opaque id, where it is known.
    pub account: Option<&'a str>,
    /// The session, where there is one.
    pub session: Option<&'a str>,
    /// The signing key, where it is about one.
    pub key: Option<&'a str>,
}

impl<'a> SecurityEvent<'a> {
    /// One of which nothing more is known.
    pub fn new(name: SecurityEventName) -> Self {
        Self { name, reason: None, actor: None, account: None, session: None, key: None }
    }

    /// Of these reasons one.
    #[must_use]
    pub fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Done by them.
    #[must_use]
    pub fn by(self, actor: &'a str) -> Self {
        Self { actor: Some(actor), ..self }
    }

    /// About this account.
    #[must_use]
    pub fn of(self, account: &'a str) -> Self {
        Self { account: Some(account), ..self }
    }

    /// About this session.
    #[must_use]
    pub fn in_session(self, session: &'a str) -> Self {
        Self { session: Some(session), ..self }
    }

    /// About the signing key of this name.
    #[must_use]
    pub fn of_key(self, kid: &'a str) -> Self {
        Self { key: Some(kid), ..self }
    }

    /// Counts it and writes the line.
    pub fn emit(&self) {
        let Self { name, reason, actor, account, session, key } = *self;
        Metric::SecurityEvents.counter(&[name.name(), reason.unwrap_or("none")]).increment(1);
        tracing::info!(
            security.event = name.name(),
            security.reason = reason,
            access.actor = actor,
            user.id = account,
            session.id = session,
            key.id = key,
            "security event"
        );
    }

    /// Counts it and writes the line where every request is written: for what costs its sender nothing, so
    /// that nobody fills the log with it.
    pub fn emit_quietly(&self) {
        let Self { name, reason, .. } = *self;
        Metric::SecurityEvents.counter(&[name.name(), reason.unwrap_or("none")]).increment(1);
        tracing::debug!(security.event = name.name(), security.reason = reason, "security event");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_have_a_name_and_each_is_told_by_the_metric() {
        let names: Vec<&str> = SecurityEventName::ALL.iter().map(|event| event.name()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let sentence = Metric::SecurityEvents.describe().help;
        assert!(sentence.contains(&format!(": {}; ", names.join(", "))), "{sentence}");
    }

    #[test]
    fn it_is_counted_by_what_happened_and_why() {
        let metrics = crate::metrics();
        SecurityEvent::new(SecurityEventName::LoginRefused).because("credentials").emit();
        SecurityEvent::new(SecurityEventName::LoggedIn).of("0198").in_session("0199").emit();
        let page = metrics.render();
        for series in [
            "security_events_total{event=\"login-refused\",reason=\"credentials\"} 1",
            "security_events_total{event=\"logged-in\",reason=\"none\"} 1",
        ] {
            assert!(page.contains(series), "{page}");
        }
    }
}
