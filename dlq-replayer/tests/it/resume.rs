//! What `resume` does.

use dlq_replayer::Exit;

use crate::desk::{Desk, contents};

async fn audit(desk: &Desk) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' | ', action, acted_by, projection, reason, outcome)
         FROM letter_actions ORDER BY acted_at, id",
    )
    .fetch_all(desk.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn a_brake_is_released_once_and_audited() {
    let desk = Desk::start("resume").await;
    desk.given_a_brake("5 in a row").await;
    let resume = ["resume", "resource", "--reason", "fixed", "--who", "bob"];
    let answer = desk.calls(&resume).await;
    assert_eq!(answer.exit, Exit::Done, "{answer:?}");
    assert!(answer.out.contains("it had stopped: 5 in a row"), "{}", answer.out);
    let brake: (Option<String>, bool) =
        sqlx::query_as("SELECT brake, braked_at IS NULL FROM generations")
            .fetch_one(desk.pool())
            .await
            .unwrap();
    assert_eq!(brake, (None, true));
    assert_eq!(desk.calls(&resume).await.exit, Exit::NothingMatched);
    assert_eq!(
        audit(&desk).await,
        [
            "resume | bob | resource | fixed | resumed",
            "resume | bob | resource | fixed | not braked"
        ]
    );
}

#[tokio::test]
async fn a_projection_that_is_not_there_is_not_resumed() {
    let desk = Desk::start("resume-unknown").await;
    let before = contents(&desk).await;
    let answer = desk.calls(&["resume", "lost", "--reason", "x", "--json"]).await;
    assert_eq!(answer.exit, Exit::NothingMatched);
    assert_eq!(answer.json()["resumed"], serde_json::json!([]));
    assert_eq!(contents(&desk).await, before);
}
