//! Letters folded again by the projections of this release, under the operators' role.

use dlq_replayer::Exit;
use serde_json::json;

use crate::desk::{Desk, Given, a_letter, contents};

async fn version(desk: &Desk, device: &str) -> Option<(i64, String)> {
    sqlx::query_as("SELECT version, payload::text FROM resources WHERE id = $1")
        .bind(device)
        .fetch_optional(desk.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_letter_is_folded_with_its_state_try_and_audit() {
    let desk = Desk::start("fold").await;
    let letter = desk.given_foldable("dev-1", 7).await;
    let id = letter.to_string();
    let answer = desk.calls(&["replay", &id, "--yes", "--reason", "fixed"]).await;
    assert_eq!((answer.exit, answer.out.as_str()), (Exit::Done, "1 applied\n"), "{answer:?}");
    assert_eq!(desk.state(letter).await, "applied");
    assert_eq!(version(&desk, "dev-1").await, Some((1, r#"{"n":7}"#.to_owned())));
    assert_eq!(desk.audit(letter).await, ["replay | ann | fixed | applied"]);
    let tries: Vec<String> =
        sqlx::query_scalar("SELECT tried_by FROM letter_tries ORDER BY tried_at")
            .fetch_all(desk.pool())
            .await
            .unwrap();
    assert_eq!(tries, ["projector", "ann"]);
}

#[tokio::test]
async fn a_dry_run_shows_the_rows_and_changes_nothing() {
    let desk = Desk::start("fold-dry").await;
    desk.given_foldable("dev-1", 3).await;
    assert_eq!(desk.calls(&["replay", "--key", "dev-1", "--yes"]).await.exit, Exit::Done);
    desk.given_foldable("dev-1", 7).await;
    let before = contents(&desk).await;
    let answer = desk.calls(&["replay", "--key", "dev-1", "--dry-run"]).await;
    assert_eq!(answer.exit, Exit::Done, "{answer:?}");
    assert!(answer.out.contains("version: 1 -> 2"), "{}", answer.out);
    assert!(answer.out.contains("payload: (masked"), "{}", answer.out);
    assert_eq!(contents(&desk).await, before);
    let shown = desk.calls(&["replay", "--key", "dev-1", "--dry-run", "--json"]).await.json();
    assert_eq!(shown["rows"][0]["before"]["version"], 1);
    assert_eq!(shown["rows"][0]["after"]["version"], 2);
    assert_eq!(contents(&desk).await, before);
}

#[tokio::test]
async fn an_older_event_counts_and_does_not_show() {
    let desk = Desk::start("fold-late").await;
    desk.given_foldable("dev-1", 9).await;
    desk.calls(&["replay", "--key", "dev-1", "--yes"]).await;
    let late = desk.given_foldable("dev-1", 2).await;
    let answer = desk.calls(&["replay", "--key", "dev-1", "--yes"]).await;
    assert_eq!(answer.out, "1 superseded\n", "{answer:?}");
    assert_eq!(desk.state(late).await, "superseded");
    assert_eq!(version(&desk, "dev-1").await, Some((2, r#"{"n":9}"#.to_owned())));
}

#[tokio::test]
async fn what_cannot_be_folded_stays_and_is_audited() {
    let desk = Desk::start("fold-poison").await;
    let value = Some(b"no event".to_vec());
    let letter = desk.given(Given { value, ..a_letter("dev-1", 7) }).await;
    let behind = desk.given_foldable("dev-1", 8).await;
    let other = desk.given_foldable("dev-2", 9).await;
    let answer = desk.calls(&["replay", "--state", "parked", "--yes", "--json"]).await;
    assert_eq!(answer.exit, Exit::SomeFailed, "{answer:?}");
    let outcomes: Vec<_> = answer.json()["letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| json!([letter["outcome"], letter["error_code"]]))
        .collect();
    assert_eq!(
        outcomes,
        [json!(["failed", "magic"]), json!(["skipped", null]), json!(["applied", null])]
    );
    assert_eq!(desk.state(letter).await, "parked");
    assert_eq!(desk.audit(letter).await, ["replay | ann | failed"]);
    assert_eq!(desk.state(behind).await, "parked");
    assert_eq!(desk.state(other).await, "applied");
}

#[tokio::test]
async fn two_replays_at_once_and_one_more_have_one_effect() {
    let desk = Desk::start("fold-twice").await;
    for offset in 0..20 {
        desk.given_foldable("dev-1", offset).await;
    }
    let replay = ["replay", "--key", "dev-1", "--yes"];
    let (one, other) = tokio::join!(desk.calls(&replay), desk.calls(&replay));
    for answer in [&one, &other] {
        assert!(matches!(answer.exit, Exit::Done | Exit::SomeFailed), "{answer:?}");
    }
    assert_eq!(version(&desk, "dev-1").await.map(|(version, _)| version), Some(20));
    assert_eq!(desk.calls(&replay).await.exit, Exit::NothingMatched);
    let applied: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM letter_actions WHERE outcome IN ('applied', 'superseded')",
    )
    .fetch_one(desk.pool())
    .await
    .unwrap();
    assert_eq!(applied, 20);
}

#[tokio::test]
async fn a_letter_of_a_projection_that_is_not_ours_is_left_alone() {
    let desk = Desk::start("fold-foreign").await;
    desk.given_a_projection("history").await;
    let letter = desk.given(Given { projection: "history", ..a_letter("dev-1", 7) }).await;
    let id = letter.to_string();
    let answer = desk.calls(&["replay", &id, "--yes"]).await;
    assert_eq!(answer.exit, Exit::SomeFailed, "{answer:?}");
    assert!(answer.out.contains("this release has no projection history"), "{}", answer.out);
    assert_eq!(desk.state(letter).await, "parked");
}

#[tokio::test]
async fn a_discarded_letter_is_not_replayed() {
    let desk = Desk::start("fold-discarded").await;
    let letter = desk.given_foldable("dev-1", 7).await;
    let id = letter.to_string();
    desk.calls(&["discard", &id, "--reason", "x", "--yes"]).await;
    let answer = desk.calls(&["replay", &id, "--yes"]).await;
    assert_eq!(answer.exit, Exit::SomeFailed, "{answer:?}");
    assert_eq!(desk.state(letter).await, "discarded");
    assert_eq!(version(&desk, "dev-1").await, None);
}

async fn say_of_the_cache(desk: &Desk, home: &str) {
    sqlx::query(
        "INSERT INTO positions (projection, generation, topic, epoch, partition, cache_home)
         VALUES ('resource', 1, 'events-input', 1, 3, replace($1, 'NOW', now_ms()::text))
         ON CONFLICT (projection, generation, topic, epoch, partition)
         DO UPDATE SET cache_home = excluded.cache_home",
    )
    .bind(home)
    .execute(desk.pool())
    .await
    .unwrap();
}

#[tokio::test]
async fn a_view_whose_readers_trust_another_redis_is_left_as_it_is() {
    let desk = Desk::start("fold-elsewhere").await;
    let letter = desk.given_foldable("dev-1", 7).await;
    let id = letter.to_string();
    for (home, why) in [
        ("run replication mark", "another Redis than the projector's"),
        ("off NOW", "switched off a moment ago"),
    ] {
        say_of_the_cache(&desk, home).await;
        let answer = desk.calls(&["replay", &id, "--yes"]).await;
        assert_eq!(answer.exit, Exit::Unreachable, "{answer:?}");
        assert!(answer.err.contains(why), "{}", answer.err);
        assert_eq!(desk.state(letter).await, "parked");
        assert_eq!(version(&desk, "dev-1").await, None);
    }
    // Nobody has trusted any for long.
    say_of_the_cache(&desk, "off 1000").await;
    let answer = desk.calls(&["replay", &id, "--yes"]).await;
    assert_eq!(answer.exit, Exit::Done, "{answer:?}");
    assert_eq!(desk.state(letter).await, "applied");
}
