//! What Kafka clients tell of themselves.

use metrics::{Counter, Gauge};
use parking_lot::Mutex;

use crate::Metric;

/// What a client has sent and waits for, as it counts it: totals begin anew with a new client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KafkaClientFigures {
    /// Brokers connected.
    pub brokers_up: u64,
    /// The slowest broker's round trip, 99th percentile, in microseconds.
    pub round_trip_p99_micros: u64,
    /// Requests that wait to be sent.
    pub outgoing_requests: u64,
    /// Requests that wait for an answer.
    pub in_flight_requests: u64,
    /// Requests that failed in transmission, in total.
    pub request_errors: u64,
    /// Requests that were sent again, in total.
    pub request_retries: u64,
    /// Requests that ran out of time, in total.
    pub request_timeouts: u64,
    /// Bytes sent, in total.
    pub bytes_sent: u64,
    /// Bytes received, in total.
    pub bytes_received: u64,
}

/// The metrics of one Kafka client.
pub struct KafkaClient {
    brokers_up: Gauge,
    round_trip: Gauge,
    outgoing: Gauge,
    in_flight: Gauge,
    totals: Mutex<[Total; 5]>,
}

/// A total of the client, whose rise is counted.
struct Total {
    counter: Counter,
    last: u64,
}

impl KafkaClient {
    /// Of the client of this name: what it is for, such as a projection.
    pub fn of(client: &str) -> Self {
        let fault = |fault| Metric::KafkaRequestFaults.counter(&[client, fault]);
        let bytes = |direction| Metric::KafkaBytes.counter(&[client, direction]);
        let counters =
            [fault("error"), fault("retry"), fault("timeout"), bytes("sent"), bytes("received")];
        Self {
            brokers_up: Metric::KafkaBrokersUp.gauge(&[client]),
            round_trip: Metric::KafkaRoundTrip.gauge(&[client]),
            outgoing: Metric::KafkaOutgoing.gauge(&[client]),
            in_flight: Metric::KafkaInFlight.gauge(&[client]),
            totals: Mutex::new(counters.map(|counter| Total { counter, last: 0 })),
        }
    }

    /// Takes what the client counted now.
    pub fn record(&self, figures: &KafkaClientFigures) {
        let KafkaClientFigures { request_errors, request_retries, request_timeouts, .. } = *figures;
        self.brokers_up.set(figures.brokers_up as f64);
        self.round_trip.set(figures.round_trip_p99_micros as f64 / 1e6);
        self.outgoing.set(figures.outgoing_requests as f64);
        self.in_flight.set(figures.in_flight_requests as f64);
        let now = [
            request_errors,
            request_retries,
            request_timeouts,
            figures.bytes_sent,
            figures.bytes_received,
        ];
        for (total, now) in self.totals.lock().iter_mut().zip(now) {
            total.rise_to(now);
        }
    }
}

impl Total {
    /// Less than before is another client's beginning.
    fn rise_to(&mut self, now: u64) {
        self.counter.increment(now.checked_sub(self.last).unwrap_or(now));
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_go_on_rising_when_the_client_is_replaced() {
        let metrics = crate::metrics();
        let client = KafkaClient::of("totals");
        for request_timeouts in [0, 3, 5, 1, 2] {
            client.record(&KafkaClientFigures { request_timeouts, ..Default::default() });
        }
        let series = "kafka_client_request_faults_total{client=\"totals\",fault=\"timeout\"} 7";
        assert!(metrics.render().contains(series), "{}", metrics.render());
    }
}
