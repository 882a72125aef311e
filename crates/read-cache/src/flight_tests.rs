use std::sync::Arc;

use super::*;
use crate::key::Keys;

fn key() -> CacheKey {
    Keys::default().of("thing", "1")
}

async fn lead<'a>(seat: &'a Seat<'_, u32>) -> Lead<'a, u32> {
    match seat.turn().await {
        Turn::Lead(lead) => lead,
        Turn::Shared(found) => panic!("shares {found}"),
    }
}

async fn shared(seat: &Seat<'_, u32>) -> u32 {
    match seat.turn().await {
        Turn::Shared(found) => found,
        Turn::Lead(_) => panic!("has to load"),
    }
}

#[tokio::test]
async fn who_asked_before_the_load_began_shares_it() {
    let (flights, key) = (Flights::new(), key());
    let (first, second) = (flights.join(&key), flights.join(&key));
    lead(&first).await.land(7, None);
    assert_eq!(shared(&second).await, 7);
}

#[tokio::test]
async fn who_asked_after_the_load_began_does_not_share_it() {
    let (flights, key) = (Flights::new(), key());
    let first = flights.join(&key);
    let loading = lead(&first).await;
    let second = flights.join(&key);
    loading.land(7, None);
    lead(&second).await.land(8, None);
}

#[tokio::test]
async fn a_fill_that_redis_took_covers_who_asked_before_it_was_sent_and_nobody_else() {
    let (flights, key) = (Flights::new(), key());
    let first = flights.join(&key);
    let loading = lead(&first).await;
    let second = flights.join(&key);
    let asked = loading.asked();
    let third = flights.join(&key);
    loading.land(7, Some(asked));
    assert_eq!(shared(&second).await, 7);
    lead(&third).await.land(8, None);
}

#[tokio::test]
async fn a_load_that_is_dropped_goes_to_one_who_waits_with_its_lease() {
    let (flights, key) = (Flights::new(), key());
    let first = flights.join(&key);
    let loading = lead(&first).await;
    let second = flights.join(&key);
    let mut waits = Box::pin(second.turn());
    tokio::select! {
        biased;
        _ = &mut waits => panic!("nothing has landed"),
        () = tokio::task::yield_now() => {}
    }
    drop(loading);
    let Turn::Lead(loading) = waits.await else { panic!("nothing was found") };
    loading.land(9, None);
}

#[tokio::test]
async fn one_who_stops_waiting_does_not_hold_the_others_up() {
    let (flights, key) = (Flights::new(), key());
    let first = flights.join(&key);
    let loading = lead(&first).await;
    let (second, third) = (flights.join(&key), flights.join(&key));
    let (mut gives_up, mut waits) = (Box::pin(second.turn()), Box::pin(third.turn()));
    tokio::select! {
        biased;
        _ = &mut gives_up => panic!("nothing has landed"),
        _ = &mut waits => panic!("nothing has landed"),
        () = tokio::task::yield_now() => {}
    }
    drop(loading);
    drop(gives_up);
    assert!(matches!(waits.await, Turn::Lead(_)));
}

#[tokio::test]
async fn nothing_is_kept_of_a_key_that_nobody_reads() {
    let (flights, key) = (Flights::new(), key());
    let (first, second) = (flights.join(&key), flights.join(&key));
    lead(&first).await.land(7, None);
    drop(first);
    assert_eq!(flights.len(), 1);
    drop(second);
    assert_eq!(flights.len(), 0);
}

/// Many tasks and a row that rises: no read gets less than what was visible when it asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_gets_less_than_what_was_visible_when_it_asked() {
    let flights = Arc::new(Flights::<u64>::new());
    let row = Arc::new(AtomicU64::new(0));
    let mut reads = tokio::task::JoinSet::new();
    for number in 0..2_000u32 {
        let (flights, row) = (flights.clone(), row.clone());
        reads.spawn(async move {
            let key = key();
            let visible = row.fetch_add(1, Ordering::SeqCst) + 1;
            let seat = flights.join(&key);
            let found = match seat.turn().await {
                Turn::Shared(found) => found,
                Turn::Lead(lead) => {
                    let found = row.load(Ordering::SeqCst);
                    if number % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                    lead.land(found, None);
                    found
                }
            };
            assert!(found >= visible, "{found} < {visible}");
        });
    }
    while let Some(read) = reads.join_next().await {
        read.unwrap();
    }
    assert_eq!(flights.len(), 0);
}
