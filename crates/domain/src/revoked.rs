//! Access tokens that are taken back before they expire.

use uuid::Uuid;

/// Which access tokens are taken no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// Those of a session.
    Session(Uuid),
    /// Those of a user that were made when the user's stream was below a version.
    User {
        /// The user.
        id: Uuid,
        /// The first version whose access tokens are taken.
        below_version: u64,
    },
}
