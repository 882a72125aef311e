//! A store in which nothing may be decided, or that does not answer: said so, and nothing is written.

use domain::Timestamp;
use event_store::Event;
use uuid::Uuid;

use crate::decision_world::{Person, Setup, TOPIC, TestLog, World, eventually, registration};
use crate::world::Answer;

async fn register(world: &World) -> Answer {
    let register = world.call("POST", "/api/v1/auth/register").named("k1");
    register.saying(&registration("ann")).send().await
}

fn must_be(answer: &Answer, problem: &str, retry_after: &str) {
    assert_eq!((answer.status.as_u16(), answer.problem()), (503, problem));
    assert_eq!(answer.header("retry-after"), retry_after);
}

#[tokio::test]
async fn nothing_is_decided_before_store_and_log_were_compared() {
    let world = World::of(Setup { has_relay: false, ..Setup::default() }).await;
    must_be(&register(&world).await, "store-not-compared", "1");
    assert!(world.store.memory().claims().is_empty());
    world.starts_to_publish().await;
    let mut answer = register(&world).await;
    eventually("the store is open", async || {
        answer = register(&world).await;
        answer.status != 503
    })
    .await;
    assert_eq!(answer.status, 201, "that it was refused is not kept");
    assert_eq!(world.log.records().len(), 2);
}

#[tokio::test]
async fn nothing_is_decided_while_the_log_holds_what_the_store_has_lost() {
    let log = TestLog::default();
    log.holds(&Event {
        stream_id: format!("user-{}", Uuid::now_v7()),
        version: 1,
        event_id: Uuid::now_v7(),
        previous_id: None,
        topic: TOPIC.to_owned(),
        event_type: "identity.user.registered.v1".to_owned(),
        occurred_at: Timestamp(1_700_000_000_000_000),
        correlation_id: None,
        causation_id: None,
        actor: None,
        traceparent: None,
        changed: Vec::new(),
        value: b"what the store has lost".to_vec(),
        place: None,
    });
    let world = World::of(Setup { log, ..Setup::default() }).await;
    // What an earlier relay has sent is waited for first.
    eventually("log and store were compared", async || {
        register(&world).await.problem() == "log-ahead-of-store"
    })
    .await;
    must_be(&register(&world).await, "log-ahead-of-store", "30");
    // That the store knows nobody of this id says nothing: they may be among what it has lost.
    let somebody = Person::new(&Uuid::now_v7().to_string());
    let erase = world.call("DELETE", &somebody.path("")).by(&somebody.claims()).named("k2");
    must_be(&erase.send().await, "log-ahead-of-store", "30");
    assert!(world.store.kept(&somebody.id, "k2").await.is_none(), "a refusal was kept");
    assert_eq!(world.log.records().len(), 1);
    assert!(world.store.memory().claims().is_empty());
}

#[tokio::test]
async fn while_the_store_does_not_answer_nothing_is_decided() {
    let world = World::new().await;
    world.store.is_away(true);
    must_be(&register(&world).await, "database-unavailable", "1");
    let status = format!("/api/v1/decisions/{}", Uuid::now_v7());
    must_be(&world.call("GET", &status).send().await, "database-unavailable", "1");
    world.store.is_away(false);
    assert_eq!(register(&world).await.status, 201);
}
