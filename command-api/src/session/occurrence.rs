//! What happens to sessions, as it is counted and logged: the audit of who comes in, stays in and is put out.

use domain::session::{SessionEvent, SessionId};
use domain::user::UserId;
use problem_details::Problem;
use telemetry::{SecurityEvent, SecurityEventName};

/// Something has happened to a session, as it is stored.
pub(super) fn happened(event: &SessionEvent, session: SessionId, user: UserId, actor: &str) {
    let (name, reason) = match event {
        SessionEvent::LoggedIn { .. } => (SecurityEventName::LoggedIn, None),
        SessionEvent::Refreshed { .. } => (SecurityEventName::Refreshed, None),
        SessionEvent::ReuseDetected { .. } => (SecurityEventName::ReuseDetected, None),
        SessionEvent::LoggedOut => (SecurityEventName::LoggedOut, None),
        SessionEvent::Revoked => (SecurityEventName::SessionsEnded, Some("one")),
    };
    let (user, session) = (user.to_string(), session.to_string());
    let event = SecurityEvent { reason, ..SecurityEvent::new(name) };
    event.by(actor).of(&user).in_session(&session).emit();
}

/// Somebody was not let in, for their name or their password. The account is told where there is one, and never
/// the name: it may be a password that stands where the name should.
pub(super) fn login_failed(account: Option<UserId>) {
    let account = account.map(|user| user.to_string());
    let event = SecurityEvent::new(SecurityEventName::LoginRefused).because("credentials");
    SecurityEvent { account: account.as_deref(), ..event }.emit();
}

/// Somebody who may not come in any more has shown who they are.
pub(super) fn login_of_deactivated(user: UserId) {
    login_refused("deactivated", user);
}

/// Somebody who has a second factor has shown the password, and no code.
pub(super) fn login_without_code(user: UserId) {
    login_refused("no-code", user);
}

/// Somebody who has to enrol a second factor has shown the password.
pub(super) fn login_without_second_factor(user: UserId) {
    login_refused("not-enrolled", user);
}

fn login_refused(reason: &'static str, user: UserId) {
    let event = SecurityEvent::new(SecurityEventName::LoginRefused);
    event.because(reason).of(&user.to_string()).emit();
}

/// What was brought was never made here.
pub(super) fn refresh_token_forged() {
    SecurityEvent::new(SecurityEventName::RefreshRefused).because("forged").emit_quietly();
}

/// A refresh token was good for nothing, or no more.
pub(super) fn refresh_refused(session: SessionId, problem: &Problem) {
    // Whatever else there may be is not the token's fault.
    let Some(refused) = problem.refused_caller() else { return };
    let session = session.to_string();
    let event = SecurityEvent::new(SecurityEventName::RefreshRefused);
    event.because(refused.reason).in_session(&session).emit();
}
