//! The bound of spans that wait, and what is said when they cannot be handed over.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::Counter;
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

use crate::Metric;

/// How many spans wait, shared by who adds them and who takes them.
#[derive(Clone)]
pub(super) struct Place {
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

impl Place {
    fn take(&self) -> bool {
        let is_free = self.waiting.fetch_add(1, Ordering::Relaxed) < self.limit;
        if !is_free {
            self.give_back(1);
        }
        is_free
    }

    fn give_back(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }
}

/// Drops what ends while as many spans wait as may; never waits itself.
pub(super) struct Bounded<P> {
    next: P,
    place: Place,
    dropped: Counter,
}

impl<P> Bounded<P> {
    pub(super) fn new(next: P, place: Place) -> Self {
        Self { next, place, dropped: Metric::TelemetrySpans.counter(&["dropped"]) }
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.place.take() {
            self.next.on_end(span);
        } else {
            self.dropped.increment(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// Counts what is handed over, and says once when that begins to fail and once when it works again.
pub(super) struct Watched<E> {
    inner: E,
    place: Place,
    is_failing: AtomicBool,
    exported: Counter,
    failed: Counter,
}

/// The exporter with its eyes on it, and the places that its spans take.
pub(super) fn watched<E: SpanExporter>(inner: E, limit: usize) -> (Watched<E>, Place) {
    let place = Place { waiting: Arc::default(), limit };
    let exported = Metric::TelemetrySpans.counter(&["exported"]);
    let failed = Metric::TelemetrySpans.counter(&["failed"]);
    let is_failing = AtomicBool::new(false);
    (Watched { inner, place: place.clone(), is_failing, exported, failed }, place)
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.place.give_back(spans);
        let exported = self.inner.export(batch).await;
        let was_failing = self.is_failing.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Ok(()) => self.exported.increment(spans as u64),
            Err(_) => self.failed.increment(spans as u64),
        }
        match (was_failing, &exported) {
            (false, Err(error)) => {
                tracing::warn!(%error, "traces cannot be handed over and are lost until they can");
            }
            (true, Ok(())) => tracing::info!("traces are handed over again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<P: fmt::Debug> fmt::Debug for Bounded<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("next", &self.next).finish_non_exhaustive()
    }
}

impl<E: fmt::Debug> fmt::Debug for Watched<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::SystemTime;

    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use parking_lot::Mutex;

    use super::*;

    fn span(flags: TraceFlags) -> SpanData {
        let (trace_id, span_id) = (TraceId::from(1_u128), SpanId::from(1_u64));
        let span_context = SpanContext::new(trace_id, span_id, flags, false, Default::default());
        SpanData {
            span_context,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: Cow::Borrowed("a step"),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    /// Holds what it is given until it is taken away.
    #[derive(Debug, Default)]
    struct Held(Mutex<Vec<SpanData>>);

    impl SpanProcessor for Held {
        fn on_start(&self, _: &mut Span, _: &Context) {}
        fn on_end(&self, span: SpanData) {
            self.0.lock().push(span);
        }
        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }
        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    /// A receiver that is there or is not.
    #[derive(Debug, Default)]
    struct Receiver {
        is_away: AtomicBool,
    }

    impl SpanExporter for Receiver {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            match self.is_away.load(Ordering::Relaxed) {
                true => Err(opentelemetry_sdk::error::OTelSdkError::InternalFailure("away".into())),
                false => Ok(()),
            }
        }
    }

    fn export(watched: &Watched<Receiver>, batch: Vec<SpanData>) -> OTelSdkResult {
        futures_executor(watched.export(batch))
    }

    /// Exports of this test never wait.
    fn futures_executor<T>(future: impl Future<Output = T>) -> T {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(done) => done,
            std::task::Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn a_span_past_the_bound_is_dropped_until_others_have_left() {
        let (watched, place) = watched(Receiver::default(), 2);
        let bounded = Bounded::new(Held::default(), place);
        for _ in 0..5 {
            bounded.on_end(span(TraceFlags::SAMPLED));
        }
        let held = std::mem::take(&mut *bounded.next.0.lock());
        assert_eq!(held.len(), 2);
        export(&watched, held).unwrap();
        bounded.on_end(span(TraceFlags::SAMPLED));
        assert_eq!(bounded.next.0.lock().len(), 1);
    }

    #[test]
    fn what_is_not_recorded_takes_no_place() {
        let (_, place) = watched(Receiver::default(), 1);
        let bounded = Bounded::new(Held::default(), place);
        bounded.on_end(span(TraceFlags::NOT_SAMPLED));
        bounded.on_end(span(TraceFlags::SAMPLED));
        assert_eq!(bounded.next.0.lock().len(), 1);
    }

    #[test]
    fn spans_of_a_receiver_that_is_away_are_lost_and_give_their_places_back() {
        let (watched, place) = watched(Receiver::default(), 1);
        watched.inner.is_away.store(true, Ordering::Relaxed);
        assert!(place.take());
        assert!(export(&watched, vec![span(TraceFlags::SAMPLED)]).is_err());
        assert!(place.take());
        assert!(watched.is_failing.load(Ordering::Relaxed));
    }
}
