//! What happens to codes, as it is counted and logged.

use domain::user::UserId;
use telemetry::{SecurityEvent, SecurityEventName};

/// Somebody who knows the password, or is in, has shown a code that is wrong or was used.
pub(super) fn code_refused(user: UserId) {
    SecurityEvent::new(SecurityEventName::SecondFactorRefused).of(&user.to_string()).emit();
}

/// Somebody came without the app: there is one recovery code less.
pub(super) fn recovery_code_used(user: UserId) {
    SecurityEvent::new(SecurityEventName::RecoveryCodeUsed).of(&user.to_string()).emit();
}
