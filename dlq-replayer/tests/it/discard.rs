//! What `discard` does, and what it refuses.

use dlq_replayer::Exit;

use crate::desk::{Desk, Given, a_letter, contents};

#[tokio::test]
async fn a_discard_settles_the_letter_and_leaves_disposition_and_audit() {
    let desk = Desk::start("discard").await;
    let letter = desk.given(a_letter("dev-1", 7)).await;
    let id = letter.to_string();
    let answer = desk.calls(&["discard", &id, "--reason", "vendor test", "--yes"]).await;
    assert_eq!((answer.exit, answer.out.as_str()), (Exit::Done, "1 discarded\n"));
    assert_eq!(desk.state(letter).await, "discarded");
    assert_eq!(desk.audit(letter).await, ["discard | ann | vendor test | discarded"]);
    let disposition: (String, String, i32, i32, i64, String, String) = sqlx::query_as(
        "SELECT projection, topic, epoch, partition, log_offset, decided_by, reason
         FROM dispositions",
    )
    .fetch_one(desk.pool())
    .await
    .unwrap();
    let expected = ("resource", "events-input", 1, 3, 7, "ann", "vendor test");
    let expected = (
        expected.0.to_owned(),
        expected.1.to_owned(),
        expected.2,
        expected.3,
        expected.4,
        expected.5.to_owned(),
        expected.6.to_owned(),
    );
    assert_eq!(disposition, expected);
}

#[tokio::test]
async fn a_letter_that_is_tried_again_by_itself_can_be_discarded() {
    let desk = Desk::start("discard-retrying").await;
    let letter = desk.given(a_letter("dev-1", 7).with_state("retrying")).await;
    let id = letter.to_string();
    let answer = desk.calls(&["discard", &id, "--reason", "x", "--yes"]).await;
    assert_eq!(answer.exit, Exit::Done, "{answer:?}");
    assert_eq!(desk.state(letter).await, "discarded");
}

#[tokio::test]
async fn a_discard_whose_audit_cannot_be_written_has_no_effect() {
    let desk = Desk::start("discard-atomic").await;
    let letter = desk.given(a_letter("dev-1", 7)).await;
    sqlx::query("ALTER TABLE letter_actions ADD CHECK (outcome <> 'discarded')")
        .execute(desk.pool())
        .await
        .unwrap();
    let id = letter.to_string();
    let answer = desk.calls(&["discard", &id, "--reason", "x", "--yes"]).await;
    assert_eq!(answer.exit, Exit::SomeFailed, "{answer:?}");
    assert_eq!(desk.state(letter).await, "parked");
    assert_eq!(desk.count("dispositions").await, 0);
    let audit = desk.audit(letter).await;
    assert!(
        audit.len() == 1 && audit[0].contains("failed") && audit[0].contains("23514"),
        "{audit:?}"
    );
}

#[tokio::test]
async fn an_applied_letter_is_not_discarded_and_the_attempt_is_audited() {
    let desk = Desk::start("discard-applied").await;
    let letter = desk.given(a_letter("dev-1", 7).with_state("applied")).await;
    let id = letter.to_string();
    let answer = desk.calls(&["discard", &id, "--reason", "x", "--yes", "--json"]).await;
    assert_eq!(answer.exit, Exit::SomeFailed);
    assert_eq!(answer.json()["letters"][0]["outcome"], "refused");
    assert_eq!(desk.state(letter).await, "applied");
    assert_eq!(desk.count("dispositions").await, 0);
    assert_eq!(desk.audit(letter).await, ["discard | ann | x | refused: it is applied already"]);
}

#[tokio::test]
async fn of_two_discards_at_once_one_has_effect() {
    let desk = Desk::start("discard-twice").await;
    let letter = desk.given(a_letter("dev-1", 7)).await;
    let id = letter.to_string();
    let discard = ["discard", &id, "--reason", "x", "--yes"];
    let (one, other) = tokio::join!(desk.calls(&discard), desk.calls(&discard));
    let mut exits = [one.exit, other.exit];
    exits.sort();
    assert_eq!(exits, [Exit::Done, Exit::SomeFailed], "{one:?} {other:?}");
    assert_eq!(desk.count("dispositions").await, 1);
    let mut audit = desk.audit(letter).await;
    audit.sort();
    assert_eq!(
        audit,
        ["discard | ann | x | discarded", "discard | ann | x | refused: it is discarded already"]
    );
}

#[tokio::test]
async fn without_a_yes_nothing_is_done() {
    let desk = Desk::start("discard-unsaid").await;
    let letter = desk.given(a_letter("dev-1", 7)).await;
    let before = contents(&desk).await;
    let id = letter.to_string();
    let discard = ["discard", &id, "--reason", "x"];
    let scripted = desk.calls(&discard).await;
    assert_eq!(scripted.exit, Exit::Refused);
    assert!(scripted.err.contains("--yes"), "{}", scripted.err);
    let typed = desk.types(&discard, "n\n").await;
    assert_eq!(typed.exit, Exit::Refused);
    assert!(typed.err.starts_with("1 letter will never be folded"), "{}", typed.err);
    assert_eq!(contents(&desk).await, before);
    assert_eq!(desk.types(&discard, "y\n").await.exit, Exit::Done);
}

#[tokio::test]
async fn more_than_the_cap_is_refused_unless_a_number_is_said() {
    let desk = Desk::start("discard-cap").await;
    for offset in 0..501 {
        desk.given(a_letter("dev-1", offset)).await;
    }
    let refused = desk.calls(&["discard", "--key", "dev-1", "--reason", "x", "--yes"]).await;
    assert_eq!(refused.exit, Exit::Refused);
    assert!(refused.err.contains("501 letters match"), "{}", refused.err);
    assert_eq!(desk.count("dispositions").await, 0);
    let some = ["discard", "--key", "dev-1", "--reason", "x", "--yes", "--max", "3", "--json"];
    let some = desk.calls(&some).await.json();
    assert_eq!((&some["matched"], &some["discarded"]), (&501.into(), &3.into()));
    let offsets: Vec<i64> =
        sqlx::query_scalar("SELECT log_offset FROM dispositions ORDER BY log_offset")
            .fetch_all(desk.pool())
            .await
            .unwrap();
    assert_eq!(offsets, [0, 1, 2], "the first in the order of the log");
}

#[tokio::test]
async fn what_matches_nothing_is_said() {
    let desk = Desk::start("discard-nothing").await;
    let unknown = uuid::Uuid::now_v7().to_string();
    let letter = desk.given(a_letter("dev-1", 7)).await.to_string();
    let tail = ["--reason", "x", "--yes"];
    let by_key = desk.calls(&[&["discard", "--key", "dev-2"], &tail[..]].concat()).await;
    assert_eq!(by_key.exit, Exit::NothingMatched);
    let by_id = desk.calls(&[&["discard", &unknown], &tail[..]].concat()).await;
    assert_eq!(by_id.exit, Exit::NothingMatched);
    let both = desk.calls(&[&["discard", &unknown, &letter], &tail[..]].concat()).await;
    assert_eq!(both.exit, Exit::SomeFailed);
    assert!(both.out.contains(&format!("{unknown}  there is no such letter")), "{}", both.out);
}

#[tokio::test]
async fn behind_a_discarded_head_the_next_letter_waits_for_somebody() {
    let desk = Desk::start("discard-head").await;
    let head = desk.given(a_letter("dev-1", 7)).await;
    let next = desk.given(a_letter("dev-1", 8).with_state("blocked")).await;
    let last = desk.given(a_letter("dev-1", 9).with_state("blocked")).await;
    desk.given_a_parked_key(head, 3).await;
    let shown = desk.calls(&["show", &head.to_string(), "--json"]).await.json();
    assert_eq!(shown["waiting"]["letters"], 3);
    assert_eq!(shown["waiting"]["behind"], serde_json::json!([next.to_string(), last.to_string()]));
    let discard = async |letter: uuid::Uuid| {
        let id = letter.to_string();
        let answer = desk.calls(&["discard", &id, "--reason", "x", "--yes"]).await;
        assert_eq!(answer.exit, Exit::Done, "{answer:?}");
    };
    discard(head).await;
    assert_eq!(desk.state(next).await, "parked");
    assert_eq!(desk.state(last).await, "blocked");
    let waiting: (uuid::Uuid, i32) = sqlx::query_as("SELECT head, letters FROM parked_keys")
        .fetch_one(desk.pool())
        .await
        .unwrap();
    assert_eq!(waiting, (next, 2));
    discard(last).await;
    discard(next).await;
    assert_eq!(desk.count("parked_keys").await, 0);
    let parked: i32 = sqlx::query_scalar("SELECT parked_keys FROM positions")
        .fetch_one(desk.pool())
        .await
        .unwrap();
    assert_eq!(parked, 0, "the stream goes on");
}

#[tokio::test]
async fn behind_a_discarded_fork_the_stream_goes_on_by_itself_in_the_order_of_versions() {
    let desk = Desk::start("discard-fork").await;
    let fork = desk.given(Given { code: "stream-fork", ..a_letter("dev-1", 7) }).await;
    let third = desk.given(a_letter("dev-1", 8).with_state("blocked")).await;
    let second = desk.given(a_letter("dev-1", 9).with_state("blocked")).await;
    for (letter, version) in [(fork, 1), (third, 3), (second, 2)] {
        desk.decided(letter, version).await;
    }
    desk.given_a_parked_key(fork, 3).await;
    let discard = async |letter: uuid::Uuid| {
        let id = letter.to_string();
        let answer = desk.calls(&["discard", &id, "--reason", "x", "--yes"]).await;
        assert_eq!(answer.exit, Exit::Done, "{answer:?}");
    };
    discard(fork).await;
    let is_due: bool = sqlx::query_scalar("SELECT next_try_at <= now() FROM letters WHERE id = $1")
        .bind(second)
        .fetch_one(desk.pool())
        .await
        .unwrap();
    assert!(is_due && desk.state(second).await == "retrying");
    assert_eq!(desk.state(third).await, "blocked");
    let waiting: (uuid::Uuid, i32) = sqlx::query_as("SELECT head, letters FROM parked_keys")
        .fetch_one(desk.pool())
        .await
        .unwrap();
    assert_eq!(waiting, (second, 2));
    // One behind the head says nothing to it.
    sqlx::query("UPDATE letters SET state = 'parked', next_try_at = NULL WHERE id = $1")
        .bind(second)
        .execute(desk.pool())
        .await
        .unwrap();
    discard(third).await;
    assert_eq!(desk.state(second).await, "parked");
}

#[tokio::test]
async fn a_discard_needs_letters_a_reason_and_somebody_who_acts() {
    let desk = Desk::start("discard-usage").await;
    let id = desk.given(a_letter("dev-1", 7)).await.to_string();
    for arguments in [
        &["discard", "--reason", "x", "--yes"][..],
        &["discard", &id, "--yes"],
        &["discard", &id, "--reason", " ", "--yes"],
        &["discard", &id, "--reason", "x", "--yes", "--who", ""],
        &["discard", &id, "--key", "dev-1", "--reason", "x", "--yes"],
        &["discard", "--state", "applied", "--reason", "x", "--yes"],
        &["discard", "not-an-id", "--reason", "x", "--yes"],
    ] {
        let answer = desk.calls(arguments).await;
        assert_eq!(answer.exit, Exit::Usage, "{arguments:?} {answer:?}");
    }
    assert_eq!(desk.count("letter_actions").await, 0);
}
