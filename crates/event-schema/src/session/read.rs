//! Sessions' events on their way out of the log.

use domain::Timestamp;
use domain::decision::Decided;
use domain::session::{ClientMark, SessionEvent};
use domain::user::UserId;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::record;
use crate::decided::{self, Record};
use crate::decode::{DecodeError, EventFamily};
use crate::schema::{Family, Schema, SessionSchema};

impl EventFamily for Decided<SessionEvent> {
    const FAMILY: Family = Family::Session;

    fn read(schema: Schema, datum: &mut &[u8]) -> Result<Self, DecodeError> {
        let version = match schema {
            Schema::Session(version) => version,
            Schema::Device(_) | Schema::User(_) => {
                return Err(DecodeError::Malformed { what: "schema" });
            }
        };
        let from = Datum { schema, datum };
        match version {
            SessionSchema::LoggedInV1 => from.read::<record::LoggedIn>(logged_in),
            SessionSchema::RefreshedV1 => from.read::<record::Refreshed>(refreshed),
            SessionSchema::ReuseDetectedV1 => from.read::<record::ReuseDetected>(reuse_detected),
            SessionSchema::LoggedOutV1 => {
                from.read::<record::LoggedOut>(|()| Ok(SessionEvent::LoggedOut))
            }
            SessionSchema::RevokedV1 => {
                from.read::<record::Revoked>(|()| Ok(SessionEvent::Revoked))
            }
        }
    }
}

fn logged_in(
    (user_id, session_epoch, client, started_at): <record::LoggedIn as Record>::Body,
) -> Result<SessionEvent, DecodeError> {
    let user_id = Uuid::try_parse(&user_id).map_err(|_| malformed("user_id"))?;
    Ok(SessionEvent::LoggedIn {
        user_id: UserId(user_id),
        session_epoch: number("session_epoch", session_epoch)?,
        client: mark(client)?,
        started_at: Timestamp(started_at),
    })
}

fn refreshed(
    (generation, client, refreshed_at): <record::Refreshed as Record>::Body,
) -> Result<SessionEvent, DecodeError> {
    Ok(SessionEvent::Refreshed {
        generation: number("generation", generation)?,
        client: mark(client)?,
        refreshed_at: Timestamp(refreshed_at),
    })
}

fn reuse_detected(
    (generation, client): <record::ReuseDetected as Record>::Body,
) -> Result<SessionEvent, DecodeError> {
    Ok(SessionEvent::ReuseDetected {
        generation: number("generation", generation)?,
        client: client.map(mark).transpose()?,
    })
}

fn number(what: &'static str, number: i64) -> Result<u32, DecodeError> {
    u32::try_from(number).map_err(|_| malformed(what))
}

fn mark(client: String) -> Result<ClientMark, DecodeError> {
    ClientMark::new(client).ok_or(malformed("client"))
}

fn malformed(what: &'static str) -> DecodeError {
    DecodeError::Malformed { what }
}

/// The datum to be read, and the schema it was written in.
struct Datum<'a, 'b> {
    schema: Schema,
    datum: &'a mut &'b [u8],
}

impl Datum<'_, '_> {
    fn read<R: Record + DeserializeOwned>(
        self,
        event: impl FnOnce(R::Body) -> Result<SessionEvent, DecodeError>,
    ) -> Result<Decided<SessionEvent>, DecodeError> {
        let (place, body) = decided::read::<R>(self.schema, self.datum)?;
        place.try_map(|_, ()| event(body))
    }
}
