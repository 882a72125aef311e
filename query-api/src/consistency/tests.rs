use axum::http::StatusCode;
use axum::response::IntoResponse;
use proptest::prelude::*;

use super::*;

fn key() -> TokenKey {
    TokenKey::derive(b"a secret")
}

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn shown(partition: u32, offset: u64) -> Shown {
    Shown { log: LogPartition { topic: "events-input".into(), epoch: 1, partition }, offset }
}

fn log(partition: u32, offset: u64) -> Token {
    Token::of_record("events-input", 1, partition, offset)
}

fn read(pairs: &[(HeaderName, &str)]) -> Consistency {
    Consistency::from_headers(&headers(pairs), &key()).unwrap()
}

fn out(settled: Settled, shown: Option<Shown>) -> HeaderMap {
    settled.onto(StatusCode::OK.into_response(), shown, &key()).headers().clone()
}

const VIEW: LogTopic<'static> =
    LogTopic { projection: "resource", topic: "events-input", decisions: None };
const WAITS: Waits = Waits { usual: Duration::from_secs(2), longest: Duration::from_secs(5) };

#[test]
fn several_tokens_count_together() {
    let (a, b, c) = (log(0, 5), log(1, 7), log(0, 9));
    let two = format!("{}, {}", a.encode(&key()), b.encode(&key()));
    let read = read(&[(CONSISTENCY_TOKEN, &two), (CONSISTENCY_TOKEN, &c.encode(&key()))]);
    let mut all = log(1, 7);
    all.merge(&log(0, 9)).unwrap();
    assert_eq!(read.token, Some(all));
}

#[test]
fn a_token_that_was_changed_is_refused() {
    let token = log(0, 5).encode(&TokenKey::derive(b"another secret"));
    let refused = Consistency::from_headers(&headers(&[(CONSISTENCY_TOKEN, &token)]), &key());
    assert_eq!(refused.unwrap_err().into_response().status(), StatusCode::BAD_REQUEST);
}

#[test]
fn what_a_token_says_of_other_topics_is_not_asked_of_this_view() {
    let mut token = log(3, 8);
    token.merge(&Token::of_record("content.article", 1, 3, 100)).unwrap();
    token.merge(&Token::of_stream("article-1", 4)).unwrap();
    let needs = needs(&token, "events-input");
    let log = LogPartition { topic: "events-input".into(), epoch: 1, partition: 3 };
    assert_eq!(needs, [Need { log, offset: 8 }]);
}

#[tokio::test(start_paused = true)]
async fn a_read_without_a_token_waits_for_nothing() {
    let settled = read(&[(lifecycle::http::PREFER, "wait=5")]);
    let settled = settled.settle(&Positions::new(1), VIEW, WAITS).await.unwrap();
    assert_eq!(settled, Settled::default());
}

#[tokio::test(start_paused = true)]
async fn a_strict_read_waits_its_time_and_is_then_refused() {
    for (prefer, seconds) in [("wait=3", 3), ("wait=60", 5), ("x", 2), ("wait=0", 0)] {
        let token = log(0, 5).encode(&key());
        let read = read(&[(CONSISTENCY_TOKEN, &token), (lifecycle::http::PREFER, prefer)]);
        let began = Instant::now();
        let refused = read.settle(&Positions::new(1), VIEW, WAITS).await.unwrap_err();
        assert_eq!(began.elapsed(), Duration::from_secs(seconds), "{prefer}");
        assert_eq!(refused.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lenient_read_goes_on_and_says_that_it_is_old() {
    let token = log(0, 5).encode(&key());
    let lenient = "handling=lenient, wait=9";
    let read = read(&[(CONSISTENCY_TOKEN, &token), (lifecycle::http::PREFER, lenient)]);
    let settled = read.settle(&Positions::new(1), VIEW, WAITS).await.unwrap();
    let out = out(settled, Some(shown(0, 3)));
    assert_eq!(out[PREFERENCE_APPLIED], "wait=5, handling=lenient");
    assert!(out.contains_key(AGE));
    // The answer does not show what the token asked for, so its own token does not say so.
    assert_eq!(out[CONSISTENCY_TOKEN], log(0, 3).encode(&key()));
}

#[tokio::test(start_paused = true)]
async fn a_read_of_two_views_waits_once() {
    let token = log(0, 5).encode(&key());
    let one = read(&[(CONSISTENCY_TOKEN, &token), (lifecycle::http::PREFER, "wait=3")]);
    let (other, began) = (one.clone(), Instant::now());
    assert!(one.settle(&Positions::new(1), VIEW, WAITS).await.is_err());
    assert!(other.settle(&Positions::new(1), VIEW, WAITS).await.is_err());
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[test]
fn a_read_of_two_views_is_as_old_as_the_older() {
    let of = |is_stale, seconds: Option<u64>| {
        let age = seconds.map(Duration::from_secs);
        Settled { is_stale, age, ..Settled::default() }
    };
    for (one, other, is_stale, age) in [
        (of(false, Some(0)), of(false, Some(0)), false, Some(0)),
        (of(true, Some(3)), of(false, Some(0)), true, Some(3)),
        (of(false, Some(0)), of(true, Some(3)), true, Some(3)),
        (of(true, Some(3)), of(true, Some(5)), true, Some(5)),
        (of(true, None), of(true, Some(5)), true, None),
        (of(false, Some(0)), of(true, None), true, None),
    ] {
        assert_eq!(one.beside(other), of(is_stale, age));
    }
}

#[test]
fn an_answer_that_shows_all_promises_what_was_asked_and_what_was_shown() {
    let settled = Settled { token: Some(log(0, 5)), ..Settled::default() };
    let out = out(settled, Some(shown(1, 3)));
    let mut both = log(0, 5);
    both.merge(&log(1, 3)).unwrap();
    assert_eq!(out[CONSISTENCY_TOKEN], both.encode(&key()));
    assert!(!out.contains_key(AGE) && !out.contains_key(PREFERENCE_APPLIED));
}

#[test]
fn what_was_found_in_the_log_is_named_by_its_place_in_the_answer() {
    let stream = |n: u64| format!("user-{n}");
    let found = |n| {
        let Shown { log, offset } = shown(1, 10 + n);
        (StreamEvent { stream_id: stream(n), version: 2 }, Need { log, offset })
    };
    let mut token = log(0, 5);
    for n in 0..3 {
        token.merge(&Token::of_stream(&stream(n), 2)).unwrap();
    }
    token.merge(&Token::of_stream("session-1", 4)).unwrap();
    let placed = vec![found(0), found(2)];
    let one = Settled { token: Some(token), placed, ..Settled::default() };
    let other = Settled { placed: vec![found(1)], ..Settled::default() };
    let mut expected = log(0, 5);
    expected.merge(&log(1, 12)).unwrap();
    // Nobody has looked for that one.
    expected.merge(&Token::of_stream("session-1", 4)).unwrap();
    assert_eq!(out(one.beside(other), None)[CONSISTENCY_TOKEN], expected.encode(&key()));
}

proptest! {
    #[test]
    fn the_token_of_an_answer_never_asks_for_less_than_what_was_shown(
        asked in prop::option::of((0_u32..3, 0_u64..9)), last in (0_u32..3, 0_u64..9), is_stale: bool,
    ) {
        let token = asked.map(|(partition, offset)| log(partition, offset));
        let settled = Settled { token, is_stale, ..Settled::default() };
        let out = out(settled, Some(shown(last.0, last.1)));
        let token = Token::decode(out[CONSISTENCY_TOKEN].to_str().unwrap(), &key()).unwrap();
        let covers = token.entries().any(|entry| matches!(entry,
            Entry::Log { partition, offset, .. } if partition == last.0 && offset >= last.1));
        prop_assert!(covers);
    }
}
