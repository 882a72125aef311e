//! What the Kafka client counts of itself, as plain data: of all brokers together, so that a large
//! cluster makes no more numbers than a small one.

use std::collections::BTreeMap;

use rdkafka::statistics::{Broker, Partition, Statistics};

/// What a client has sent and waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientStatistics {
    /// Brokers connected.
    pub brokers_up: u64,
    /// The slowest broker's round trip, 99th percentile, in microseconds. A fetch waits for records.
    pub round_trip_p99_micros: u64,
    /// Requests that wait to be sent.
    pub outgoing_requests: u64,
    /// Requests that wait for an answer.
    pub in_flight_requests: u64,
    /// Requests that failed in transmission, since the client was created.
    pub request_errors: u64,
    /// Requests that were sent again, likewise.
    pub request_retries: u64,
    /// Requests that ran out of time, likewise.
    pub request_timeouts: u64,
    /// Bytes sent, likewise.
    pub bytes_sent: u64,
    /// Bytes received, likewise.
    pub bytes_received: u64,
}

/// What a producer holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProducerStatistics {
    /// Its client.
    pub client: ClientStatistics,
    /// Records in its queues.
    pub queued_records: u64,
    /// Bytes in its queues.
    pub queued_bytes: u64,
    /// Records that its queues take.
    pub limit_records: u64,
    /// Bytes that its queues take.
    pub limit_bytes: u64,
}

/// What a consumer holds and knows of its log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerStatistics {
    /// Its client.
    pub client: ClientStatistics,
    /// Records fetched that nobody has taken.
    pub fetched_records: u64,
    /// Their bytes.
    pub fetched_bytes: u64,
    /// First offsets of the log, as far as fetches have shown them.
    pub log_starts: BTreeMap<i32, i64>,
}

impl ClientStatistics {
    fn of(statistics: &Statistics) -> Self {
        let brokers = || statistics.brokers.values();
        let sum = |of: fn(&Broker) -> u64| brokers().map(of).sum();
        let round_trip = |broker: &Broker| broker.rtt.as_ref().map_or(0, |rtt| rtt.p99);
        Self {
            // What the client was configured with stands beside the brokers that it found.
            brokers_up: brokers()
                .filter(|broker| broker.nodeid >= 0 && broker.state == "UP")
                .count() as u64,
            round_trip_p99_micros: unsigned(brokers().map(round_trip).max().unwrap_or(0)),
            outgoing_requests: sum(|broker| unsigned(broker.outbuf_cnt)),
            in_flight_requests: sum(|broker| unsigned(broker.waitresp_cnt)),
            request_errors: sum(|broker| broker.txerrs),
            request_retries: sum(|broker| broker.txretries),
            request_timeouts: sum(|broker| broker.req_timeouts),
            bytes_sent: sum(|broker| broker.txbytes),
            bytes_received: sum(|broker| broker.rxbytes),
        }
    }
}

impl ProducerStatistics {
    pub(crate) fn of(statistics: &Statistics) -> Self {
        Self {
            client: ClientStatistics::of(statistics),
            queued_records: statistics.msg_cnt,
            queued_bytes: statistics.msg_size,
            limit_records: statistics.msg_max,
            limit_bytes: statistics.msg_size_max,
        }
    }
}

impl ConsumerStatistics {
    pub(crate) fn of(statistics: &Statistics, topic: &str) -> Self {
        // The client's own partition, below 0, is none of the topic's.
        let partitions: BTreeMap<i32, &Partition> = statistics
            .topics
            .get(topic)
            .into_iter()
            .flat_map(|topic| &topic.partitions)
            .filter(|(id, _)| **id >= 0)
            .map(|(id, partition)| (*id, partition))
            .collect();
        let known = |(id, partition): (&i32, &&Partition)| {
            (partition.lo_offset >= 0).then_some((*id, partition.lo_offset))
        };
        Self {
            client: ClientStatistics::of(statistics),
            fetched_records: partitions.values().map(|p| unsigned(p.fetchq_cnt)).sum(),
            fetched_bytes: partitions.values().map(|p| p.fetchq_size).sum(),
            log_starts: partitions.iter().filter_map(known).collect(),
        }
    }
}

/// The client writes -1 where it does not know.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(nodeid: i32, state: &str, p99: i64) -> Broker {
        let rtt = rdkafka::statistics::Window { p99, ..Default::default() };
        Broker {
            nodeid,
            state: state.to_owned(),
            outbuf_cnt: 2,
            waitresp_cnt: -1,
            req_timeouts: 1,
            txbytes: 100,
            rtt: Some(rtt),
            ..Default::default()
        }
    }

    #[test]
    fn brokers_are_told_of_together() {
        let mut statistics = Statistics { msg_cnt: 3, msg_max: 20, ..Default::default() };
        statistics.brokers.insert("a:1/1".into(), broker(1, "UP", 900));
        statistics.brokers.insert("b:1/2".into(), broker(2, "DOWN", 1_200));
        statistics.brokers.insert("a:1/bootstrap".into(), broker(-1, "UP", 0));
        let found = ProducerStatistics::of(&statistics);
        assert_eq!(found.client.brokers_up, 1);
        assert_eq!(found.client.round_trip_p99_micros, 1_200);
        assert_eq!((found.client.outgoing_requests, found.client.in_flight_requests), (6, 0));
        assert_eq!((found.client.request_timeouts, found.client.bytes_sent), (3, 300));
        assert_eq!((found.queued_records, found.limit_records), (3, 20));
    }

    #[test]
    fn the_start_of_a_log_is_told_once_it_is_known() {
        let partition = |lo_offset, fetchq_cnt| Partition {
            lo_offset,
            fetchq_cnt,
            fetchq_size: 10,
            ..Default::default()
        };
        let mut statistics = Statistics::default();
        let topic = statistics.topics.entry("events".to_owned()).or_default();
        for (id, partition) in
            [(0, partition(7, 1)), (1, partition(-1001, 2)), (-1, partition(5, 100))]
        {
            topic.partitions.insert(id, partition);
        }
        let found = ConsumerStatistics::of(&statistics, "events");
        assert_eq!(found.log_starts, [(0, 7)].into());
        assert_eq!((found.fetched_records, found.fetched_bytes), (3, 20));
        assert_eq!(ConsumerStatistics::of(&statistics, "other").log_starts, BTreeMap::new());
    }
}
