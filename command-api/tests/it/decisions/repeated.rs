//! The same request again: one effect, and the answer that the first one got.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::decision_world::{Call, Person, Setup, World, admin, registration};
use crate::world::Answer;

const REGISTER: &str = "/api/v1/auth/register";

fn register(world: &World, key: &str, body: &Value) -> Call {
    world.call("POST", REGISTER).named(key).saying(body)
}

fn patch(world: &World, person: &Person, key: &str, bio: &str) -> Call {
    let call = world.call("PATCH", &person.path("")).by(&person.claims()).named(key);
    call.saying(&json!({"bio": bio}))
}

/// What of an answer is the same however often it is given.
fn told(answer: &Answer) -> (u16, Value, [String; 4]) {
    let headers = ["content-type", "etag", "location", "consistency-token"];
    (
        answer.status.as_u16(),
        answer.body.clone(),
        headers.map(|name| answer.header(name).to_owned()),
    )
}

#[tokio::test]
async fn fifty_at_once_over_two_instances_have_one_effect_and_one_answer() {
    let world = World::new().await;
    // Nobody finds an answer, neither before the password is hashed nor after it.
    world.store.next_requests_meet(50, 2);
    let mut racing = JoinSet::new();
    for n in 0..50 {
        let call = if n % 2 == 0 { World::call } else { World::call_other };
        let call = call(&world, "POST", REGISTER).named("k1");
        racing.spawn(call.saying(&registration("ann")).send());
    }
    let answers = racing.join_all().await;
    assert_eq!(answers[0].status, 201);
    assert!(!answers[0].header("consistency-token").is_empty());
    for answer in &answers {
        assert_eq!(told(answer), told(&answers[0]));
    }
    let ann = Person::new(answers[0].body["id"].as_str().unwrap());
    assert_eq!((world.log.versions(&ann.stream_id()), world.log.records().len()), (vec![1, 2], 2));
    assert_eq!(world.store.memory().claims().len(), 2);
    let late = register(&world, "k1", &registration("ann")).send().await;
    assert_eq!(told(&late), told(&answers[0]));
}

#[tokio::test]
async fn an_answer_is_repeated_as_it_was_whatever_has_happened_since() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let first = patch(&world, &ann, "k1", "One").send().await;
    patch(&world, &ann, "k2", "Two").send().await;
    let again = patch(&world, &ann, "k1", "One").send().await;
    assert_eq!(told(&again), told(&first));
    assert_eq!(again.header("etag"), "\"3\"");
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_quoted_key_and_a_bare_one_are_the_same() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let first = patch(&world, &ann, "k1", "One").send().await;
    let bare = world.call("PATCH", &ann.path("")).by(&ann.claims()).with("idempotency-key", "k1");
    let again = bare.saying(&json!({"bio": "One"})).send().await;
    assert_eq!(told(&again), told(&first));
    let none = world.call("PATCH", &ann.path("")).by(&ann.claims()).with("idempotency-key", "");
    let answer = none.saying(&json!({"bio": "One"})).send().await;
    assert_eq!((answer.status.as_u16(), answer.problem()), (400, "invalid-header"));
}

#[tokio::test]
async fn another_request_of_the_same_name_is_refused() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    assert_eq!(patch(&world, &ann, "k1", "One").send().await.status, 200);
    let body = json!({"bio": "One"});
    let others = [
        ("another body", patch(&world, &ann, "k1", "Two")),
        ("another method", world.call("PUT", &ann.path("")).saying(&body)),
        ("another path", world.call("POST", &ann.path("/email-verification"))),
    ];
    for (case, call) in others {
        let call = if case == "another body" { call } else { call.by(&ann.claims()).named("k1") };
        let answer = call.send().await;
        let told = (answer.status.as_u16(), answer.problem());
        assert_eq!(told, (422, "idempotency-key-reused"), "{case}");
    }
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3]);
}

#[tokio::test]
async fn a_request_may_come_again_by_its_older_path() {
    let world = World::new().await;
    let by_older_path = |key| world.call("POST", "/users").named(key).saying(&registration("ann"));
    let first = register(&world, "k1", &registration("ann")).send().await;
    assert_eq!(first.status, 201);
    assert_eq!(told(&by_older_path("k1").send().await), told(&first));
    assert_eq!(world.log.records().len(), 2);

    let other = world.call("POST", "/users").named("k2").saying(&registration("bob"));
    let first = other.send().await;
    assert_eq!(told(&register(&world, "k2", &registration("bob")).send().await), told(&first));
    assert_eq!(world.log.records().len(), 4);
    assert_eq!(by_older_path("k2").send().await.problem(), "idempotency-key-reused");
}

#[tokio::test]
async fn another_query_makes_another_request() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let patch = |query: &str| {
        let call = world.call("PATCH", &ann.path(query)).by(&ann.claims()).named("k1");
        call.saying(&json!({"bio": "Hi"})).send()
    };
    let first = patch("?a=1").await;
    assert_eq!((first.status.as_u16(), first.header("etag")), (200, "\"3\""));
    assert_eq!(told(&patch("?a=1").await), told(&first));
    for query in ["", "?", "?a=2"] {
        let answer = patch(query).await;
        assert_eq!(answer.problem(), "idempotency-key-reused", "{query}");
    }
}

#[tokio::test]
async fn the_same_key_of_another_caller_is_another_request() {
    let world = World::new().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    for (person, bio) in [(&ann, "One"), (&bob, "Two")] {
        let answer = patch(&world, person, "k1", bio).send().await;
        assert_eq!((answer.status.as_u16(), &answer.body["bio"]), (200, &json!(bio)));
    }
    let by_admin = world.call("PATCH", &ann.path("")).by(&admin()).named("k1");
    let answer = by_admin.saying(&json!({"bio": "Three"})).send().await;
    assert_eq!((answer.status.as_u16(), &answer.body["bio"]), (200, &json!("Three")));
}

#[tokio::test]
async fn a_refusal_is_repeated_also_where_it_would_be_taken_by_now() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let mut body = registration("bob");
    body["email"] = json!("ann@example.org");
    let first = register(&world, "k1", &body).send().await;
    assert_eq!((first.status.as_u16(), first.problem()), (409, "already-taken"));
    world.call("DELETE", &ann.path("")).by(&admin()).send().await;
    let again = register(&world, "k1", &body).send().await;
    assert_eq!(told(&again), told(&first));
    assert_eq!(again.errors(), [("/email", "unique")]);
    assert_eq!(register(&world, "k2", &body).send().await.status, 201);
}

#[tokio::test]
async fn what_broke_rules_may_be_mended_under_the_same_name() {
    let world = World::new().await;
    let mut body = registration("ann");
    body["email"] = json!("nobody");
    assert_eq!(register(&world, "k1", &body).send().await.status, 400);
    let answer = register(&world, "k1", &registration("ann")).send().await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn whoever_expected_another_version_may_look_and_ask_again_under_the_same_name() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for (expected, status, etag) in [
        ("\"1\"", 412, "\"2\""),
        ("\"1\"", 412, "\"2\""),
        ("\"2\"", 200, "\"3\""),
        ("\"2\"", 200, "\"3\""),
    ] {
        let answer = patch(&world, &ann, "k1", "Hi").with("if-match", expected).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (status, etag), "{expected}");
    }
}

#[tokio::test]
async fn a_request_that_overtakes_itself_is_not_mistaken_for_somebody_else_s() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.store.next_requests_meet(2, 1);
    let send = || patch(&world, &ann, "k1", "Hi").with("if-match", "\"2\"").send();
    let (one, two) = tokio::join!(send(), send());
    assert_eq!((one.status.as_u16(), one.header("etag")), (200, "\"3\""));
    assert_eq!(told(&two), told(&one));
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_the_same_wait_for_the_log_side_by_side() {
    let wait = Duration::from_secs(2);
    let world = World::of(Setup { wait, ..Setup::default() }).await;
    let ann = world.registered("ann").await;
    world.store.next_requests_meet(5, 1);
    world.log.is_silent(true);
    let began = Instant::now();
    let mut racing = JoinSet::new();
    for _ in 0..5 {
        let call = world.call("POST", &ann.path("/email-verification")).by(&ann.claims());
        racing.spawn(call.named("k1").send());
    }
    let answers = racing.join_all().await;
    assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
    assert!(began.elapsed() < wait * 2, "after {:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_that_changed_nothing_is_repeated_too() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let changed = patch(&world, &ann, "k1", "Hi").send().await;
    let first = patch(&world, &ann, "k2", "Hi").send().await;
    assert_eq!(told(&first), told(&changed));
    patch(&world, &ann, "k3", "Ho").send().await;
    let again = patch(&world, &ann, "k2", "Hi").send().await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn whoever_was_not_told_asks_again_and_it_took_effect_once() {
    let world = World::new().await;
    world.store.does_not_tell_of_the_next_append();
    let unknown = register(&world, "k1", &registration("ann")).send().await;
    assert_eq!((unknown.status.as_u16(), unknown.problem()), (503, "unknown-outcome"));
    assert_eq!(unknown.header("retry-after"), "1");
    let answer = register(&world, "k1", &registration("ann")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (201, "\"2\""));
    assert_eq!(world.log.records().len(), 2);
}

#[tokio::test]
async fn of_what_was_refused_nothing_is_left_of_somebody_who_was_erased() {
    let world = World::new().await;
    let (ann, _bob) = (world.registered("ann").await, world.registered("bob").await);
    let taken = || {
        let call = world.call("PUT", &ann.path("/email")).by(&ann.claims()).named("k1");
        let body = json!({"email": "bob@example.org", "current_password": "correct horse"});
        call.saying(&body)
    };
    let first = taken().send().await;
    assert_eq!((first.status.as_u16(), first.problem()), (409, "already-taken"));
    assert_eq!(told(&taken().send().await), told(&first));
    let kept = world.store.kept(&ann.id, "k1").await.unwrap();
    assert_eq!(kept.subject.as_deref(), Some(&*ann.id), "it is erased with her");

    world.call("DELETE", &ann.path("")).by(&admin()).send().await;
    let kept = world.store.kept(&ann.id, "k1").await.unwrap();
    assert_eq!((kept.body_hash, kept.answer), (None, None));
    assert_eq!(taken().send().await.problem(), "erased");
    // Nor is anything kept of what is refused because she was.
    let late = world.call("PATCH", &ann.path("")).by(&ann.claims()).named("k2");
    assert_eq!(late.saying(&json!({"bio": "Hi"})).send().await.problem(), "erased");
    assert!(world.store.kept(&ann.id, "k2").await.is_none());
}

#[tokio::test]
async fn an_answer_about_somebody_who_was_erased_is_gone() {
    let world = World::new().await;
    let first = register(&world, "k1", &registration("ann")).send().await;
    let ann = Person::new(first.body["id"].as_str().unwrap());
    patch(&world, &ann, "k1", "Hi").send().await;
    patch(&world, &ann, "k2", "Hi").send().await;
    let erase = || world.call("DELETE", &ann.path("")).by(&ann.claims()).named("k3");
    let erased = erase().send().await;
    assert_eq!(erased.status, 204);
    for call in [
        register(&world, "k1", &registration("ann")),
        register(&world, "k1", &registration("bob")),
        patch(&world, &ann, "k1", "Hi"),
        patch(&world, &ann, "k2", "Hi"),
    ] {
        let answer = call.send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (410, "erased"));
        assert!(!answer.body.to_string().contains("ann"), "{answer:?}");
    }
    assert_eq!(told(&erase().send().await), told(&erased), "the answer to that stays");
    assert_eq!(world.log.records().len(), 4, "nobody registered again");
}
