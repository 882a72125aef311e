//! A log in memory that does as it is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use command_api::decision::log::headers_of;
use event_store::relay::{Log, NotAppended, Tail, TailError};
use event_store::{Event, LogPlace};
use parking_lot::Mutex;

/// The partition that everything lies in.
pub(crate) const PARTITION: i32 = 3;

/// A record, as whoever reads the log finds it.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) key: String,
    pub(crate) version: u64,
    pub(crate) event_id: uuid::Uuid,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: Vec<u8>,
    event: Event,
}

impl Logged {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn at(place: LogPlace, event: &Event) -> Self {
        let mut headers = BTreeMap::new();
        headers_of(event).write(|name, value| {
            let value = String::from_utf8(value.to_vec()).unwrap();
            assert_eq!(headers.insert(name.to_owned(), value), None, "{name} stands twice");
        });
        Self {
            key: event.stream_id.clone(),
            version: event.version,
            event_id: event.event_id,
            headers,
            value: event.value.clone(),
            event: Event { place: Some(place), ..event.clone() },
        }
    }
}

/// A log of one topic with one partition.
#[derive(Default)]
pub(crate) struct TestLog {
    records: Mutex<Vec<Logged>>,
    is_away: AtomicBool,
    is_silent: AtomicBool,
    unacknowledged: AtomicU32,
}

impl TestLog {
    /// Whether it refuses whatever comes, as everybody knows.
    pub(crate) fn is_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    /// Whether whoever appends waits for it, and nobody knows why.
    pub(crate) fn is_silent(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::Relaxed);
    }

    /// The next so many records are taken and not acknowledged.
    pub(crate) fn loses_acknowledgements(&self, count: u32) {
        self.unacknowledged.store(count, Ordering::Relaxed);
    }

    /// Holds an event that nobody here has decided.
    pub(crate) fn holds(&self, event: &Event) {
        self.take(event);
    }

    /// All that it holds.
    pub(crate) fn records(&self) -> Vec<Logged> {
        self.records.lock().clone()
    }

    /// What it holds of a stream.
    pub(crate) fn of(&self, stream_id: &str) -> Vec<Logged> {
        self.records().into_iter().filter(|record| record.key == stream_id).collect()
    }

    /// The versions of a stream, in the order in which they were taken.
    pub(crate) fn versions(&self, stream_id: &str) -> Vec<u64> {
        self.of(stream_id).iter().map(|record| record.version).collect()
    }

    fn take(&self, event: &Event) -> LogPlace {
        let mut records = self.records.lock();
        let place = LogPlace { partition: PARTITION, offset: records.len() as i64 };
        records.push(Logged::at(place, event));
        place
    }
}

impl Log for TestLog {
    async fn append(&self, event: &Event) -> Result<LogPlace, NotAppended> {
        tokio::task::yield_now().await;
        while self.is_silent.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if self.is_away.load(Ordering::Relaxed) {
            return Err(NotAppended::Refused);
        }
        let place = self.take(event);
        let one_less = |left: u32| left.checked_sub(1);
        let relaxed = Ordering::Relaxed;
        match self.unacknowledged.fetch_update(relaxed, relaxed, one_less) {
            Ok(_) => Err(NotAppended::Unknown),
            Err(_) => Ok(place),
        }
    }

    fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    async fn tail(&self, _: &str, from: &BTreeMap<i32, i64>) -> Result<Tail, TailError> {
        let from = from.get(&PARTITION).copied().unwrap_or_default();
        let events = self.records().into_iter().map(|record| record.event);
        let records: Vec<_> = events.skip(usize::try_from(from).unwrap()).collect();
        let next = BTreeMap::from([(PARTITION, from + records.len() as i64)]);
        Ok(Tail { records, next, is_end: true })
    }
}
