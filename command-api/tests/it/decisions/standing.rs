//! Where a thing stands, for those who have more to do than decide about it.

use command_api::user::Users;
use problem_details::ProblemType;
use serde_json::json;
use uuid::Uuid;

use crate::decision_world::{Setup, World, admin};

#[tokio::test]
async fn a_thing_stands_at_the_version_of_its_last_event() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    let id = ann.id.parse().unwrap();
    let (state, version) = world.commands.standing::<Users>(id).await.unwrap().unwrap();
    assert_eq!((state.username.as_deref(), state.active, version), (Some("ann"), true, 2));
    let deactivate = world.call("POST", &ann.path("/deactivate")).by(&admin());
    assert_eq!(deactivate.saying(&json!({})).send().await.status, 200);
    let (state, version) = world.commands.standing::<Users>(id).await.unwrap().unwrap();
    assert_eq!((state.active, version), (false, 3));
    let nobody = world.commands.standing::<Users>(Uuid::now_v7()).await.unwrap();
    assert!(nobody.is_none());
}

#[tokio::test]
async fn nobody_stands_anywhere_while_the_store_may_have_been_set_back() {
    let world = World::of(Setup { has_relay: false, ..Setup::default() }).await;
    let refused = world.commands.standing::<Users>(Uuid::now_v7()).await;
    assert_eq!(refused.unwrap_err().kind(), ProblemType::StoreNotCompared);
    world.store.is_away(true);
    let refused = world.commands.standing::<Users>(Uuid::now_v7()).await;
    assert_eq!(refused.unwrap_err().kind(), ProblemType::DatabaseUnavailable);
}

#[tokio::test]
async fn of_whom_nothing_can_be_read_any_more_nothing_is_told() {
    let world = World::new().await;
    let ann = world.registered("ann").await;
    world.store.has_lost_keys();
    let refused = world.commands.standing::<Users>(ann.id.parse().unwrap()).await;
    assert_eq!(refused.unwrap_err().kind(), ProblemType::Erased);
}
