//! Who may decide about a user.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::decision_world::{Person, World, admin, of_device, of_user};
use crate::world::Answer;

/// Whose leave an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    OwnOrAdmin,
    Admin,
}

struct Operation {
    method: &'static str,
    below: &'static str,
    body: Option<Value>,
    leave: Leave,
    status: u16,
}

/// Every operation on a user, so that each finds something to do after those before it.
fn operations() -> Vec<Operation> {
    use Leave::{Admin, OwnOrAdmin};
    let operation =
        |method, below, body, leave, status| Operation { method, below, body, leave, status };
    let id = Uuid::now_v7().simple();
    vec![
        operation("PUT", "", Some(json!({"bio": "Hello"})), OwnOrAdmin, 200),
        operation("PATCH", "", Some(json!({"full_name": "Ann"})), OwnOrAdmin, 200),
        operation(
            "PUT",
            "/email",
            Some(json!({"email": format!("{id}@example.org")})),
            OwnOrAdmin,
            200,
        ),
        operation("POST", "/email-verification", None, OwnOrAdmin, 200),
        operation("PUT", "/roles/analyst", None, Admin, 200),
        operation("DELETE", "/roles/analyst", None, Admin, 200),
        operation("POST", "/deactivate", None, Admin, 200),
        operation("POST", "/reactivate", None, Admin, 200),
        operation("DELETE", "", None, OwnOrAdmin, 204),
    ]
}

async fn ask(
    world: &World,
    person: &Person,
    operation: &Operation,
    claims: Option<&Value>,
) -> Answer {
    let mut call = world.call(operation.method, &person.path(operation.below));
    if let Some(claims) = claims {
        call = call.by(claims);
    }
    if let Some(mut body) = operation.body.clone() {
        // One's own address takes the password.
        let is_own = claims.is_some_and(|claims| claims["sub"] == *person.id);
        if is_own && operation.below == "/email" {
            body["current_password"] = json!("correct horse");
        }
        call = call.saying(&body);
    }
    call.send().await
}

#[tokio::test]
async fn whoever_may_not_is_told_so_and_nothing_is_decided() {
    let world = World::new().await;
    let (ann, bob) = (world.registered("ann").await, world.registered("bob").await);
    let expired = json!({"sub": ann.id, "roles": ["user"], "exp": 1});
    let no_role = json!({"sub": ann.id, "roles": [], "exp": 99_999_999_999_i64});
    let prefixed = of_user(&ann.stream_id());
    let of_a_device_s = |mut claims: serde_json::Value| {
        claims["device_id"] = json!("device-1");
        claims
    };
    let before = world.log.records().len();
    for operation in operations() {
        let strangers = [
            (None, 401, "unauthenticated"),
            (Some(expired.clone()), 401, "unauthenticated"),
            (Some(bob.claims()), 403, "forbidden"),
            (Some(of_device(&ann.id)), 403, "forbidden"),
            (Some(of_a_device_s(ann.claims())), 403, "forbidden"),
            (Some(of_a_device_s(admin())), 403, "forbidden"),
            (Some(no_role.clone()), 403, "forbidden"),
            (Some(prefixed.clone()), 403, "forbidden"),
        ];
        let own = (Some(ann.claims()), 403, "forbidden");
        let own = (operation.leave == Leave::Admin).then_some(own);
        for (claims, status, problem) in strangers.into_iter().chain(own) {
            let answer = ask(&world, &ann, &operation, claims.as_ref()).await;
            let (method, below) = (operation.method, operation.below);
            let case = format!("{method} {below} by {claims:?}");
            assert_eq!((answer.status.as_u16(), answer.problem()), (status, problem), "{case}");
            assert!(!answer.header("www-authenticate").is_empty(), "{case}");
        }
    }
    assert_eq!(world.log.records().len(), before);
}

#[tokio::test]
async fn people_decide_about_themselves_what_no_admin_has_to() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for operation in operations().iter().filter(|each| each.leave == Leave::OwnOrAdmin) {
        let answer = ask(&world, &ann, operation, Some(&ann.claims())).await;
        let case = format!("{} {}", operation.method, operation.below);
        assert_eq!(answer.status, operation.status, "{case}: {answer:?}");
    }
}

#[tokio::test]
async fn admins_decide_about_everybody() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for operation in operations() {
        let answer = ask(&world, &ann, &operation, Some(&admin())).await;
        let case = format!("{} {}", operation.method, operation.below);
        assert_eq!(answer.status, operation.status, "{case}: {answer:?}");
    }
}

#[tokio::test]
async fn only_admins_learn_that_there_is_no_such_user() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for id in [Uuid::now_v7().to_string(), ann.id.to_uppercase(), "me".to_owned()] {
        let nobody = Person::new(&id);
        for operation in operations() {
            let case = format!("{} {}", operation.method, nobody.path(operation.below));
            let answer = ask(&world, &nobody, &operation, Some(&admin())).await;
            assert_eq!((answer.status.as_u16(), answer.problem()), (404, "not-found"), "{case}");
        }
    }
    let nobody = Person::new(&Uuid::now_v7().to_string());
    for operation in operations() {
        let answer = ask(&world, &nobody, &operation, Some(&ann.claims())).await;
        assert_eq!(answer.status, 403, "{} {}", operation.method, operation.below);
    }
    assert_eq!(world.log.records().len(), 2);
}

#[tokio::test]
async fn whoever_is_nobody_learns_nothing_of_what_there_is() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for (method, below) in
        [("PUT", "/roles/root"), ("DELETE", "/roles/root"), ("PUT", "/roles/admin")]
    {
        for person in [&ann, &Person::new("me"), &Person::new(&Uuid::now_v7().to_string())] {
            let answer = world.call(method, &person.path(below)).send().await;
            let told = (answer.status.as_u16(), answer.problem());
            assert_eq!(told, (401, "unauthenticated"), "{method} {below}");
            let answer = world.call(method, &person.path(below)).by(&ann.claims()).send().await;
            assert_eq!(answer.problem(), "forbidden", "{method} {below}");
        }
    }
}
