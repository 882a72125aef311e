//! Relays that end at any time, over a log that loses answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use event_store::memory::Memory;
use event_store::publications::Publications;
use event_store::relay::{Log, NotAppended, Relay, RelayConfig, Tail, TailError};
use event_store::{AppendError, Closed, Event, EventStore as _, LogPlace};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::samples::{TOPIC, decision, first};

/// A log of one partition. Some of what it takes it does not acknowledge.
#[derive(Default)]
struct Lossy {
    records: Mutex<Vec<Event>>,
    calls: AtomicU64,
}

impl Log for Lossy {
    async fn append(&self, event: &Event) -> Result<LogPlace, NotAppended> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(call % 4)).await;
        if call % 13 == 12 {
            return Err(NotAppended::Refused);
        }
        let place = {
            let mut records = self.records.lock();
            let place = LogPlace { partition: 0, offset: records.len() as i64 };
            records.push(Event { place: Some(place), ..event.clone() });
            place
        };
        sleep(Duration::from_millis(call % 3)).await;
        if call % 7 == 6 { Err(NotAppended::Unknown) } else { Ok(place) }
    }

    fn is_away(&self) -> bool {
        false
    }

    async fn tail(&self, _: &str, from: &BTreeMap<i32, i64>) -> Result<Tail, TailError> {
        let from = from.get(&0).copied().unwrap_or_default();
        let records = self.records.lock();
        let records: Vec<_> = records[usize::try_from(from).unwrap_or(usize::MAX)..].to_vec();
        let next = BTreeMap::from([(0, from + records.len() as i64)]);
        Ok(Tail { records, next, is_end: true })
    }
}

fn relay(store: &Memory, log: &Arc<Lossy>, publications: &Publications) -> Relay<Memory, Lossy> {
    let config =
        RelayConfig { topics: vec![TOPIC.to_owned()], longest_delivery: Duration::from_secs(5) };
    Relay::new(store.clone(), Arc::clone(log), publications.clone(), store.wake(), config, |_| {})
}

/// How often an event stands behind itself; an error where a version is missing, forked or out of order.
fn duplicates(log: &[Event]) -> Result<usize> {
    let mut streams: BTreeMap<&str, Vec<Uuid>> = BTreeMap::new();
    let mut duplicates = 0;
    for event in log {
        let ids = streams.entry(&event.stream_id).or_default();
        let at = usize::try_from(event.version - 1)?;
        match ids.get(at) {
            None => {
                ensure!(at == ids.len(), "{} {} came too early", event.stream_id, event.version);
                ids.push(event.event_id);
            }
            Some(id) => {
                ensure!(*id == event.event_id, "{} {} is forked", event.stream_id, event.version);
                duplicates += 1;
            }
        }
    }
    Ok(duplicates)
}

#[tokio::test(start_paused = true)]
async fn every_stream_keeps_its_order_while_relays_end_at_any_time() -> Result<()> {
    let (store, log) = (Memory::new(), Arc::<Lossy>::default());
    let publications = Publications::default();
    let relays = tokio::spawn({
        let (store, log, publications) = (store.clone(), Arc::clone(&log), publications.clone());
        async move {
            for life in 1_u64.. {
                let relay = relay(&store, &log, &publications);
                // Ended in the middle of whatever it does.
                let _ =
                    tokio::time::timeout(Duration::from_millis(40 + life % 60), relay.run()).await;
            }
        }
    });
    let mut last: BTreeMap<u64, (u64, Option<Uuid>)> = BTreeMap::new();
    for n in 0..2_000_u64 {
        let stream = n % 7;
        let (version, id) = last.get(&stream).copied().unwrap_or((0, None));
        let append = decision(&format!("user-{stream}"), version, id, 1 + n % 2);
        let newest = append.events.last().context("an event")?;
        last.insert(stream, (newest.version, Some(newest.event_id)));
        while let Err(AppendError::Closed(Closed::NotCompared)) = store.append(append.clone()).await
        {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(n % 3)).await;
    }
    let until = Instant::now() + Duration::from_secs(600);
    for (stream, (version, _)) in &last {
        let stream = format!("user-{stream}");
        tokio::select! {
            place = publications.of(&stream, *version, until) => {
                ensure!(place.is_some(), "{stream} was not published to the end");
            }
            () = publications.look_up(&store) => {}
        }
    }
    relays.abort();
    let records = log.records.lock().clone();
    let absorbed = duplicates(&records)?;
    ensure!(absorbed > 0 && records.len() - absorbed == 3_000, "{absorbed} of {}", records.len());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_ahead_keeps_the_store_closed() -> Result<()> {
    let (store, log) = (Memory::new(), Arc::<Lossy>::default());
    log.records.lock().push(Event {
        place: Some(LogPlace { partition: 0, offset: 0 }),
        ..crate::samples::event("user-lost", 1, None)
    });
    let relay = relay(&store, &log, &Publications::default());
    let _ = tokio::time::timeout(Duration::from_secs(20), relay.run()).await;
    let refused = store.append(first("user-a")).await;
    ensure!(matches!(refused, Err(AppendError::Closed(Closed::LogAhead(1)))), "{refused:?}");
    Ok(())
}
