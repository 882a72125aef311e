//! `If-Match`: a decision upon the version that its caller has seen, or none.

use http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::decision_world::{Call, Person, World, admin, registration};

fn patch(world: &World, person: &Person, expected: Option<&str>, bio: &str) -> Call {
    saying(world.call("PATCH", &person.path("")), person, expected, bio)
}

fn saying(call: Call, person: &Person, expected: Option<&str>, bio: &str) -> Call {
    let call = call.by(&person.claims());
    let call = match expected {
        Some(expected) => call.with("if-match", expected),
        None => call,
    };
    call.saying(&json!({"bio": bio}))
}

#[tokio::test]
async fn whoever_has_seen_the_present_version_decides() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let tags = ["\"2\"", "\"3.3\"", "\"17.4.offline\"", "\"1\", \"5\"", "W/\"1.6\"", "*"];
    for (tag, version) in tags.into_iter().zip(3..) {
        let answer = patch(&world, &ann, Some(tag), &format!("At {version}")).send().await;
        let etag = format!("\"{version}\"");
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, &*etag), "{tag}");
    }
}

#[tokio::test]
async fn whoever_has_seen_another_version_is_told_the_present_one() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for tag in ["\"1\"", "\"3\"", "\"2.1\"", "W/\"1\"", "\"02\"", "\"another's\"", "\"1\", \"3\""] {
        let answer = patch(&world, &ann, Some(tag), "Hi").send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (412, "version-mismatch"), "{tag}");
        assert_eq!(answer.header("etag"), "\"2\"", "{tag}");
    }
    for nonsense in ["2", "", "\"2", "*, \"2\""] {
        let answer = patch(&world, &ann, Some(nonsense), "Hi").send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem()),
            (400, "invalid-header"),
            "{nonsense}"
        );
    }
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
}

#[tokio::test]
async fn the_version_is_looked_at_also_where_nothing_would_change() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for (method, below) in [("PATCH", ""), ("PUT", "/roles/user"), ("POST", "/reactivate")] {
        for (tag, status) in [("\"1\"", 412), ("\"2\"", 200)] {
            let call = world.call(method, &ann.path(below)).by(&admin()).with("if-match", tag);
            let answer = call.saying(&json!({})).send().await;
            assert_eq!((answer.status.as_u16(), answer.header("etag")), (status, "\"2\""));
        }
    }
}

/// Two changes over two instances, both made on what is there now.
async fn race(world: &World, ann: &Person, expected: Option<&str>) -> Vec<(StatusCode, String)> {
    world.store.next_appends_meet(2);
    let one = patch(world, ann, expected, "One").send();
    let two = world.call_other("PATCH", &ann.path(""));
    let two = saying(two, ann, expected, "Two").send();
    let (one, two) = tokio::join!(one, two);
    let mut told: Vec<_> =
        [one, two].map(|answer| (answer.status, answer.header("etag").to_owned())).into();
    told.sort();
    told
}

#[tokio::test]
async fn of_two_who_decide_upon_one_version_one_wins_and_the_other_is_told() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let told = race(&world, &ann, Some("\"2\"")).await;
    let etag = "\"3\"".to_owned();
    assert_eq!(told, [(StatusCode::OK, etag.clone()), (StatusCode::PRECONDITION_FAILED, etag)]);
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3]);
}

#[tokio::test]
async fn two_who_expect_nothing_both_decide_one_after_the_other() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let told = race(&world, &ann, None).await;
    let expected = ["\"3\"", "\"4\""].map(|etag| (StatusCode::OK, etag.to_owned()));
    assert_eq!(told, expected);
    let records = world.log.of(&ann.stream_id());
    let versions: Vec<_> = records.iter().map(|record| record.version).collect();
    assert_eq!(versions, [1, 2, 3, 4]);
    assert_eq!(records[3].header("ce_previousid"), records[2].event_id.to_string());
}

#[tokio::test]
async fn all_who_expect_nothing_decide_one_after_the_other() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let mut racing = tokio::task::JoinSet::new();
    for n in 0..50 {
        let call = if n % 2 == 0 { World::call } else { World::call_other };
        let call = call(&world, "PATCH", &ann.path(""));
        racing.spawn(saying(call, &ann, None, &format!("Bio {n}")).send());
    }
    let answers = racing.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(world.log.versions(&ann.stream_id()), (1..=52).collect::<Vec<_>>());
}

#[tokio::test]
async fn whoever_does_not_exist_has_no_version_to_be_mistaken_about() {
    let world = World::new().await;
    let nobody = Person::new(&Uuid::now_v7().to_string());
    for tag in [None, Some("\"1\""), Some("*")] {
        let answer = patch(&world, &nobody, tag, "Hi").send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (404, "not-found"), "{tag:?}");
    }
    // And whoever registers is there only afterwards.
    let register = world.call("POST", "/api/v1/auth/register").with("if-match", "*");
    let answer = register.saying(&registration("ann")).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (412, "version-mismatch"));
    assert!(world.log.records().is_empty());
}
