use std::collections::HashMap;

use domain::session::ClientMark;
use domain::user::UserId;
use event_schema::decode::{Decoder, KnownId};
use event_schema::session::{encode, schema_of};
use read_models::recorded::LogPosition;

use super::*;
use crate::runner::{Event as _, Sequence};

const ID: SessionId = SessionId(Uuid::from_u128(7));
const EVENT: Uuid = Uuid::from_u128(8);

fn client() -> ClientMark {
    ClientMark::new("phone".to_owned()).unwrap()
}

fn recorded(event: SessionEvent) -> Recorded<SessionStreamEvent> {
    let decided = Decided {
        event_id: EVENT,
        aggregate_id: ID.0,
        version: 1,
        previous_id: None,
        occurred_at: Timestamp(0),
        event,
    };
    Recorded {
        event: decided.into(),
        partition: 3,
        position: LogPosition { epoch: 1, offset: 9 },
        log_time: Timestamp(1),
    }
}

fn logged_in() -> SessionEvent {
    let (user_id, started_at) = (UserId(Uuid::from_u128(5)), Timestamp(0));
    SessionEvent::LoggedIn { user_id, session_epoch: 2, client: client(), started_at }
}

#[test]
fn an_event_read_from_the_log_names_its_stream_and_its_place_in_it() {
    let schema = schema_of(&logged_in());
    let known = KnownId {
        schema_id: 5,
        record_name: schema.record_name().to_owned(),
        version: schema.version(),
    };
    let record = recorded(logged_in());
    let value = encode(record.event.decided(), 5).unwrap();
    let read: SessionStreamEvent = Decoder::new([known]).decode(&value).unwrap();
    assert_eq!(read, record.event);
    assert_eq!(read.stream_id(), "session-00000000-0000-0000-0000-000000000007");
    assert_eq!(read.sequence(), Some(Sequence { version: 1, previous_id: None }));
    assert_eq!((read.event_id(), read.client_named()), (EVENT, None));
}

#[test]
fn operators_are_shown_the_row_as_it_stands() {
    let record = recorded(logged_in());
    let rows = session::fold(HashMap::new(), [decided(&record)]);
    let told = told(&rows[&ID]);
    assert_eq!(
        told,
        json!({
            "user_id": "00000000-0000-0000-0000-000000000005", "session_epoch": 2,
            "started_at": "1970-01-01T00:00:00.000001Z", "last_refreshed_at": null,
            "refreshes": 0, "ended_at": null, "end_reason": null, "version": 1, "log_epoch": 1,
            "log_offset": 9,
        })
    );
    // Which client it was is nobody's to see.
    assert!(!told.to_string().contains("phone"));
}
