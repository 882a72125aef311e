//! The records of sessions' events, field by field as their schemas have them.

use crate::decided::records;

records! {
    session_id:
    "UserLoggedIn" => LoggedIn {
        user_id: String,
        session_epoch: i64,
        client: String,
        started_at: i64,
    }
    "TokenRefreshed" => Refreshed {
        generation: i64,
        client: String,
        refreshed_at: i64,
    }
    "TokenReuseDetected" => ReuseDetected {
        generation: i64,
        client: Option<String>,
    }
    "UserLoggedOut" => LoggedOut {}
    "SessionRevoked" => Revoked {}
}
