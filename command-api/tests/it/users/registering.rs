//! Registering: what is taken, what is refused and what is answered.

use command_api::password::{HashedPassword, Password, PasswordConfig, PasswordHasher, Scheme};
use event_store::EventStore as _;
use serde_json::{Value, json};

use crate::decision_world::{Call, World, registration};
use crate::world::Answer;

const PATH: &str = "/api/v1/auth/register";

fn register(world: &World, body: &Value) -> Call {
    world.call("POST", PATH).saying(body)
}

/// Ann's registration with these members in the place of hers, or besides.
fn with(members: Value) -> Value {
    let mut body = registration("ann");
    let Value::Object(members) = members else { panic!("{members}") };
    body.as_object_mut().unwrap().extend(members);
    body
}

#[tokio::test]
async fn whoever_registers_is_shown_with_where_and_by_which_token_they_are_found() {
    let world = World::new().await;
    let body = with(json!({"full_name": "Ann Example", "image": "https://example.org/ann.png"}));
    let answer = register(&world, &body).send().await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), "application/json");
    let id = answer.body["id"].as_str().unwrap();
    let expected = json!({
        "id": id, "username": "ann", "email": "ann@example.org", "email_verified": false,
        "full_name": "Ann Example", "bio": null, "image": "https://example.org/ann.png",
        "active": true, "roles": ["user"], "version": 2,
    });
    assert_eq!(answer.body, expected);
    assert_eq!(answer.header("location"), format!("/api/v1/users/{id}"));
    assert_eq!(answer.header("etag"), "\"2\"");
    assert_eq!(world.offset(answer.header("consistency-token")), 1, "of the last event");
}

#[tokio::test]
async fn the_older_path_is_the_same_and_names_the_canonical_one() {
    let world = World::new().await;
    let answer = world.call("POST", "/users").saying(&registration("ann")).send().await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("link"), format!("<{PATH}>; rel=\"canonical\""));
    let answer = world.call("POST", "/users").saying(&json!({})).send().await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("link"), format!("<{PATH}>; rel=\"canonical\""));
}

#[tokio::test]
async fn every_fault_of_a_registration_is_named_by_pointer_and_rule() {
    let world = World::new().await;
    let long = |count| "x".repeat(count);
    let rows = [
        (json!({"username": "an"}), "/username", "min-characters"),
        (json!({"username": long(33)}), "/username", "max-characters"),
        (json!({"username": "an n"}), "/username", "username-characters"),
        (json!({"username": "änn"}), "/username", "username-characters"),
        (json!({"username": "ann-"}), "/username", "username-ends"),
        (json!({"username": 7}), "/username", "string"),
        (json!({"username": null}), "/username", "string"),
        (json!({"email": "ann"}), "/email", "email"),
        (json!({"email": "ann@example"}), "/email", "email"),
        (json!({"email": "a@b@example.org"}), "/email", "email"),
        (json!({"email": "ann@example.org\nbcc: bob@example.org"}), "/email", "email"),
        (json!({"email": format!("{}@example.org", long(250))}), "/email", "max-characters"),
        (json!({"password": "1234567"}), "/password", "min-characters"),
        (json!({"password": long(257)}), "/password", "max-characters"),
        (json!({"password": ["correct horse"]}), "/password", "string"),
        (json!({"password": "Password1"}), "/password", "common"),
        (json!({"password": "AAAAAAAAAA"}), "/password", "common"),
        (json!({"password": "ann@EXAMPLE.org"}), "/password", "common"),
        (json!({"username": "annabelle", "password": "Annabelle"}), "/password", "common"),
        (json!({"full_name": ""}), "/full_name", "min-characters"),
        (json!({"full_name": long(101)}), "/full_name", "max-characters"),
        (json!({"full_name": "Ann\u{202e}"}), "/full_name", "visible-characters"),
        (json!({"bio": " "}), "/bio", "min-characters"),
        (json!({"bio": long(1_001)}), "/bio", "max-characters"),
        (json!({"bio": "\u{7}"}), "/bio", "visible-characters"),
        (json!({"image": "javascript:alert(1)"}), "/image", "image-url"),
        (json!({"image": "https://ann:secret@example.org/"}), "/image", "image-url"),
        (
            json!({"image": format!("https://example.org/{}", long(2_048))}),
            "/image",
            "max-characters",
        ),
        (json!({"roles": ["admin"]}), "/roles", "known-members"),
        (json!({"id": "00000000-0000-7000-8000-000000000000"}), "/id", "known-members"),
        (json!({"a/b": 1}), "/a~1b", "known-members"),
    ];
    for (members, pointer, rule) in rows {
        let answer = register(&world, &with(members.clone())).send().await;
        assert_eq!(answer.status, 400, "{members}");
        assert_eq!(answer.problem(), "invalid-request", "{members}");
        assert_eq!(answer.errors(), [(pointer, rule)], "{members}");
    }
    assert!(world.log.records().is_empty());
    assert!(world.store.memory().claims().is_empty());
}

#[tokio::test]
async fn all_faults_of_a_registration_are_named_at_once() {
    let world = World::new().await;
    let body = json!({"username": "-a", "email": "nobody", "image": "x", "bio": 7, "roles": []});
    let answer = register(&world, &body).send().await;
    let expected = [
        ("/roles", "known-members"),
        ("/password", "required"),
        ("/username", "min-characters"),
        ("/email", "email"),
        ("/bio", "string"),
        ("/image", "image-url"),
    ];
    assert_eq!((answer.status.as_u16(), answer.errors()), (400, expected.to_vec()));
    let answer = register(&world, &json!({})).send().await;
    let required = [("/username", "required"), ("/email", "required"), ("/password", "required")];
    assert_eq!(answer.errors(), required);
}

#[tokio::test]
async fn what_is_no_object_of_texts_is_refused() {
    let world = World::new().await;
    let twice = r#"{"username": "ann", "username": "bob"}"#.to_owned();
    let long = format!(r#"{{"bio": "{}"}}"#, "x".repeat(40_000));
    for (text, status, problem, rule) in [
        (String::new(), 400, "malformed-json", "json"),
        ("{\"username\":".to_owned(), 400, "malformed-json", "json"),
        ("[]".to_owned(), 400, "invalid-request", "object"),
        ("\"ann\"".to_owned(), 400, "invalid-request", "object"),
        (twice, 400, "invalid-request", "unique-names"),
        (long, 413, "content-too-large", "max-bytes"),
    ] {
        let answer = world.call("POST", PATH).saying_text(text.clone()).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, problem), "{text:.40}");
        let rules: Vec<_> = answer.errors().into_iter().map(|(_, rule)| rule).collect();
        assert_eq!(rules, [rule], "{text:.40}");
    }
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json() {
    let world = World::new().await;
    for media_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"]
    {
        let call = world.call("POST", PATH).saying_as(media_type, registration("ann").to_string());
        let answer = call.send().await;
        let told = (answer.status.as_u16(), answer.problem());
        assert_eq!(told, (415, "unsupported-media-type"), "{media_type}");
    }
    let body = registration("ann").to_string();
    let call = world.call("POST", PATH).saying_as("Application/JSON; charset=utf-8", body);
    assert_eq!(call.send().await.status, 201);
}

fn must_be_taken(answer: &Answer, pointer: &str) {
    assert_eq!((answer.status.as_u16(), answer.problem()), (409, "already-taken"));
    assert_eq!(answer.errors(), [(pointer, "unique")]);
}

#[tokio::test]
async fn a_name_and_an_address_are_taken_whatever_their_case() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let answer = register(&world, &with(json!({"username": "bob", "email": "ANN@Example.ORG"})));
    must_be_taken(&answer.send().await, "/email");
    let answer = register(&world, &with(json!({"username": "AnN", "email": "bob@example.org"})));
    must_be_taken(&answer.send().await, "/username");
    assert_eq!(world.log.records().len(), 2, "nothing was written");
    let claims = world.store.memory().claims();
    assert_eq!(claims.len(), 2);
    assert!(claims.iter().all(|(_, _, whose)| *whose == ann.stream_id()), "{claims:?}");
    // Nothing of whoever was refused is taken.
    world.registered("bob").await;
}

#[tokio::test]
async fn of_those_who_register_one_address_at_once_one_has_it() {
    let world = World::new().await;
    world.store.next_requests_meet(8, 2);
    let mut racing = tokio::task::JoinSet::new();
    for n in 0..8 {
        let name = format!("ann{n}");
        let call = if n % 2 == 0 { World::call } else { World::call_other };
        let call = call(&world, "POST", PATH).named(&name);
        racing.spawn(call.saying(&with(json!({"username": name}))).send());
    }
    let answers = racing.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 7));
    lost.into_iter().for_each(|answer| must_be_taken(answer, "/email"));
    assert_eq!((world.log.records().len(), world.store.memory().claims().len()), (2, 2));
}

#[tokio::test]
async fn an_address_that_nobody_confirmed_is_given_free_again() {
    let term = std::time::Duration::ZERO;
    let world =
        World::of(crate::decision_world::Setup { claim_term: term, ..Default::default() }).await;
    let ann = world.registered("ann").await;
    let answer = register(&world, &with(json!({"username": "bob"}))).send().await;
    assert_eq!(answer.status, 201);
    // The name is hers for good.
    let answer = register(&world, &with(json!({"email": "c@example.org"}))).send().await;
    must_be_taken(&answer, "/username");
    let claims = world.store.memory().claims();
    let hers: Vec<_> = claims.iter().filter(|(_, _, whose)| *whose == ann.stream_id()).collect();
    assert!(matches!(hers[..], [("username", _, _)]), "{hers:?}");
}

#[tokio::test]
async fn of_a_password_a_hash_is_kept_that_knows_it_again() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let hash = world.store.password_hash(&ann.id).await.unwrap().unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    let config = PasswordConfig { scheme: Scheme::Argon2id, hashes: 1, queued: 1 };
    let hasher = PasswordHasher::new(config);
    let mut fits = Vec::new();
    for password in ["correct horse", "correct horse "] {
        let password = Password::entered(password.to_owned());
        let hash = HashedPassword::from_phc(hash.clone());
        fits.push(hasher.verify(password, hash).await.unwrap().is_right());
    }
    assert_eq!(fits, [true, false]);
}

#[tokio::test]
async fn where_bcrypt_is_configured_a_password_is_hashed_with_it_and_never_cut() {
    let scheme = Scheme::Bcrypt { rounds: 10 };
    let world = World::of(crate::decision_world::Setup { scheme, ..Default::default() }).await;
    let longer = with(json!({"password": "p\u{fc}".repeat(24) + "p"}));
    let answer = register(&world, &longer).send().await;
    assert_eq!(answer.errors(), [("/password", "max-bytes")]);
    assert_eq!(answer.body["errors"][0]["limit"], 72);
    let longest = with(json!({"password": "pu\u{308}".repeat(24)}));
    let answer = register(&world, &longest).send().await;
    assert_eq!(answer.status, 201, "it counts in normal form C");
    let id = answer.body["id"].as_str().unwrap();
    let hash = world.store.password_hash(id).await.unwrap().unwrap();
    assert!(hash.starts_with("$2b$10$"), "{hash}");
}
