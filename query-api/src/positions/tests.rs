use std::pin::pin;

use super::map::{ActiveBuild, Advance, LogPartition, Moved};
use super::*;

const WAIT: Duration = Duration::from_secs(2);

fn log(partition: u32) -> LogPartition {
    LogPartition { topic: "events-input".into(), epoch: 1, partition }
}

fn need(offset: u64) -> Vec<Need> {
    vec![Need { log: log(0), offset }]
}

/// An answer of the database in which partition 0 stands at `next_offset`.
fn answer(positions: &Positions, next_offset: u64) {
    let position = Position { next_offset, age: Some(Duration::from_secs(1)) };
    let positions_now = [(log(0), position)].into();
    let build = ActiveBuild { generation: 1, positions: positions_now, ..ActiveBuild::default() };
    let map = PositionMap {
        topics: [(("events-input".into(), 1), 12)].into(),
        active: [("resource".into(), build)].into(),
    };
    positions.answered(follow::Answer { map, time: Timestamp(1_000_000) }, &[]);
}

#[tokio::test(start_paused = true)]
async fn the_database_s_clock_goes_on_between_its_answers() {
    let positions = Positions::new(1);
    answer(&positions, 1);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(positions.database_time(), Timestamp(4_000_000));
}

fn notice(positions: &Positions, next_offset: u64) {
    positions.noticed(&Advance {
        projection: "resource".into(),
        generation: 1,
        topic: "events-input".into(),
        epoch: 1,
        at: vec![Moved { partition: 0, next_offset, newest_letter: None }],
    });
}

async fn reach(positions: &Positions, needs: &[Need], limit: Duration) -> Result<(), Unreached> {
    positions.reach("resource", needs, limit).await
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_reached_is_not_waited_for() {
    let positions = Positions::new(0);
    answer(&positions, 5);
    assert_eq!(reach(&positions, &need(4), WAIT).await, Ok(()));
    assert_eq!(reach(&positions, &[], Duration::ZERO).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_read_goes_on_as_soon_as_a_notice_says_so() {
    let positions = Positions::new(1);
    answer(&positions, 5);
    let needs = need(5);
    let mut waiting = pin!(reach(&positions, &needs, WAIT));
    assert!(futures_poll(waiting.as_mut()).await.is_none());
    assert!(positions.has_waiting());
    let began = Instant::now();
    notice(&positions, 6);
    assert_eq!(waiting.await, Ok(()));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(!positions.has_waiting());
}

#[tokio::test(start_paused = true)]
async fn a_view_that_does_not_come_so_far_is_behind_by_what_it_lacks() {
    let positions = Positions::new(1);
    answer(&positions, 5);
    let began = Instant::now();
    let position = Position { next_offset: 5, age: Some(Duration::from_secs(1) + WAIT) };
    let behind = Unreached::Behind { need: need(7).remove(0), position, brake: None };
    assert_eq!(reach(&positions, &need(7), WAIT).await, Err(behind));
    assert_eq!(began.elapsed(), WAIT);
}

#[tokio::test(start_paused = true)]
async fn without_word_from_the_database_nobody_claims_to_know() {
    let positions = Positions::new(1);
    assert_eq!(reach(&positions, &need(0), WAIT).await, Err(Unreached::Unknown));
    answer(&positions, 5);
    tokio::time::advance(FRESH + Duration::from_secs(1)).await;
    assert_eq!(reach(&positions, &need(5), WAIT).await, Err(Unreached::Unknown));
    // What was visible stays visible.
    assert_eq!(reach(&positions, &need(4), WAIT).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_read_past_the_bound_is_refused_at_once() {
    let positions = Positions::new(1);
    answer(&positions, 5);
    let needs = need(5);
    let mut first = pin!(reach(&positions, &needs, WAIT));
    assert!(futures_poll(first.as_mut()).await.is_none());
    let began = Instant::now();
    assert_eq!(reach(&positions, &needs, WAIT).await, Err(Unreached::TooManyWaiting));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_partition_nobody_knows_is_said_to_be_unknown_once_the_database_was_asked_again() {
    let positions = Positions::new(1);
    answer(&positions, 5);
    let needs = [Need { log: log(12), offset: 0 }];
    let mut waiting = pin!(reach(&positions, &needs, WAIT));
    assert!(futures_poll(waiting.as_mut()).await.is_none());
    answer(&positions, 5);
    assert!(futures_poll(waiting.as_mut()).await.is_none());
    answer(&positions, 5);
    assert_eq!(waiting.await, Err(Unreached::NoSuchPartition(log(12))));
}

/// Polls once, without waiting.
async fn futures_poll<F: Future + Unpin>(future: F) -> Option<F::Output> {
    let mut future = Some(future);
    std::future::poll_fn(move |context| {
        let polled = future.as_mut().map(|future| pin!(future).poll(context));
        std::task::Poll::Ready(match polled {
            Some(std::task::Poll::Ready(output)) => Some(output),
            _ => None,
        })
    })
    .await
}
