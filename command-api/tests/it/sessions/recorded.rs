//! What stays of a session: records of the log.

use domain::decision::Decided;
use domain::session::SessionEvent;
use serde_json::json;

use super::{LOGOUT, PASSWORD, Session, refresh, saying};
use crate::decision_world::{Logged, World, decoded, eventually};

fn event(record: &Logged) -> SessionEvent {
    decoded::<Decided<SessionEvent>>(record).event
}

#[tokio::test]
async fn the_log_has_a_record_for_each_event_and_nothing_that_tells_who_it_is() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let agent = "Zebra7/1.0 (of a phone)";
    let call = saying(&world, &json!({"email": "ann@example.org", "password": PASSWORD}));
    let call = call.with("user-agent", agent).with("x-request-id", "request-1");
    let first = Session::of(&call.from("198.51.100.7").send().await);
    let next = refresh(&world, &first.refresh_token).with("user-agent", agent).send().await;
    let next = Session::of(&next);
    let logout = world.call("POST", LOGOUT).bearing(&next.access_token).send().await;
    assert_eq!(logout.status, 204);
    let stream_id = first.id.stream_id();
    eventually("the log has it", async || world.log.versions(&stream_id) == [1, 2, 3]).await;

    let records = world.log.of(&stream_id);
    let types = ["logged-in", "refreshed", "logged-out"];
    for (record, name) in records.iter().zip(types) {
        assert_eq!(record.header("ce_type"), format!("identity.session.{name}.v1"));
        assert_eq!(record.header("ce_subject"), stream_id);
        assert_eq!(record.header("ce_actor"), ann.id);
        let bytes = String::from_utf8_lossy(&record.value);
        for told in ["Zebra7", "example.org", "198.51.100.7", PASSWORD, &first.refresh_token] {
            assert!(!bytes.contains(told), "{name} tells {told}");
        }
    }
    assert_eq!(records[0].header("ce_correlationid"), "request-1");
    let SessionEvent::LoggedIn { user_id, session_epoch, client, .. } = event(&records[0]) else {
        panic!("{:?}", records[0])
    };
    assert_eq!((user_id.to_string(), session_epoch), (ann.id, 0));
    let SessionEvent::Refreshed { generation, client: same, .. } = event(&records[1]) else {
        panic!("{:?}", records[1])
    };
    assert_eq!((generation, same), (2, client));
    assert_eq!(event(&records[2]), SessionEvent::LoggedOut);
}
