//! An event of a user, as a letter holds it. What is sealed stays so.

use domain::decision::Decided;
use domain::user::UserEvent;
use event_schema::personal::Sealed;
use serde_json::Value;

use super::decided;

type Event = Decided<UserEvent<Sealed>>;

const ID: &str = "user_id";

pub(super) fn text(event: &Event) -> Vec<String> {
    decided::text(ID, event, &event.event.what_changed())
}

pub(super) fn json(event: &Event) -> Value {
    decided::json(ID, event, &event.event.what_changed())
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use event_schema::personal::SubjectKey;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_an_event_changes_is_named_and_not_told() {
        let (event_id, key) = (Uuid::from_u128(2), SubjectKey::from_bytes([7; SubjectKey::LENGTH]));
        let event = Decided {
            event_id,
            aggregate_id: Uuid::from_u128(1),
            version: 2,
            previous_id: Some(Uuid::from_u128(3)),
            occurred_at: Timestamp(0),
            event: UserEvent::EmailChanged {
                email: key.seal(event_id, "email", "ann@example.org"),
            },
        };
        let text = text(&event).join("\n");
        assert!(text.contains("user_id      00000000-0000-0000-0000-000000000001"), "{text}");
        assert!(text.contains("version      2") && text.contains("changed      email"), "{text}");
        let json = json(&event);
        assert_eq!(json["previous_id"], "00000000-0000-0000-0000-000000000003");
        assert_eq!(json["changed"], json!(["email", "email_verified"]));
        assert!(!text.contains("ann@") && !json.to_string().contains("ann@"));
    }
}
