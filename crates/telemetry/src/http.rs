//! What happens to requests and connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::Histogram;
use parking_lot::RwLock;

use crate::{AccessRefused, Metric};

/// Where the times of requests are recorded, found without making a key for each request. As many
/// as there are routes, methods and statuses that occur. Clones are the same.
#[derive(Clone, Default)]
pub struct HttpTimers(Arc<RwLock<HashMap<Box<str>, Vec<HttpTimer>>>>);

struct HttpTimer {
    method: &'static str,
    status: u16,
    histogram: Histogram,
}

impl HttpTimers {
    fn record(&self, served: &HttpRequestServed<'_>) {
        let seconds = served.duration.as_secs_f64();
        if let Some(timers) = self.0.read().get(served.route)
            && let Some(timer) = timers.iter().find(|timer| timer.is_of(served))
        {
            timer.histogram.record(seconds);
            return;
        }
        let timer = HttpTimer::of(served);
        timer.histogram.record(seconds);
        self.0.write().entry(served.route.into()).or_default().push(timer);
    }
}

impl HttpTimer {
    fn of(served: &HttpRequestServed<'_>) -> Self {
        let (method, status) = (served.method, served.status);
        let mut digits = [0; 3];
        let labels = [method, served.route, status_text(status, &mut digits)];
        Self { method, status, histogram: Metric::HttpRequestDuration.histogram(&labels) }
    }

    fn is_of(&self, served: &HttpRequestServed<'_>) -> bool {
        self.status == served.status && self.method == served.method
    }
}

/// A request was answered.
#[derive(Debug)]
pub struct HttpRequestServed<'a> {
    /// The method, one of those that are known: a client may invent others.
    pub method: &'static str,
    /// The route as declared, not the path as sent.
    pub route: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// From the request's head to its answer.
    pub duration: Duration,
    /// Why its caller was refused, where that is what became of it and more is known than the status.
    pub refused: Option<AccessRefused<'a>>,
}

impl HttpRequestServed<'_> {
    /// Records the time and writes a line: `warn` for a defect of ours, `info` for the audit of callers who
    /// were refused, else `debug`: the metric tells the rest, and an overload that is refused must not also
    /// fill the log. In the request's [scope](crate::RequestIds), so that the line has its id and its trace.
    pub fn emit(&self, timers: &HttpTimers) {
        timers.record(self);
        let duration_us = u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX);
        match self.status {
            500 => tracing::warn!(
                http.method = self.method,
                http.route = self.route,
                http.status = self.status,
                duration_us,
                "request failed"
            ),
            401 | 403 => self.audit(duration_us),
            _ => tracing::debug!(
                http.method = self.method,
                http.route = self.route,
                http.status = self.status,
                duration_us,
                "request served"
            ),
        }
    }

    /// The one line of each request that was answered 401 or 403, whoever has refused it.
    fn audit(&self, duration_us: u64) {
        let refused = self.refused.as_ref();
        tracing::info!(
            http.method = self.method,
            http.route = self.route,
            http.status = self.status,
            duration_us,
            access.reason = refused.map(|refused| refused.reason),
            access.actor = refused.and_then(|refused| refused.actor),
            "request refused"
        );
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
        let timers = HttpTimers::default();
        for status in [200, 304, 200] {
            let served = HttpRequestServed {
                method: "GET",
                route: "/timed/{id}",
                status,
                duration: Duration::from_millis(3),
                refused: None,
            };
            served.emit(&timers);
        }
        let series = "http_server_request_duration_seconds_count{method=\"GET\",route=\"/timed/{id}\",status=\"200\"} 2";
        assert!(metrics.render().contains(series), "{}", metrics.render());
    }
}
