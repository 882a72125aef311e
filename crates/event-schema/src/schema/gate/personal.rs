//! Personal fields: marked in their schemas, and sealed and opened wherever an event is mapped.

use domain::role::Role;
use domain::user::{ProfileChange, UserEvent, field};

use super::*;
use crate::personal::MARK;

/// Every event of users with every field that it can hold.
fn full_events() -> Vec<UserEvent<()>> {
    vec![
        UserEvent::Registered {
            username: (),
            email: (),
            full_name: Some(()),
            bio: Some(()),
            image: Some(()),
            roles: vec![Role::User],
        },
        UserEvent::EmailVerificationRequested,
        UserEvent::EmailVerified,
        UserEvent::ProfileUpdated {
            change: ProfileChange {
                full_name: Some(Some(())),
                bio: Some(Some(())),
                image: Some(Some(())),
            },
        },
        UserEvent::EmailChanged { email: () },
        UserEvent::Deactivated,
        UserEvent::Reactivated,
        UserEvent::RoleGranted { role: Role::User },
        UserEvent::RoleRevoked { role: Role::User },
        UserEvent::PasswordChanged,
        UserEvent::SessionsEnded,
        UserEvent::SecondFactorEnrolled,
        UserEvent::SecondFactorRemoved,
        UserEvent::Erased,
    ]
}

/// The names of the fields that the mapping of an event visits.
fn visited(event: UserEvent<()>) -> Vec<String> {
    let mut visited = Vec::new();
    event
        .map(&mut |name, ()| {
            visited.push(name.to_owned());
            Ok::<_, std::convert::Infallible>(())
        })
        .unwrap();
    visited
}

fn marked(schema: Schema) -> Vec<Value> {
    fields(schema).into_iter().filter(|field| !field[MARK].is_null()).collect()
}

fn names(fields: &[Value]) -> Vec<String> {
    fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_marked_fields_are_exactly_those_that_are_sealed_and_opened() {
    let events = full_events();
    for event in &events {
        let schema = crate::user::schema_of(event);
        assert_eq!(names(&marked(schema)), visited(event.clone()), "{schema:?}");
    }
    let written: BTreeSet<_> = events.iter().map(crate::user::schema_of).collect();
    assert_eq!(written, Family::User.schemas().collect(), "every schema has its event here");
    let ever: BTreeSet<_> = events.into_iter().flat_map(visited).collect();
    assert_eq!(ever, field::ALL.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn nothing_of_a_session_is_personal() {
    for schema in Family::Session.schemas() {
        assert_eq!(names(&marked(schema)), [""; 0], "{schema:?}");
    }
}

#[test]
fn a_mark_names_the_field_that_holds_whose_it_is() {
    for schema in Schema::ALL {
        for field in marked(*schema) {
            let subject = field[MARK].as_str().unwrap().to_owned();
            assert!(names(&fields(*schema)).contains(&subject), "{schema:?}: {}", field["name"]);
        }
    }
}

#[test]
fn a_marked_field_is_bytes_that_may_be_absent() {
    for schema in Schema::ALL {
        for field in marked(*schema) {
            assert_eq!(field["type"], serde_json::json!(["null", "bytes"]), "{schema:?}");
            assert_eq!(field.get("default"), Some(&Value::Null), "{schema:?}");
        }
    }
}
