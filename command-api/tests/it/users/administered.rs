//! What admins decide: whom to let in, and what they may be.

use serde_json::json;

use crate::decision_world::{Person, World, admin};
use crate::world::Answer;

async fn ask(world: &World, person: &Person, method: &str, below: &str) -> Answer {
    world.call(method, &person.path(below)).by(&admin()).send().await
}

#[tokio::test]
async fn somebody_is_let_in_no_more_and_again() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for (below, is_active, etag) in [
        ("/reactivate", true, "\"2\""),
        ("/deactivate", false, "\"3\""),
        ("/deactivate", false, "\"3\""),
        ("/reactivate", true, "\"4\""),
        ("/reactivate", true, "\"4\""),
    ] {
        let answer = ask(&world, &ann, "POST", below).await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, etag), "{below}");
        assert_eq!(answer.body["active"], json!(is_active), "{below}");
    }
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn somebody_becomes_something_more_and_less() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for (method, below, roles, etag) in [
        ("PUT", "/roles/user", json!(["user"]), "\"2\""),
        ("PUT", "/roles/admin", json!(["user", "admin"]), "\"3\""),
        ("PUT", "/roles/admin", json!(["user", "admin"]), "\"3\""),
        ("DELETE", "/roles/analyst", json!(["user", "admin"]), "\"3\""),
        ("DELETE", "/roles/admin", json!(["user"]), "\"4\""),
        ("DELETE", "/roles/user", json!([]), "\"5\""),
    ] {
        let answer = ask(&world, &ann, method, below).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("etag")),
            (200, etag),
            "{method} {below}"
        );
        assert_eq!(answer.body["roles"], roles, "{method} {below}");
    }
    let types: Vec<_> =
        world.log.of(&ann.stream_id()).iter().map(|r| r.header("ce_type").to_owned()).collect();
    let granted = "identity.user.role-granted.v1";
    let revoked = "identity.user.role-revoked.v1";
    assert_eq!(types[2..], [granted, revoked, revoked]);
}

#[tokio::test]
async fn what_is_no_role_is_not_found() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    for (method, below) in
        [("PUT", "/roles/Admin"), ("PUT", "/roles/root"), ("DELETE", "/roles/root")]
    {
        let answer = ask(&world, &ann, method, below).await;
        assert_eq!((answer.status.as_u16(), answer.problem()), (404, "not-found"), "{below}");
    }
    let put = world.call("PUT", &ann.path("/roles/admin")).by(&admin());
    let answer = put.saying(&json!({"until": "tomorrow"})).send().await;
    assert_eq!((answer.status.as_u16(), answer.errors()), (400, vec![("/until", "known-members")]));
    assert_eq!(world.log.versions(&ann.stream_id()), [1, 2]);
}
