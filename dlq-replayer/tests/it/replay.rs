//! How letters are selected for a replay, in which order, and when it stops. How a letter is folded
//! is the projector's: here another takes its place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use dlq_replayer::{
    Actor, Exit, Failed, Letter, Outcome, ReplayError, Replayed, Replays, RowChange,
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::desk::{Desk, Given, a_letter};

/// Notes what it is asked, and answers as it is told; what is not told is applied.
#[derive(Clone, Default)]
struct Noted {
    asked: Rc<RefCell<Vec<(i64, bool)>>>,
    answers: BTreeMap<i64, Answer>,
}

#[derive(Clone)]
enum Answer {
    Fails,
    IsRefused,
    IsUnreachable,
}

impl Noted {
    fn answers(mut self, offset: i64, answer: Answer) -> Self {
        self.answers.insert(offset, answer);
        self
    }

    fn asked(&self) -> Vec<i64> {
        self.asked.borrow().iter().map(|(offset, _)| *offset).collect()
    }
}

fn failed(class: &str) -> Failed {
    Failed {
        class: class.to_owned(),
        code: "22P05".to_owned(),
        message: "the database refused while writing rows".to_owned(),
    }
}

impl Replays for Noted {
    async fn replay(
        &mut self,
        _connection: &mut PgConnection,
        letter: &Letter,
        _actor: Actor<'_>,
        dry_run: bool,
    ) -> Result<Replayed, ReplayError> {
        self.asked.borrow_mut().push((letter.log_offset, dry_run));
        let outcome = match self.answers.get(&letter.log_offset) {
            None => Outcome::Applied,
            Some(Answer::Fails) => Outcome::Failed(failed("poison")),
            Some(Answer::IsRefused) => return Err(ReplayError::Refused("retired".to_owned())),
            Some(Answer::IsUnreachable) => {
                return Err(ReplayError::Unreachable(failed("transient")));
            }
        };
        let row = RowChange {
            row: letter.stream_id.clone().unwrap_or_default(),
            before: Some(json!({"version": 1, "payload": {"name": "Ann"}})),
            after: Some(json!({"version": 2, "payload": {"name": "Bob"}})),
        };
        Ok(Replayed { letters: vec![(letter.id, outcome)], rows: vec![row] })
    }
}

#[tokio::test]
async fn keys_are_replayed_one_by_one_in_log_order_and_stop_at_their_first_failure() {
    let desk = Desk::start("replay-order").await;
    for (stream, offset) in [("a", 9), ("b", 3), ("a", 2), ("a", 5), ("b", 8)] {
        desk.given(a_letter(stream, offset)).await;
    }
    let replays = Noted::default().answers(5, Answer::Fails);
    let answer =
        desk.calls_with(&["replay", "--state", "parked", "--yes", "--json"], replays.clone()).await;
    assert_eq!(replays.asked(), [2, 5, 3, 8]);
    assert_eq!(answer.exit, Exit::SomeFailed);
    let document = answer.json();
    let count = |name: &str| document[name].as_i64().unwrap();
    assert_eq!([count("applied"), count("failed"), count("skipped")], [3, 1, 1]);
    let skipped =
        document["letters"].as_array().unwrap().iter().find(|l| l["outcome"] == "skipped");
    assert_eq!(skipped.unwrap()["reason"], "an earlier letter of its key failed");
}

#[tokio::test]
async fn settled_letters_are_not_meant_by_filters() {
    let desk = Desk::start("replay-open").await;
    desk.given(a_letter("a", 1).with_state("applied")).await;
    desk.given(a_letter("a", 2).with_state("discarded")).await;
    desk.given(a_letter("a", 3).with_state("retrying")).await;
    let replays = Noted::default();
    let answer = desk.calls_with(&["replay", "--key", "a", "--yes"], replays.clone()).await;
    assert_eq!(replays.asked(), [3]);
    assert_eq!((answer.exit, answer.out.as_str()), (Exit::Done, "1 applied\n"));
}

#[tokio::test]
async fn max_takes_the_first_letters_and_says_how_many_match() {
    let desk = Desk::start("replay-max").await;
    for offset in [4, 2, 6] {
        desk.given(a_letter("dev-9", offset)).await;
    }
    let replays = Noted::default();
    let answer = desk
        .calls_with(&["replay", "--key", "dev-9", "--max", "1", "--yes"], replays.clone())
        .await;
    assert_eq!(replays.asked(), [2]);
    assert_eq!(answer.out, "1 applied; 1 of 3 that match were taken\n");
    assert_eq!(answer.exit, Exit::Done);
}

#[tokio::test]
async fn more_than_the_cap_is_refused() {
    let desk = Desk::start("replay-cap").await;
    let given = desk.given(a_letter("a", 0)).await;
    sqlx::query(
        "INSERT INTO letters SELECT (jsonb_populate_record(l, jsonb_build_object(
             'id', gen_random_uuid(), 'log_offset', n))).*
         FROM letters l, generate_series(1, 500) n WHERE l.id = $1",
    )
    .bind(given)
    .execute(desk.pool())
    .await
    .unwrap();
    let replays = Noted::default();
    let answer = desk.calls_with(&["replay", "--key", "a", "--yes"], replays.clone()).await;
    assert_eq!(answer.exit, Exit::Refused);
    assert!(answer.err.contains("501 letters match, more than 500"), "{}", answer.err);
    assert!(replays.asked().is_empty());
}

#[tokio::test]
async fn without_a_yes_nothing_is_replayed() {
    let desk = Desk::start("replay-unsaid").await;
    let id = desk.given(a_letter("a", 1)).await.to_string();
    let replays = Noted::default();
    let answer = desk.calls_with(&["replay", &id], replays.clone()).await;
    assert_eq!(answer.exit, Exit::Refused);
    assert!(answer.err.contains("1 letter of 1 key"), "{}", answer.err);
    assert!(replays.asked().is_empty());
}

#[tokio::test]
async fn under_a_brake_letters_can_be_replayed_since_that_is_how_it_is_mended() {
    let desk = Desk::start("replay-brake").await;
    let id = desk.given(a_letter("a", 1)).await.to_string();
    desk.given_a_brake("5 in a row").await;
    let replays = Noted::default();
    let replayed = desk.calls_with(&["replay", &id, "--yes"], replays.clone()).await;
    assert_eq!(replayed.exit, Exit::Done, "{replayed:?}");
    assert_eq!(*replays.asked.borrow(), [(1, false)]);
}

#[tokio::test]
async fn a_dry_run_prints_rows_without_persons_data() {
    let desk = Desk::start("replay-dry").await;
    let id = desk.given(a_letter("a", 1)).await.to_string();
    let dry = desk.calls_with(&["replay", &id, "--dry-run"], Noted::default()).await;
    assert!(dry.out.contains("version: 1 -> 2"), "{}", dry.out);
    assert!(dry.out.contains("nothing was changed"), "{}", dry.out);
    assert!(!dry.out.contains("Ann"), "{}", dry.out);
    let shown = desk.calls_with(&["replay", &id, "--dry-run", "--reveal"], Noted::default()).await;
    assert!(shown.out.contains("Ann") && shown.err.contains("persons' data"), "{shown:?}");
    let plain = desk.calls_with(&["replay", &id, "--yes"], Noted::default()).await;
    assert_eq!(plain.out, "1 applied\n");
    let diff =
        desk.calls_with(&["replay", &id, "--yes", "--diff", "--json"], Noted::default()).await;
    assert_eq!(diff.json()["rows"][0]["changed"], json!(["payload", "version"]));
}

#[tokio::test]
async fn an_attempt_that_came_to_nothing_is_audited_unless_it_was_dry() {
    let desk = Desk::start("replay-audit").await;
    let refused = desk.given(a_letter("a", 1)).await;
    let away = desk.given(a_letter("b", 2)).await;
    let never = desk.given(a_letter("c", 3)).await;
    let replays = Noted::default().answers(1, Answer::IsRefused).answers(2, Answer::IsUnreachable);
    let dry = ["replay", "--class", "poison", "--dry-run"];
    assert_eq!(desk.calls_with(&dry, replays.clone()).await.exit, Exit::Unreachable);
    assert_eq!(desk.count("letter_actions").await, 0);
    let replay = ["replay", "--class", "poison", "--yes", "--reason", "fixed"];
    let answer = desk.calls_with(&replay, replays.clone()).await;
    assert_eq!(answer.exit, Exit::Unreachable);
    assert!(answer.out.contains("1 skipped"), "what was done is told: {}", answer.out);
    assert_eq!(desk.audit(refused).await, ["replay | ann | fixed | skipped: retired"]);
    let audit = desk.audit(away).await;
    assert!(audit.len() == 1 && audit[0].contains("transient 22P05"), "{audit:?}");
    assert_eq!(desk.audit(never).await, [""; 0]);
}

#[tokio::test]
async fn letters_without_a_stream_stand_alone() {
    let desk = Desk::start("replay-keyless").await;
    for offset in [1, 2] {
        desk.given(Given { stream_id: None, ..a_letter("x", offset) }).await;
    }
    let replays = Noted::default().answers(1, Answer::Fails);
    desk.calls_with(&["replay", "--code", "22P05", "--yes"], replays.clone()).await;
    assert_eq!(replays.asked(), [1, 2]);
}

#[tokio::test]
async fn an_id_that_is_no_letter_is_named() {
    let desk = Desk::start("replay-unknown").await;
    let letter = desk.given(a_letter("a", 1)).await.to_string();
    let unknown = Uuid::now_v7().to_string();
    let answer = desk.calls_with(&["replay", &letter, &unknown, "--yes"], Noted::default()).await;
    assert_eq!(answer.exit, Exit::SomeFailed);
    assert!(answer.out.contains(&format!("{unknown}  there is no such letter")), "{}", answer.out);
}
