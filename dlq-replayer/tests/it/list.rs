//! What `list` and `stats` show.

use dlq_replayer::Exit;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::desk::{Desk, Given, a_letter};

fn ids(document: &Value) -> Vec<&str> {
    document["letters"].as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap()).collect()
}

fn hours(seconds: &Value) -> i64 {
    seconds.as_i64().unwrap() / 3600
}

#[tokio::test]
async fn each_filter_leaves_only_letters_that_match() {
    let desk = Desk::start("list-filters").await;
    desk.given_a_projection("history").await;
    let plain = desk.given(a_letter("dev-1", 1)).await;
    let retrying = desk.given(a_letter("dev-1", 2).with_state("retrying")).await;
    let blocked = desk.given(a_letter("dev-1", 3).with_state("blocked")).await;
    let applied = desk.given(a_letter("dev-1", 4).with_state("applied")).await;
    let key = desk.given(a_letter("dev-2", 5)).await;
    let code = desk.given(Given { code: "magic", ..a_letter("dev-1", 6) }).await;
    let class = desk.given(Given { class: "bug", ..a_letter("dev-1", 7) }).await;
    let old = desk.given(Given { hours_old: 50, ..a_letter("dev-1", 8) }).await;
    let history = desk.given(Given { projection: "history", ..a_letter("dev-1", 9) }).await;
    let open = [plain, retrying, blocked, key, code, class, old, history];
    let but = |left: &[Uuid]| -> Vec<Uuid> {
        open.iter().copied().filter(|id| !left.contains(id)).collect()
    };
    for (arguments, expected) in [
        (&[][..], open.to_vec()),
        (&["--projection", "history"], vec![history]),
        (&["--key", "dev-2"], vec![key]),
        (&["--code", "magic"], vec![code]),
        (&["--class", "bug"], vec![class]),
        (&["--since", "2d"], but(&[old])),
        (&["--since", "2000-01-01T00:00:00Z"], open.to_vec()),
        (&["--state", "applied"], vec![applied]),
        (&["--state", "retrying,blocked"], vec![retrying, blocked]),
        (&["--topic", "events-input"], open.to_vec()),
        (&["--topic", "events-output"], vec![]),
        (&["--code", "magic", "--key", "dev-2"], vec![]),
    ] {
        let answer = desk.calls(&[&["list", "--json"], arguments].concat()).await;
        let document = answer.json();
        let mut found: Vec<String> = ids(&document).into_iter().map(str::to_owned).collect();
        let mut expected: Vec<String> = expected.iter().map(Uuid::to_string).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{arguments:?}");
        let exit = if expected.is_empty() { Exit::NothingMatched } else { Exit::Done };
        assert_eq!(answer.exit, exit, "{arguments:?}");
        assert_eq!(document["matched"], expected.len());
    }
}

#[tokio::test]
async fn the_summary_counts_all_letters_and_the_list_is_bounded() {
    let desk = Desk::start("list-groups").await;
    for offset in 0..5 {
        let stream = if offset < 2 { "dev-1" } else { "dev-2" };
        let hours_old = i32::try_from(offset).unwrap();
        desk.given(Given { hours_old, ..a_letter(stream, offset) }).await;
    }
    desk.given(Given { code: "magic", hours_old: 100, ..a_letter("dev-3", 9) }).await;
    let answer = desk.calls(&["list", "--json", "--limit", "2"]).await.json();
    assert_eq!(ids(&answer).len(), 2);
    assert_eq!(answer["matched"], 6);
    // The oldest come first.
    assert_eq!(answer["letters"][0]["error_code"], "magic");
    let groups: Vec<Value> = answer["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| json!([g["error_code"], g["letters"], g["keys"], hours(&g["oldest_age_seconds"])]))
        .collect();
    assert_eq!(groups, [json!(["22P05", 5, 2, 4]), json!(["magic", 1, 1, 100])]);
}

#[tokio::test]
async fn piped_text_fits_a_hundred_columns_and_steers_no_terminal() {
    let desk = Desk::start("list-width").await;
    desk.given(Given {
        stream_id: Some(
            "\u{1b}[2Jdev-with-a-name-that-is-much-longer-than-any-table-has-room-for-in-a-line",
        ),
        code: "a-code-that-nobody-would-ever-think-of-giving",
        ..a_letter("x", i64::MAX)
    })
    .await;
    let answer = desk.calls(&["list"]).await;
    assert_eq!(answer.exit, Exit::Done);
    assert!(answer.out.lines().all(|line| line.chars().count() <= 100), "{}", answer.out);
    assert!(!answer.out.contains('\u{1b}'));
}

#[tokio::test]
async fn letters_of_a_retired_build_are_not_listed() {
    let desk = Desk::start("list-retired").await;
    let letter = desk.given(a_letter("dev-1", 1)).await;
    sqlx::query("UPDATE generations SET state = 'retired'").execute(desk.pool()).await.unwrap();
    assert_eq!(desk.calls(&["list"]).await.exit, Exit::NothingMatched);
    assert_eq!(desk.calls(&["show", &letter.to_string()]).await.exit, Exit::Done);
}

#[tokio::test]
async fn stats_count_by_state_and_class_with_brake_and_notices() {
    let desk = Desk::start("stats").await;
    desk.given_a_projection("another").await;
    desk.given(a_letter("dev-1", 1)).await;
    desk.given(Given { hours_old: 3, ..a_letter("dev-1", 2) }).await;
    desk.given(a_letter("dev-1", 3).with_state("applied")).await;
    desk.given_a_brake("5 in a row").await;
    let document = desk.calls(&["stats", "--json"]).await.json();
    let names: Vec<&Value> =
        document["projections"].as_array().unwrap().iter().map(|p| &p["projection"]).collect();
    assert_eq!(names, ["another", "device_history", "resource", "session", "user"]);
    let resource = &document["projections"][2];
    assert_eq!(resource["brake"], "5 in a row");
    assert_eq!(resource["unpublished_notices"], 3);
    assert_eq!(resource["letters"][0]["state"], "parked");
    assert_eq!(resource["letters"][0]["letters"], 2);
    assert_eq!(hours(&resource["letters"][0]["oldest_age_seconds"]), 3);
    assert_eq!(resource["letters"][1]["state"], "applied");
    let text = desk.calls(&["stats", "--projection", "resource"]).await;
    assert!(text.out.contains("s ago: 5 in a row"), "{}", text.out);
    assert!(!text.out.contains("history"));
    assert_eq!(desk.calls(&["stats", "--projection", "lost"]).await.exit, Exit::NothingMatched);
}

#[tokio::test]
async fn a_database_that_is_away_is_said_without_its_password() {
    let desk = Desk::start("list-away").await;
    let call = dlq_replayer::Call {
        arguments: ["dlq-replayer", "list"].map(Into::into).to_vec(),
        variables: [("DATABASE_URL".to_owned(), "postgres://u:hunter2@127.0.0.1:1/d".to_owned())]
            .into(),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut answers: &[u8] = b"";
    let mut console = dlq_replayer::Console {
        out: &mut out,
        err: &mut err,
        answers: &mut answers,
        is_terminal: false,
    };
    assert_eq!(dlq_replayer::run(call, &mut console).await, Exit::Unreachable);
    let err = String::from_utf8(err).unwrap();
    assert!(err.contains("the database cannot be reached"), "{err}");
    assert!(!err.contains("hunter2"), "{err}");
    drop(desk);
}
