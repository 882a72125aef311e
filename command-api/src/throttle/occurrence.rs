//! What happens to attempts that come too early, as it is counted and logged.

use telemetry::{SecurityEvent, SecurityEventName};

/// Somebody has to wait before they may try again, whatever it is that they try.
pub(super) fn came_too_early() {
    SecurityEvent::new(SecurityEventName::LoginThrottled).emit_quietly();
}
