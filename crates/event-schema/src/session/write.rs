//! Sessions' events on their way into the log.

use domain::decision::Decided;
use domain::session::SessionEvent;

use super::{EncodeError, record, schema_of};
use crate::decided::Value;

/// The value of a record in the log: the wire format's prefix and the event in the schema that
/// [`schema_of`] names, whose id in the registry is `schema_id`.
pub fn encode(decided: &Decided<SessionEvent>, schema_id: u32) -> Result<Vec<u8>, EncodeError> {
    let to = Value { decided, schema: schema_of(&decided.event), schema_id };
    match &decided.event {
        SessionEvent::LoggedIn { user_id, session_epoch, client, started_at } => to
            .write::<record::LoggedIn>((
                user_id.to_string(),
                i64::from(*session_epoch),
                client.as_str().to_owned(),
                started_at.micros(),
            )),
        SessionEvent::Refreshed { generation, client, refreshed_at } => to
            .write::<record::Refreshed>((
                i64::from(*generation),
                client.as_str().to_owned(),
                refreshed_at.micros(),
            )),
        SessionEvent::ReuseDetected { generation, client } => {
            let client = client.as_ref().map(|client| client.as_str().to_owned());
            to.write::<record::ReuseDetected>((i64::from(*generation), client))
        }
        SessionEvent::LoggedOut => to.write::<record::LoggedOut>(()),
        SessionEvent::Revoked => to.write::<record::Revoked>(()),
    }
}
