//! What happens to requests and connections.

use std::time::Duration;

use metrics::Histogram;

use crate::Metric;

/// A request was answered.
#[derive(Debug)]
pub struct HttpRequestServed<'a> {
    /// The method.
    pub method: &'a str,
    /// The route as declared, not the path as sent.
    pub route: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// From the request's head to its answer.
    pub duration: Duration,
}

impl HttpRequestServed<'_> {
    /// Where such requests are timed: kept by the caller, because looking it up costs more than
    /// recording.
    pub fn timer(&self) -> Histogram {
        let mut digits = [0; 3];
        Metric::HttpRequestDuration.histogram(&[
            self.method,
            self.route,
            status_text(self.status, &mut digits),
        ])
    }

    /// Records the time in [`Self::timer`] and writes a line: `warn` where we are at fault, else
    /// `debug`, since the metric tells the rest.
    pub fn emit(&self, timer: &Histogram) {
        timer.record(self.duration.as_secs_f64());
        let duration_us = u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX);
        if self.status >= 500 {
            tracing::warn!(
                http.method = self.method,
                http.route = self.route,
                http.status = self.status,
                duration_us,
                "request failed"
            );
        } else {
            tracing::debug!(
                http.method = self.method,
                http.route = self.route,
                http.status = self.status,
                duration_us,
                "request served"
            );
        }
    }
}

/// Three digits without an allocation.
fn status_text(status: u16, digits: &mut [u8; 3]) -> &str {
    for (place, digit) in [100, 10, 1].into_iter().zip(digits.iter_mut()) {
        *digit = b'0' + u8::try_from(status / place % 10).unwrap_or_default();
    }
    std::str::from_utf8(digits).unwrap_or("000")
}

/// A handler panicked; its request was answered 500.
#[derive(Debug)]
pub struct HandlerPanicked<'a> {
    /// The route as declared.
    pub route: &'a str,
}

impl HandlerPanicked<'_> {
    /// Counts it and writes the line; the panic hook has written where it happened.
    pub fn emit(&self) {
        Metric::HttpHandlersPanicked.counter(&[self.route]).increment(1);
        tracing::error!(http.route = self.route, "handler panicked; the request is answered 500");
    }
}

/// A connection was refused because as many as allowed are open.
#[derive(Debug)]
pub struct ConnectionRefused {
    /// How many may be open.
    pub limit: usize,
}

impl ConnectionRefused {
    /// Counts it and writes the line.
    pub fn emit(&self) {
        Metric::HttpConnectionsRefused.counter(&[]).increment(1);
        tracing::debug!(limit = self.limit, "connection refused: as many as allowed are open");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_with_three_digits() {
        for status in [200, 304, 503, 999] {
            assert_eq!(status_text(status, &mut [0; 3]), status.to_string());
        }
    }

    #[test]
    fn a_request_is_timed_by_route() {
        let metrics = crate::metrics();
        let served = HttpRequestServed {
            method: "GET",
            route: "/timed/{id}",
            status: 200,
            duration: Duration::from_millis(3),
        };
        served.emit(&served.timer());
        let series = "http_server_request_duration_seconds_count{method=\"GET\",route=\"/timed/{id}\",status=\"200\"} 1";
        assert!(metrics.render().contains(series), "{}", metrics.render());
    }
}
