//! Letters of decided events: what is discarded of a stream, and whom it tells of.

use dlq_replayer::Exit;
use domain::user::{ProfileChange, UserEvent};
use serde_json::json;
use sqlx::Executor as _;
use uuid::Uuid;

use crate::desk::Desk;
use crate::person::{ANN, Happened, Person};

async fn replay(desk: &Desk, letter: Uuid) -> String {
    let id = letter.to_string();
    desk.calls(&["replay", &id, "--yes", "--reason", "x"]).await.out
}

async fn discard(desk: &Desk, letter: Uuid) -> String {
    let id = letter.to_string();
    let answer = desk.calls(&["discard", &id, "--reason", "x", "--yes"]).await;
    assert_eq!(answer.exit, Exit::Done, "{answer:?}");
    answer.out
}

/// Ann, whose registration is folded, and what she did next: told of herself, and verified her address.
async fn ann(desk: &Desk) -> (Person<'_>, Happened, Happened) {
    let mut ann = Person::at(desk).await;
    let registered = ann.decides(ANN).await;
    let change = ProfileChange { bio: Some(Some("Hi")), ..ProfileChange::default() };
    let told = ann.decides(UserEvent::ProfileUpdated { change }).await;
    let verified = ann.decides(UserEvent::EmailVerified).await;
    let letter = ann.letter(&registered, 0, "parked").await;
    assert_eq!(replay(desk, letter).await, "1 applied\n");
    (ann, told, verified)
}

#[tokio::test]
async fn who_is_erased_is_not_shown_while_their_stream_waits_behind_a_letter() {
    let desk = Desk::start("decided-erased").await;
    let mut ann = Person::at(&desk).await;
    let registered = ann.decides(ANN).await;
    let change = ProfileChange { bio: Some(Some("Hi")), ..ProfileChange::default() };
    let told = ann.decides(UserEvent::ProfileUpdated { change }).await;
    let erased = ann.decides(UserEvent::Erased).await;
    let first = ann.letter(&registered, 0, "parked").await;
    assert_eq!(replay(&desk, first).await, "1 applied\n");
    let refuse = "ALTER TABLE user_rows ADD CONSTRAINT no_two CHECK (version <> 2)";
    desk.pool().execute(refuse).await.unwrap();
    ann.forget_key().await;
    let second = ann.letter(&told, 1, "parked").await;
    let third = ann.letter(&erased, 2, "blocked").await;

    let id = second.to_string();
    desk.calls(&["replay", &id, "--dry-run"]).await;
    assert!(ann.row().await.is_some_and(|(_, erased, row)| !erased && row.contains("Ann")));
    let answer = desk.calls(&["replay", &id, "--yes"]).await;
    assert_eq!(answer.exit, Exit::SomeFailed, "{answer:?}");
    let (version, is_erased, row) = ann.row().await.unwrap();
    assert!(is_erased && version == 1, "{row}");
    assert!(!row.contains("nn") && !row.contains("Smith"), "{row}");
    assert_eq!(desk.state(second).await, "parked");
    assert_eq!(desk.state(third).await, "blocked");

    // Mended, the row is what it would be had nothing waited.
    desk.pool().execute("ALTER TABLE user_rows DROP CONSTRAINT no_two").await.unwrap();
    assert_eq!(replay(&desk, second).await, "2 applied\n");
    let waited = ann.row().await.unwrap();
    assert!(waited.0 == 3 && waited.1 && !waited.2.contains("Hi"), "{}", waited.2);
    desk.pool().execute("DELETE FROM user_rows; DELETE FROM stream_events").await.unwrap();
    for letter in [first, second, third] {
        sqlx::query("UPDATE letters SET state = 'parked', settled_at = NULL WHERE id = $1")
            .bind(letter)
            .execute(desk.pool())
            .await
            .unwrap();
        assert_eq!(replay(&desk, letter).await, "1 applied\n");
    }
    assert_eq!(ann.row().await.unwrap(), waited);
}

#[tokio::test]
async fn an_erasure_that_was_discarded_takes_nobody_out_of_the_view() {
    let desk = Desk::start("decided-erased-not").await;
    let mut ann = Person::at(&desk).await;
    let registered = ann.decides(ANN).await;
    let erased = ann.decides(UserEvent::Erased).await;
    let first = ann.letter(&registered, 0, "parked").await;
    replay(&desk, first).await;
    let second = ann.letter(&erased, 1, "parked").await;
    discard(&desk, second).await;
    desk.calls(&["replay", &second.to_string(), "--yes"]).await;
    assert!(ann.row().await.is_some_and(|(_, erased, _)| !erased));
}

#[tokio::test]
async fn behind_a_discarded_event_that_nobody_could_decode_the_stream_goes_on() {
    let desk = Desk::start("decided-garbled").await;
    let (ann, told, verified) = ann(&desk).await;
    let second = ann.garbled(&told, 1, "parked").await;
    let third = ann.letter(&verified, 2, "blocked").await;
    discard(&desk, second).await;
    assert_eq!(desk.state(third).await, "retrying");
    assert_eq!(replay(&desk, third).await, "1 applied\n");
    assert_eq!(ann.counted().await, [1, 2, 3]);
    let (version, _, row) = ann.row().await.unwrap();
    assert!(version == 3 && row.contains(r#""bio":null"#), "{row}");
}

#[tokio::test]
async fn headers_that_name_another_event_than_the_neighbours_bridge_no_gap() {
    let desk = Desk::start("decided-forged").await;
    let (ann, told, verified) = ann(&desk).await;
    let second = ann.garbled(&told.rival(), 1, "parked").await;
    let third = ann.letter(&verified, 2, "blocked").await;
    discard(&desk, second).await;
    let id = third.to_string();
    let replayed = desk.calls(&["replay", &id, "--yes", "--json"]).await.json();
    assert_eq!(replayed["letters"][0]["error_code"], "version-gap");
    assert_eq!(ann.counted().await, [1]);
}

#[tokio::test]
async fn an_event_that_came_twice_is_discarded_with_both_its_letters() {
    let desk = Desk::start("decided-twice").await;
    let (ann, told, verified) = ann(&desk).await;
    let one = ann.letter(&told, 1, "parked").await;
    let other = ann.letter(&told, 2, "blocked").await;
    let third = ann.letter(&verified, 3, "blocked").await;
    let said = discard(&desk, one).await;
    assert_eq!(said, format!("{other}  discarded with {one}: the same event\n1 discarded\n"));
    assert_eq!(desk.state(other).await, "discarded");
    assert_eq!(desk.state(third).await, "retrying");
    assert_eq!(desk.audit(one).await, ["discard | ann | x | discarded"]);
    assert_eq!(desk.audit(other).await, [format!("discard | ann | x | discarded with {one}")]);
    assert_eq!(desk.count("dispositions").await, 2);
    assert_eq!(replay(&desk, third).await, "1 applied\n");
    assert_eq!(ann.counted().await, [1, 2, 3]);
    assert!(ann.row().await.is_some_and(|(_, _, row)| row.contains(r#""bio":null"#)));
}

#[tokio::test]
async fn letters_of_one_event_that_are_named_together_are_all_discarded() {
    let desk = Desk::start("decided-together").await;
    let (ann, told, verified) = ann(&desk).await;
    let one = ann.letter(&told, 1, "parked").await;
    let other = ann.letter(&told, 2, "blocked").await;
    ann.letter(&verified, 3, "blocked").await;
    let all = ["discard", "--projection", "user", "--reason", "x", "--yes", "--json"];
    let answer = desk.calls(&all).await;
    assert_eq!(answer.exit, Exit::Done, "{answer:?}");
    let answer = answer.json();
    assert_eq!((&answer["discarded"], &answer["failed"]), (&3.into(), &0.into()));
    assert_eq!(answer["letters"][0]["with"], json!([other.to_string()]));
    assert_eq!(desk.audit(one).await.len() + desk.audit(other).await.len(), 2);
    assert_eq!(desk.count("parked_keys").await, 0);
}

#[tokio::test]
async fn a_discarded_event_that_comes_again_is_passed_over() {
    let desk = Desk::start("decided-again").await;
    let (ann, told, verified) = ann(&desk).await;
    let one = ann.letter(&told, 1, "parked").await;
    discard(&desk, one).await;
    let again = ann.letter(&told, 2, "parked").await;
    let third = ann.letter(&verified, 3, "blocked").await;
    assert_eq!(replay(&desk, again).await, "1 applied, 1 duplicate\n");
    assert_eq!(desk.state(again).await, "duplicate");
    assert_eq!(desk.state(third).await, "applied");
    assert_eq!(ann.counted().await, [1, 2, 3]);
    let (version, _, row) = ann.row().await.unwrap();
    assert!(version == 3 && row.contains(r#""bio":null"#), "{row}");
}
