//! An event of a session, as a letter holds it.

use domain::decision::Decided;
use domain::session::SessionEvent;
use serde_json::Value;

use super::decided;

const ID: &str = "session_id";

pub(super) fn text(event: &Decided<SessionEvent>) -> Vec<String> {
    decided::text(ID, event, &event.event.what_changed())
}

pub(super) fn json(event: &Decided<SessionEvent>) -> Value {
    decided::json(ID, event, &event.event.what_changed())
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use domain::session::ClientMark;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_an_event_changes_is_named_and_not_told() {
        let client = ClientMark::new("a-mark".to_owned()).unwrap();
        let event = Decided {
            event_id: Uuid::from_u128(2),
            aggregate_id: Uuid::from_u128(1),
            version: 2,
            previous_id: Some(Uuid::from_u128(3)),
            occurred_at: Timestamp(0),
            event: SessionEvent::Refreshed { generation: 2, client, refreshed_at: Timestamp(0) },
        };
        let text = text(&event).join("\n");
        assert!(text.contains("session_id   00000000-0000-0000-0000-000000000001"), "{text}");
        assert!(text.contains("changed      generation, client, refreshed_at"), "{text}");
        let json = json(&event);
        assert_eq!(json["session_id"], "00000000-0000-0000-0000-000000000001");
        assert_eq!(json["changed"], json!(["generation", "client", "refreshed_at"]));
        assert!(!text.contains("a-mark") && !json.to_string().contains("a-mark"));
    }
}
