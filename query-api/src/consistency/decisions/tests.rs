use parking_lot::Mutex;

use super::*;
use crate::positions::map::PositionMap;

const TOPIC: &str = "identity.session";
const WAIT: Duration = Duration::from_secs(2);

/// A store that has said so much when it is asked, and says the last again.
struct Said(Mutex<Vec<Result<Place, LookupError>>>);

impl Said {
    fn of(mut said: Vec<Result<Place, LookupError>>) -> Self {
        said.reverse();
        Self(Mutex::new(said))
    }
}

impl FindPlace for Said {
    async fn find_place(&self, _: &StreamEvent) -> Result<Place, LookupError> {
        let mut left = self.0.lock();
        if left.len() > 1 { left.pop().unwrap() } else { left[0] }
    }
}

const HERE: Place = Place::At { partition: 3, offset: 8 };

fn event() -> StreamEvent {
    StreamEvent { stream_id: "session-1".to_owned(), version: 4 }
}

/// The topic is in its second life.
fn positions() -> Positions {
    let topics = [((TOPIC.to_owned(), 1), 4), ((TOPIC.to_owned(), 2), 12)].into();
    Positions::knowing(PositionMap { topics, ..PositionMap::default() }, 1)
}

async fn asked(said: &Said, positions: &Positions, wait: Duration) -> Result<Need, Unreached> {
    need_of(event(), TOPIC, said, positions, Instant::now() + wait).await
}

fn need() -> Need {
    let log = LogPartition { topic: TOPIC.to_owned(), epoch: 2, partition: 3 };
    Need { log, offset: 8 }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_log_has_is_a_need_at_once() {
    let began = Instant::now();
    let said = Said::of(vec![Ok(HERE)]);
    assert_eq!(asked(&said, &positions(), Duration::ZERO).await, Ok(need()));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_log_does_not_have_yet_is_waited_for() {
    let began = Instant::now();
    let said = Said::of(vec![Ok(Place::NotYet), Ok(Place::NotYet), Ok(HERE)]);
    let positions = positions();
    assert_eq!(asked(&said, &positions, WAIT).await, Ok(need()));
    assert_eq!(began.elapsed(), FIRST_PAUSE * 3);
    // Nobody waits any more.
    assert!(positions.join_waiting().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_does_not_come_into_the_log_is_waited_for_no_longer_than_is_allowed() {
    let began = Instant::now();
    let said = Said::of(vec![Ok(Place::NotYet)]);
    assert_eq!(asked(&said, &positions(), WAIT).await, Err(Unreached::NotLogged));
    assert_eq!(began.elapsed(), WAIT);
    let at_once = asked(&said, &positions(), Duration::ZERO).await;
    assert_eq!((at_once, began.elapsed()), (Err(Unreached::NotLogged), WAIT));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_decided_is_not_waited_for() {
    let began = Instant::now();
    let said = Said::of(vec![Ok(Place::Nowhere)]);
    let refused = asked(&said, &positions(), WAIT).await;
    assert_eq!(refused, Err(Unreached::NoSuchEvent(event())));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_bound_and_a_store_that_does_not_answer_are_told_as_such() {
    let not_yet = Said::of(vec![Ok(Place::NotYet)]);
    let full = positions();
    let _other = full.join_waiting().unwrap();
    assert_eq!(asked(&not_yet, &full, WAIT).await, Err(Unreached::TooManyWaiting));
    for (error, unreached) in [
        (LookupError::Busy, Unreached::TooManyWaiting),
        (LookupError::Unavailable, Unreached::Unknown),
    ] {
        let said = Said::of(vec![Err(error)]);
        assert_eq!(asked(&said, &positions(), WAIT).await, Err(unreached));
    }
    // Before the database has said which life the topic is in.
    let said = Said::of(vec![Ok(HERE)]);
    assert_eq!(asked(&said, &Positions::new(1), WAIT).await, Err(Unreached::Unknown));
}

#[test]
fn what_a_token_says_of_other_streams_is_not_asked_of_these() {
    let mut token = Token::of_stream("session-1", 4);
    for other in [
        Token::of_stream("sessions-1", 4),
        Token::of_stream("session", 4),
        Token::of_stream("user-session-1", 4),
        Token::of_record(TOPIC, 1, 3, 8),
    ] {
        token.merge(&other).unwrap();
    }
    assert_eq!(of_kind(&token, "session"), [event()]);
    assert_eq!(of_kind(&token, "article"), []);
}

#[test]
fn a_place_is_known_once_the_store_has_written_it_down() {
    assert_eq!(published(Some(3), Some(8)), HERE);
    assert_eq!(published(None, None), Place::NotYet);
}
