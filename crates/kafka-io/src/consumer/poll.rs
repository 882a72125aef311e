//! The polling thread.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc::UnboundedSender;

use super::context::{GroupContext, Membership};
use super::feed::Delivery;
use super::{Assignment, Command, Decode, Feed, Notice, RecordView};
use crate::header::read_headers;
use crate::ledger::Remembered;

/// Records taken from one partition before the next has its turn.
const TURN: usize = 512;
/// Longest wait for the broker when no partition had anything: bounds how late a command is seen.
const IDLE: Duration = Duration::from_millis(2);

pub(super) struct Polling<D: Decode> {
    // Queues come first, since each keeps the consumer alive and must be dropped before it.
    queues: BTreeMap<i32, PartitionQueue<GroupContext>>,
    active: BTreeMap<i32, Arc<Feed<D::Item>>>,
    consumer: Arc<BaseConsumer<GroupContext>>,
    topic: String,
    decode: D,
    inbox: Receiver<Command<D::Item>>,
    notices: UnboundedSender<Notice>,
    chunk: Vec<Delivery<D::Item>>,
}

impl<D: Decode> Polling<D> {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<GroupContext>>,
        topic: String,
        decode: D,
        inbox: Receiver<Command<D::Item>>,
        notices: UnboundedSender<Notice>,
    ) -> Self {
        Self {
            queues: BTreeMap::new(),
            active: BTreeMap::new(),
            consumer,
            topic,
            decode,
            inbox,
            notices,
            chunk: Vec::with_capacity(TURN),
        }
    }

    /// Polls until the owner is gone, the client fails for good or something here panics, and then
    /// says so and closes the client.
    pub(super) fn run(mut self) {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| self.poll()));
        if polled.is_err() {
            self.fail("the polling thread panicked".to_owned());
        }
        self.close();
    }

    fn poll(&mut self) {
        let mut wait = IDLE;
        while self.serve_commands() && self.serve_group(wait) {
            let delivered = self.serve_partitions();
            wait = if delivered { Duration::ZERO } else { IDLE };
        }
    }

    fn close(&mut self) {
        for feed in self.active.values() {
            feed.close();
        }
        self.consumer.context().close();
        // A change of membership that still waits for its answer would keep the client from
        // closing; where none waits, an empty answer changes nothing.
        let none = TopicPartitionList::new();
        let _ = self.consumer.incremental_assign(&none);
        let _ = self.consumer.incremental_unassign(&none);
    }

    fn serve_commands(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.execute(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn execute(&mut self, command: Command<D::Item>) {
        match command {
            Command::Assign(assignments) => self.assign(assignments),
            // Meanwhile the partition may have been lost: assigned again without being ours, it
            // would stand in the way of every later assignment.
            Command::Reassign(assignment) if self.active.contains_key(&assignment.partition) => {
                self.unassign(&[assignment.partition]);
                self.assign(vec![assignment]);
            }
            Command::Reassign(assignment) => assignment.feed.close(),
            Command::Release(partitions) => self.unassign(&partitions),
            Command::Commit(offsets) => {
                let mut list = TopicPartitionList::with_capacity(offsets.len());
                for (partition, offset) in offsets {
                    let _ =
                        list.add_partition_offset(&self.topic, partition, Offset::Offset(offset));
                }
                if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
                    tracing::debug!(kafka.topic = %self.topic, %error, "the group's offsets are written later");
                }
            }
        }
    }

    /// The queue of a partition is split off before the partition is assigned, and kept: the client
    /// then never forwards its records to the main queue, in this assignment or a later one.
    fn assign(&mut self, assignments: Vec<Assignment<D::Item>>) {
        let mut list = TopicPartitionList::with_capacity(assignments.len());
        for Assignment { partition, offset, feed } in assignments {
            if feed.is_closed() {
                continue;
            }
            if !self.queues.contains_key(&partition) {
                match self.consumer.split_partition_queue(&self.topic, partition) {
                    Some(queue) => drop(self.queues.insert(partition, queue)),
                    None => return self.fail(format!("partition {partition} has no queue")),
                }
            }
            let _ = list.add_partition_offset(&self.topic, partition, Offset::Offset(offset));
            self.active.insert(partition, feed);
        }
        self.must("taking", self.consumer.incremental_assign(&list));
    }

    fn unassign(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Some(feed) = self.active.remove(partition) {
                feed.close();
            }
        }
        let assigned = self.consumer.assignment().unwrap_or_default();
        let held = partitions
            .iter()
            .copied()
            .filter(|partition| assigned.find_partition(&self.topic, *partition).is_some());
        let list = self.list(held);
        self.must("giving back", self.consumer.incremental_unassign(&list));
    }

    fn list(&self, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        list
    }

    /// Serves the main queue: membership, errors, statistics. Records never arrive there.
    fn serve_group(&mut self, wait: Duration) -> bool {
        let failed = match self.consumer.poll(wait) {
            Some(Err(error)) => is_fatal(&error).then(|| error.to_string()),
            Some(Ok(_)) => Some("a record arrived outside its partition's queue".to_owned()),
            None => None,
        };
        if let Some(reason) = failed {
            self.fail(reason);
            return false;
        }
        for change in self.consumer.context().take_changes() {
            self.tell(change);
        }
        !self.notices.is_closed()
    }

    fn tell(&mut self, change: Membership) {
        let notice = match change {
            Membership::Assigned(partitions) => Notice::Assigned(partitions),
            Membership::Revoked(partitions) => Notice::Revoked(partitions),
            Membership::Lost(partitions) => {
                self.unassign(&partitions);
                Notice::Lost(partitions)
            }
        };
        let _ = self.notices.send(notice);
    }

    fn serve_partitions(&mut self) -> bool {
        let mut delivered = false;
        for (partition, feed) in &self.active {
            let Some(queue) = self.queues.get(partition) else { continue };
            for _ in 0..feed.room().min(TURN) {
                match queue.poll(Duration::ZERO) {
                    Some(Ok(message)) => self.chunk.push(deliver(&mut self.decode, &message)),
                    Some(Err(error)) => report(&self.notices, *partition, &error),
                    None => break,
                }
            }
            delivered |= !self.chunk.is_empty();
            feed.append(&mut self.chunk);
        }
        delivered
    }

    /// A refused change leaves the client with other partitions than the owner believes: only a new
    /// client agrees with it again.
    fn must(&self, doing: &'static str, result: KafkaResult<()>) {
        if let Err(error) = result {
            self.fail(format!("{doing} partitions was refused: {error}"));
        }
    }

    fn fail(&self, reason: String) {
        let _ = self.notices.send(Notice::Failed { reason });
    }
}

fn deliver<D: Decode>(decode: &mut D, message: &BorrowedMessage<'_>) -> Delivery<D::Item> {
    let (key, value) = (message.key(), message.payload());
    let header = decode.header().and_then(|name| header_of(message, name));
    let view = RecordView {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        key,
        value,
        header,
    };
    Delivery {
        identity: Remembered::of(view.offset, view.timestamp_ms, key, value),
        bytes: key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len),
        item: decode.decode(&view),
    }
}

/// The last of this name, which is the one that counts.
fn header_of<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    let each = |key: &str, value| {
        if key == name {
            found = value;
        }
    };
    // A record with unreadable headers is none the worse for it here.
    let _ = read_headers(message, each);
    found
}

fn report(notices: &UnboundedSender<Notice>, partition: i32, error: &KafkaError) {
    if matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
    ) {
        let reason = error.to_string();
        let _ = notices.send(Notice::OffsetOutOfRange { partition, reason });
    } else {
        let _ = notices.send(Notice::Unreadable { partition, reason: error.to_string() });
    }
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
}
