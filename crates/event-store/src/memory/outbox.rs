//! The outbox of a store in memory, in the hands of its one owner.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::rows::Rows;
use crate::append::{Append, AppendError};
use crate::event::{Event, LogPlace};
use crate::store::{Ends, Outbox, StoreError, Uncompared};

/// The outbox of a store in memory.
pub struct MemoryOutbox {
    pub(super) rows: Arc<Mutex<Rows>>,
    pub(super) _owned: OwnedMutexGuard<()>,
}

impl Outbox for MemoryOutbox {
    async fn uncompared(&mut self) -> Result<Option<Uncompared>, StoreError> {
        let uncompared = Uncompared { was_rested: false };
        Ok((!self.rows.lock().is_compared).then_some(uncompared))
    }

    async fn rest(self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn published_to(&mut self) -> Result<Ends, StoreError> {
        Ok(self.rows.lock().published_to.clone())
    }

    async fn lacking(&mut self, records: &[Event]) -> Result<Vec<usize>, StoreError> {
        let mut rows = self.rows.lock();
        let mut lacking = Vec::new();
        for (at, record) in records.iter().enumerate() {
            let last = rows.streams.get(&record.stream_id).map_or(0, |stream| stream.version);
            if record.version > last {
                let is_passed_over = record.place.is_some_and(|place| {
                    let of = (record.topic.clone(), place.partition, place.offset);
                    rows.passed_over.contains(&of)
                });
                lacking.extend((!is_passed_over).then_some(at));
                continue;
            }
            let known = rows.events.get_mut(&(record.stream_id.clone(), record.version));
            if let Some(known) = known.filter(|event| event.event_id == record.event_id) {
                known.place = known.place.or(record.place);
            }
        }
        Ok(lacking)
    }

    async fn absorb(&mut self, mut append: Append) -> Result<(), AppendError> {
        let mut rows = self.rows.lock();
        rows.must_be_at(&append)?;
        append.claims.retain(|claim| !rows.is_taken_later(claim));
        rows.write(append);
        Ok(())
    }

    async fn compared(&mut self, ahead: u64, ends: &Ends) -> Result<(), StoreError> {
        let mut rows = self.rows.lock();
        for (end, next) in ends.iter().filter(|(_, end)| **end > 0 && ahead == 0) {
            rows.move_end(end.clone(), *next);
        }
        (rows.is_compared, rows.ahead) = (ahead == 0, ahead);
        Ok(())
    }

    async fn pass_over(&mut self, topic: &str, place: LogPlace) -> Result<(), StoreError> {
        let of = (topic.to_owned(), place.partition, place.offset);
        self.rows.lock().passed_over.insert(of);
        Ok(())
    }

    async fn unpublished(
        &mut self,
        at_once: u32,
        besides: &[String],
    ) -> Result<Vec<Event>, StoreError> {
        let rows = self.rows.lock();
        let events = rows.order.iter().filter_map(|name| rows.events.get(name));
        let unpublished = events.filter(|e| e.place.is_none() && !besides.contains(&e.stream_id));
        Ok(unpublished.take(at_once as usize).cloned().collect())
    }

    async fn mark(&mut self, published: &[(Event, LogPlace)]) -> Result<(), StoreError> {
        let mut rows = self.rows.lock();
        for (event, place) in published {
            if let Some(known) = rows.events.get_mut(&(event.stream_id.clone(), event.version)) {
                known.place = known.place.or(Some(*place));
            }
            rows.move_end((event.topic.clone(), place.partition), place.offset + 1);
        }
        Ok(())
    }
}
