//! Where every partition of a projection stands, for health, metrics and waiting readers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What a partition is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionState {
    /// Folding, or waiting for something to fold.
    Folding,
    /// Trying again something that failed for a reason that passes.
    Retrying {
        /// Why.
        reason: String,
    },
    /// Standing still until somebody acts.
    Halted {
        /// Stable name of the reason.
        kind: String,
        /// The reason.
        reason: String,
        /// The record that could not be folded, if it is one.
        offset: Option<i64>,
    },
}

/// Where one partition stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Next offset to fold.
    pub next_offset: i64,
    /// What it is doing, and since when.
    pub state: PartitionState,
    /// Since when the state is of its kind.
    pub since: Instant,
    /// Offset of its newest letter, below 0 if there is none; not known before the first batch.
    newest_letter: Option<i64>,
    /// Why it cannot be read, since the last record that arrived.
    unreadable: Option<String>,
    log_start: Option<i64>,
    log_end: Option<i64>,
    oldest_log_time_ms: Option<i64>,
    /// When it was last level with the log's end, or assigned.
    level_at: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    partitions: BTreeMap<i32, Standing>,
    log_ends: BTreeMap<i32, i64>,
    advanced: BTreeMap<i32, Advanced>,
    away: Option<(String, Instant)>,
    is_member: bool,
    fault: Option<String>,
}

/// A position that moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Advanced {
    /// Next offset to fold.
    pub(super) next_offset: i64,
    /// Offset of the newest letter below it, below 0 if there is none; `None` where it is not known.
    pub(super) newest_letter: Option<i64>,
}

/// The standing of a projection's partitions in this process.
#[derive(Debug)]
pub struct Progress {
    projection: &'static str,
    inner: Mutex<Inner>,
    advanced: Notify,
}

/// How long a partition or a dependency may be in trouble before the projection is not ready: less
/// is a hiccup.
const PATIENCE: Duration = Duration::from_secs(5);

impl Progress {
    pub(super) fn new(projection: &'static str) -> Self {
        Self { projection, inner: Mutex::default(), advanced: Notify::new() }
    }

    /// The projection.
    pub fn projection(&self) -> &'static str {
        self.projection
    }

    /// Every assigned partition.
    pub fn partitions(&self) -> BTreeMap<i32, Standing> {
        self.inner.lock().partitions.clone()
    }

    /// Why the projection cannot be relied on now; nothing where it can.
    pub fn troubles(&self, now: Instant) -> Vec<String> {
        let inner = self.inner.lock();
        let mut troubles: Vec<String> = inner.fault.iter().cloned().collect();
        if !inner.is_member && inner.fault.is_none() {
            troubles.push("the consumer group has not given partitions yet".to_owned());
        }
        if let Some((reason, since)) = &inner.away
            && now.duration_since(*since) > PATIENCE
        {
            troubles.push(format!("no broker can be reached: {reason}"));
        }
        let stuck = |(partition, standing): (&i32, &Standing)| match &standing.state {
            PartitionState::Folding => standing
                .unread(now)
                .map(|reason| format!("partition {partition} cannot be read: {reason}")),
            PartitionState::Retrying { reason } => (now.duration_since(standing.since) > PATIENCE)
                .then(|| format!("partition {partition} is retrying: {reason}")),
            PartitionState::Halted { kind, reason, offset } => {
                let at = offset.map(|o| format!(" at offset {o}")).unwrap_or_default();
                Some(format!("partition {partition} is halted{at}: {kind}: {reason}"))
            }
        };
        troubles.extend(inner.partitions.iter().filter_map(stuck));
        troubles
    }

    /// Age of each partition's oldest record that is not folded, in seconds; 0 where there is none.
    ///
    /// Where such a record is in hand its log time tells; where the log is known to hold more than
    /// is in hand, the time since the partition was last level with it.
    pub fn lag_seconds(&self, now: Instant, wall_ms: i64) -> BTreeMap<i32, f64> {
        let inner = self.inner.lock();
        inner.partitions.iter().map(|(id, standing)| (*id, standing.lag(now, wall_ms))).collect()
    }

    /// Whether a broker can be reached, as far as is known.
    pub fn reaches_brokers(&self) -> bool {
        self.inner.lock().away.is_none()
    }

    /// Next offsets, for tools.
    pub(super) fn next_offsets(&self) -> BTreeMap<i32, i64> {
        let inner = self.inner.lock();
        inner.partitions.iter().map(|(id, standing)| (*id, standing.next_offset)).collect()
    }

    /// Waits until a position has moved and returns all that moved since the last call.
    pub(super) async fn next_advance(&self) -> BTreeMap<i32, Advanced> {
        loop {
            let moved = std::mem::take(&mut self.inner.lock().advanced);
            if !moved.is_empty() {
                return moved;
            }
            self.advanced.notified().await;
        }
    }

    pub(super) fn joined(&self) {
        let mut inner = self.inner.lock();
        inner.is_member = true;
        inner.fault = None;
    }

    /// The group took all partitions away and has not given any yet.
    pub(super) fn left(&self) {
        self.inner.lock().is_member = false;
    }

    /// Something outside the partitions stands in the way of the whole projection.
    pub(super) fn fault(&self, reason: String) {
        let mut inner = self.inner.lock();
        inner.is_member = false;
        inner.fault = Some(reason);
    }

    pub(super) fn brokers(&self, reachable: bool, reason: String, now: Instant) {
        let mut inner = self.inner.lock();
        inner.away = (!reachable)
            .then(|| inner.away.take().unwrap_or((String::new(), now)))
            .map(|(_, since)| (reason, since));
    }

    pub(super) fn assigned(&self, partition: i32, next_offset: i64, now: Instant) {
        let mut inner = self.inner.lock();
        let standing = Standing {
            next_offset,
            state: PartitionState::Folding,
            since: now,
            newest_letter: None,
            unreadable: None,
            log_start: None,
            log_end: inner.log_ends.get(&partition).copied(),
            oldest_log_time_ms: None,
            level_at: now,
        };
        inner.partitions.insert(partition, standing);
        inner.advanced.insert(partition, Advanced { next_offset, newest_letter: None });
        drop(inner);
        self.advanced.notify_one();
    }

    pub(super) fn released(&self, partition: i32) {
        self.inner.lock().partitions.remove(&partition);
    }

    /// Nothing is assigned any more.
    pub(super) fn released_all(&self) {
        let mut inner = self.inner.lock();
        inner.partitions.clear();
        inner.log_ends.clear();
    }

    /// The client says that a partition cannot be read; the next record says that it can.
    pub(super) fn unreadable(&self, partition: i32, reason: String) {
        if let Some(standing) = self.inner.lock().partitions.get_mut(&partition) {
            standing.unreadable = Some(reason);
        }
    }

    pub(super) fn log_ends(&self, ends: BTreeMap<i32, i64>, now: Instant) {
        let mut inner = self.inner.lock();
        for (partition, end) in &ends {
            if let Some(standing) = inner.partitions.get_mut(partition) {
                standing.log_end = Some(*end);
                standing.note_level(now);
            }
        }
        inner.log_ends = ends;
    }

    /// Where the log begins, as far as fetches have shown it.
    pub(super) fn log_starts(&self, starts: &BTreeMap<i32, i64>) {
        let mut inner = self.inner.lock();
        for (partition, start) in starts {
            if let Some(standing) = inner.partitions.get_mut(partition) {
                standing.log_start = Some(*start);
            }
        }
    }

    /// The newest letter that a partition has, after a batch that is about to be
    /// [observed](Self::observe).
    pub(super) fn newest_letter(&self, partition: i32, offset: i64) {
        if let Some(standing) = self.inner.lock().partitions.get_mut(&partition) {
            standing.newest_letter = Some(offset);
        }
    }

    /// What a lane knows of a partition now.
    pub(super) fn observe(
        &self,
        partition: i32,
        next_offset: i64,
        oldest_log_time_ms: Option<i64>,
        state: PartitionState,
        now: Instant,
    ) {
        let mut inner = self.inner.lock();
        let Some(standing) = inner.partitions.get_mut(&partition) else { return };
        if std::mem::discriminant(&standing.state) != std::mem::discriminant(&state) {
            standing.since = now;
        }
        let has_moved = standing.next_offset != next_offset;
        if has_moved || oldest_log_time_ms.is_some() {
            standing.unreadable = None;
        }
        standing.state = state;
        standing.next_offset = next_offset;
        standing.oldest_log_time_ms = oldest_log_time_ms;
        standing.note_level(now);
        let newest_letter = standing.newest_letter;
        if has_moved {
            inner.advanced.insert(partition, Advanced { next_offset, newest_letter });
            drop(inner);
            self.advanced.notify_one();
        }
    }
}

impl Standing {
    /// Records of the log that are not folded, where its end is known.
    pub fn records_behind(&self) -> Option<i64> {
        self.log_end.map(|end| (end - self.next_offset).max(0))
    }

    /// First offset that the log holds, where it is known.
    pub fn log_start(&self) -> Option<i64> {
        self.log_start
    }

    fn is_level(&self) -> bool {
        self.oldest_log_time_ms.is_none() && self.log_end.is_some_and(|end| self.next_offset >= end)
    }

    /// Why nothing is known of what the log holds.
    fn unread(&self, now: Instant) -> Option<&str> {
        let is_overdue = self.log_end.is_none() && now.duration_since(self.level_at) > PATIENCE;
        let unread = "no fetch has been answered since it was assigned";
        self.unreadable.as_deref().or(is_overdue.then_some(unread))
    }

    fn note_level(&mut self, now: Instant) {
        if self.is_level() {
            self.level_at = now;
        }
    }

    fn lag(&self, now: Instant, wall_ms: i64) -> f64 {
        if let Some(oldest) = self.oldest_log_time_ms {
            return (wall_ms.saturating_sub(oldest).max(0) as f64) / 1000.0;
        }
        if self.is_level() {
            return 0.0;
        }
        now.duration_since(self.level_at).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folding(progress: &Progress, next: i64, oldest: Option<i64>, now: Instant) {
        progress.observe(0, next, oldest, PartitionState::Folding, now);
    }

    #[test]
    fn lag_is_the_age_of_the_oldest_record_in_hand() {
        let (progress, now) = (Progress::new("resource"), Instant::now());
        progress.assigned(0, 5, now);
        folding(&progress, 5, Some(8_000), now);
        assert_eq!(progress.lag_seconds(now, 10_500)[&0], 2.5);
    }

    #[test]
    fn lag_without_a_record_in_hand_counts_from_when_it_was_last_level() {
        let (progress, start) = (Progress::new("resource"), Instant::now());
        progress.assigned(0, 5, start);
        progress.log_ends([(0, 9)].into(), start);
        let later = start + Duration::from_secs(3);
        assert_eq!(progress.lag_seconds(later, 0)[&0], 3.0);
        folding(&progress, 9, None, later);
        assert_eq!(progress.lag_seconds(later + Duration::from_secs(9), 0)[&0], 0.0);
    }

    #[test]
    fn a_halted_partition_is_trouble_at_once_and_a_retrying_one_after_a_while() {
        let (progress, now) = (Progress::new("resource"), Instant::now());
        progress.joined();
        progress.assigned(0, 5, now);
        progress.log_ends([(0, 5)].into(), now);
        let retrying = PartitionState::Retrying { reason: "away".into() };
        progress.observe(0, 5, None, retrying, now);
        assert!(progress.troubles(now).is_empty());
        assert_eq!(progress.troubles(now + Duration::from_secs(6)).len(), 1);
        let halted =
            PartitionState::Halted { kind: "magic".into(), reason: "r".into(), offset: Some(7) };
        progress.observe(0, 5, None, halted, now);
        assert_eq!(progress.troubles(now), ["partition 0 is halted at offset 7: magic: r"]);
    }

    #[test]
    fn a_partition_that_cannot_be_read_is_trouble_until_a_record_arrives() {
        let (progress, now) = (Progress::new("resource"), Instant::now());
        progress.joined();
        progress.assigned(0, 5, now);
        progress.unreadable(0, "not authorized".into());
        assert_eq!(progress.troubles(now), ["partition 0 cannot be read: not authorized"]);
        folding(&progress, 5, Some(1), now);
        assert!(progress.troubles(now).is_empty());
    }

    #[test]
    fn a_log_whose_end_is_not_known_is_not_level() {
        let (progress, start) = (Progress::new("resource"), Instant::now());
        progress.joined();
        progress.assigned(0, 5, start);
        let later = start + Duration::from_secs(6);
        assert_eq!(progress.lag_seconds(later, 0)[&0], 6.0);
        assert_eq!(progress.troubles(later).len(), 1);
        progress.log_ends([(0, 5)].into(), later);
        assert!(progress.troubles(later).is_empty());
    }

    #[test]
    fn a_process_without_its_group_is_not_ready() {
        let progress = Progress::new("resource");
        assert_eq!(progress.troubles(Instant::now()).len(), 1);
        progress.joined();
        assert!(progress.troubles(Instant::now()).is_empty());
    }
}
