//! What stays of a decision: records of the log, stored states and kept answers.

use domain::decision::Decided;
use domain::user::{ProfileChange, UserEvent};
use event_schema::personal::{Sealed, SubjectKey};
use event_store::EventStore as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decision_world::{Logged, Person, World, decoded};

type UserDecided = Decided<UserEvent<Sealed>>;

/// In whatever tells who somebody is, so that it can be looked for.
const MARKER: &str = "Zebra7";

fn marked() -> Value {
    json!({
        "username": format!("{MARKER}.name"),
        "email": format!("{MARKER}@example.org"),
        "password": format!("{MARKER} horse"),
        "full_name": format!("{MARKER} Full"),
        "bio": format!("I am {MARKER}"),
        "image": format!("https://example.org/{MARKER}.png"),
    })
}

fn is_in(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    text.contains(&MARKER.to_lowercase())
}

async fn key_of(world: &World, person: &Person) -> SubjectKey {
    let key = world.store.subject_key(&person.id).await.unwrap();
    SubjectKey::from_bytes(key.flatten().unwrap())
}

/// The event as whoever has the key reads it.
fn opened(record: &Logged, key: &SubjectKey) -> UserEvent<String> {
    decoded::<UserDecided>(record).event.map(&mut |_, sealed| key.open(&sealed).ok_or(())).unwrap()
}

#[tokio::test]
async fn the_log_has_a_record_for_each_event_with_the_headers_of_its_place() {
    let world = World::new().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let register = world.call("POST", "/api/v1/auth/register").with("x-request-id", "request-1");
    let answer = register.with("traceparent", trace).saying(&marked()).send().await;
    let ann = Person::new(answer.body["id"].as_str().unwrap());
    let patch = world.call("PATCH", &ann.path("")).by(&ann.claims());
    assert_eq!(patch.saying(&json!({"bio": null})).send().await.status, 200);

    let records = world.log.of(&ann.stream_id());
    assert_eq!((records.len(), world.log.records().len()), (3, 3), "the key is the stream");
    let types = [
        "identity.user.registered.v1",
        "identity.user.email-verification-requested.v1",
        "identity.user.profile-updated.v1",
    ];
    let actors = ["anybody", "anybody", &ann.id];
    for (n, (record, (event_type, actor))) in
        records.iter().zip(types.iter().zip(actors)).enumerate()
    {
        let header = |name| record.header(name);
        assert_eq!(header("ce_specversion"), "1.0");
        assert_eq!(header("ce_source"), "/millrace/command-api");
        assert_eq!(header("content-type"), "application/avro");
        assert_eq!(header("ce_id"), record.event_id.to_string());
        assert_eq!(header("ce_type"), *event_type);
        assert_eq!((header("ce_subject"), header("ce_partitionkey")), (&*record.key, &*record.key));
        assert_eq!(header("ce_streamversion"), (n + 1).to_string());
        assert_eq!(header("ce_actor"), actor);
        let before = n.checked_sub(1).map(|before| records[before].event_id.to_string());
        assert_eq!(record.headers.get("ce_previousid"), before.as_ref());
        assert_eq!(record.headers.get("ce_causationid"), None);
        assert_eq!(record.event_id.get_version_num(), 7);
    }
    for record in &records[..2] {
        assert_eq!(record.header("ce_correlationid"), "request-1");
        assert!(record.header("traceparent").starts_with(&trace[..36]), "the trace goes on");
        assert_ne!(record.header("traceparent"), trace, "with our span as the parent");
    }
    assert_eq!(records[0].header("ce_time"), records[1].header("ce_time"), "one decision");
}

#[tokio::test]
async fn a_record_says_in_itself_what_its_headers_say() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for record in world.log.of(&ann.stream_id()) {
        let decided: UserDecided = decoded(&record);
        assert_eq!(decided.event_id, record.event_id);
        assert_eq!(decided.aggregate_id.to_string(), ann.id);
        assert_eq!(decided.version.to_string(), record.header("ce_streamversion"));
        let previous_id = decided.previous_id.map(|id| id.to_string()).unwrap_or_default();
        assert_eq!(previous_id, record.header("ce_previousid"));
        let time = decided.occurred_at.to_rfc3339().unwrap();
        assert_eq!(time, record.header("ce_time"));
    }
}

/// Somebody who has said their marked name in every way there is, and under which names.
async fn marked_person(world: &World) -> (Person, Vec<(String, &'static str)>) {
    let register = world.call("POST", "/api/v1/auth/register").named("register");
    let answer = register.saying(&marked()).send().await;
    assert_eq!(answer.status, 201);
    let ann = Person::new(answer.body["id"].as_str().unwrap());
    let bio = json!({"bio": format!("Still {MARKER}")});
    let email = json!({
        "email": format!("{MARKER}.b@example.org"),
        "current_password": format!("{MARKER} horse"),
    });
    for (method, below, body, key) in [
        ("PATCH", "", &bio, "patch"),
        ("PATCH", "", &bio, "patch-unchanged"),
        ("PUT", "/email", &email, "email"),
        ("PUT", "/email", &email, "email-unchanged"),
        ("POST", "/email-verification", &json!({}), "verification"),
    ] {
        let call = world.call(method, &ann.path(below)).by(&ann.claims()).named(key);
        let answer = call.saying(body).send().await;
        assert_eq!(answer.status, 200, "{key}: {answer:?}");
        assert!(is_in(answer.body.to_string().as_bytes()));
    }
    let keys = ["patch", "patch-unchanged", "email", "email-unchanged", "verification"];
    let own = keys.map(|key| (ann.id.clone(), key));
    let named = [("anybody".to_owned(), "register")].into_iter().chain(own).collect();
    (ann, named)
}

#[tokio::test]
async fn nothing_of_a_person_stands_in_clear_in_log_state_or_answers() {
    let world = World::new().await;
    let (ann, named) = marked_person(&world).await;
    let records = world.log.of(&ann.stream_id());
    assert_eq!(records.len(), 6);
    for record in &records {
        assert!(!is_in(&record.value), "in the value of {}", record.version);
        assert!(!record.headers.values().any(|value| is_in(value.as_bytes())));
    }
    assert!(!is_in(world.store.state(&ann.stream_id()).await.json.as_bytes()));
    for (principal, key) in &named {
        let kept = world.store.kept(principal, key).await.unwrap();
        assert!(!is_in(&kept.answer.unwrap()), "in the answer to {key}");
        assert_eq!(
            kept.subject.as_deref(),
            Some(&*ann.id),
            "the answer to {key} is erased with her"
        );
    }
    let hash = world.store.password_hash(&ann.id).await.unwrap().unwrap();
    assert!(!is_in(hash.as_bytes()));

    // Whoever has the key reads it all.
    let key = key_of(&world, &ann).await;
    let UserEvent::Registered { username, email, full_name, bio, image, .. } =
        opened(&records[0], &key)
    else {
        panic!("she did not register first")
    };
    for text in [Some(username), Some(email), full_name, bio, image] {
        assert!(is_in(text.unwrap().as_bytes()));
    }
    let bio = Some(Some(format!("Still {MARKER}")));
    let change = ProfileChange { bio, ..ProfileChange::default() };
    assert_eq!(opened(&records[2], &key), UserEvent::ProfileUpdated { change });
}

#[tokio::test]
async fn whoever_is_erased_cannot_be_read_in_log_state_or_answers() {
    let world = World::new().await;
    let (ann, named) = marked_person(&world).await;
    let erase = world.call("DELETE", &ann.path("")).by(&ann.claims()).named("erase");
    assert_eq!(erase.send().await.status, 204);
    assert_eq!(world.store.subject_key(&ann.id).await.unwrap(), Some(None), "the key is destroyed");
    assert_eq!(world.store.password_hash(&ann.id).await.unwrap(), None);
    assert_eq!(world.store.memory().claims(), []);
    for (principal, key) in &named {
        let kept = world.store.kept(principal, key).await.unwrap();
        assert_eq!((kept.answer, kept.body_hash), (None, None), "{key}");
    }
    let state = world.store.state(&ann.stream_id()).await.json;
    let state: Value = serde_json::from_str(&state).unwrap();
    for field in domain::user::field::ALL {
        assert_eq!(state[field], Value::Null, "{field}");
    }
    let records = world.log.of(&ann.stream_id());
    let last: UserDecided = decoded(records.last().unwrap());
    assert_eq!(last.event, UserEvent::Erased);
}

#[tokio::test]
async fn the_audit_names_what_changed_and_who_did_it() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let admin = crate::decision_world::admin();
    let patch = world.call("PATCH", &ann.path("")).by(&ann.claims());
    patch.saying(&json!({"bio": "Hi", "full_name": "Ann"})).send().await;
    world.call("POST", &ann.path("/deactivate")).by(&admin).send().await;
    let history = world.store.history(&ann.stream_id()).await.unwrap();
    let audit: Vec<_> = history
        .iter()
        .map(|event| (event.actor.as_deref().unwrap(), event.changed.join(" ")))
        .collect();
    let admin = admin["sub"].as_str().unwrap();
    let expected = [
        ("anybody", "username email roles"),
        ("anybody", ""),
        (&ann.id, "full_name bio"),
        (admin, "active"),
    ];
    assert_eq!(audit, expected.map(|(actor, changed)| (actor, changed.to_owned())));
}

#[tokio::test]
async fn a_subject_that_is_a_name_or_an_address_does_not_enter_the_log() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let mut admin = crate::decision_world::admin();
    admin["sub"] = json!("root@example.org");
    let answer = world.call("POST", &ann.path("/deactivate")).by(&admin).send().await;
    assert_eq!(answer.status, 200);
    let records = world.log.of(&ann.stream_id());
    let actor = records.last().unwrap().header("ce_actor");
    assert!(actor.starts_with("hmac:") && !actor.contains("root"), "{actor}");
    assert!(Uuid::try_parse(actor).is_err());
}
