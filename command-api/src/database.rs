//! On which terms sessions of the database are used by whoever decides, keeps keys or learns what was deployed.

use std::time::Duration;

use read_models::database::SessionLimits;

/// Longest wait for a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The same, of a tool that has a pool: nobody waits behind it.
pub(crate) const TOOL_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits of a session: a frozen process holds no lock for longer.
pub(crate) const LIMITS: SessionLimits = SessionLimits {
    idle_in_transaction: Duration::from_secs(5),
    transaction: Duration::from_secs(5),
    lock: Duration::from_secs(3),
    statement: Duration::from_secs(5),
};
