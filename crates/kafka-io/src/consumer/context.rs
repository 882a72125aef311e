//! What the client calls back: group membership, errors and statistics, turned into facts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::mpsc::UnboundedSender;

use super::Notice;
use crate::statistics::ConsumerStatistics;

/// A change of membership, to be acted upon after the poll that brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Membership {
    /// Partitions given.
    Assigned(Vec<i32>),
    /// Partitions asked back.
    Revoked(Vec<i32>),
    /// Partitions lost.
    Lost(Vec<i32>),
}

/// Collects what callbacks say. A membership change is not acted upon inside the callback, since
/// the offsets to read from are not known there.
pub(super) struct GroupContext {
    topic: String,
    notices: UnboundedSender<Notice>,
    changes: Mutex<Vec<Membership>>,
    closing: AtomicBool,
    unreachable: AtomicBool,
}

impl GroupContext {
    pub(super) fn new(topic: String, notices: UnboundedSender<Notice>) -> Self {
        Self {
            topic,
            notices,
            changes: Mutex::new(Vec::new()),
            closing: AtomicBool::new(false),
            unreachable: AtomicBool::new(false),
        }
    }

    /// Membership changes since the last call, in order.
    pub(super) fn take_changes(&self) -> Vec<Membership> {
        std::mem::take(&mut self.changes.lock())
    }

    /// From now on partitions are given back inside the callback: nobody polls any more.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    fn brokers(&self, reachable: bool, reason: String) {
        if self.unreachable.swap(!reachable, Ordering::AcqRel) == reachable {
            let _ = self.notices.send(Notice::Brokers { reachable, reason });
        }
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::client_log::emit(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.brokers(false, reason.to_owned());
        }
        tracing::debug!(kafka.topic = %self.topic, %error, reason, "the consumer reports an error");
    }

    fn stats(&self, statistics: Statistics) {
        if statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP") {
            self.brokers(true, "a broker is up".to_owned());
        }
        let summary = ConsumerStatistics::of(&statistics, &self.topic);
        let _ = self.notices.send(Notice::Statistics(Box::new(summary)));
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        let ends: BTreeMap<i32, i64> = topic
            .partitions
            .iter()
            .filter(|(id, partition)| **id >= 0 && partition.hi_offset >= 0)
            .map(|(id, partition)| (*id, partition.hi_offset))
            .collect();
        let _ = self.notices.send(Notice::LogEnds(ends));
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let ids: Vec<i32> = partitions.elements().iter().map(|p| p.partition()).collect();
        let assigned = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            // Whatever is asked, a client that ends takes it as giving everything up.
            let _ = consumer.unassign();
            return;
        }
        let change = if assigned {
            Membership::Assigned(ids)
        } else if consumer.assignment_lost() {
            Membership::Lost(ids)
        } else {
            Membership::Revoked(ids)
        };
        self.changes.lock().push(change);
    }
}
