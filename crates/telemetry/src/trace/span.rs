//! The spans that there are: names and attributes of OpenTelemetry's conventions, of HTTP as they are
//! stable, of messaging as they were in version 1.44.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{TraceParent, is_on};

/// By this spans of traces are told from those that log lines stand in.
pub(crate) const TARGET: &str = "millrace::trace";

/// After so long whoever appended a record waits for nothing any more.
const OVER: Duration = Duration::from_secs(60);

/// Records that a span links to, at most.
pub(super) const MAX_LINKS: u32 = 64;

/// A step inside something larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Redis is told of a batch before its commit.
    AnnounceToCache,
    /// The transaction is committed.
    Commit,
    /// Redis gets the new bodies of a batch.
    FillCache,
    /// A read waits until the view shows what it needs.
    WaitForPosition,
    /// A read asks the cache.
    ReadCache,
    /// A read asks Postgres, its place in the queue included.
    ReadDatabase,
}

/// A request that is being answered, by method and declared route, as part of its caller's trace.
pub fn request(method: &'static str, route: &str, caller: Option<TraceParent>) -> Span {
    if !is_on() {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
    );
    if let Some(caller) = caller {
        begin_under(&span, &caller);
    }
    span
}

/// The request was answered; 5xx are our failures.
pub fn answered(span: &Span, status: u16) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// Records are appended to a topic; a step of the span in progress, if that is recorded. It lasts
/// until the acknowledgement, and [`parent`] of it is what the records carry on.
pub fn send(topic: &str, records: usize) -> Span {
    if !is_recorded() {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TARGET,
        "send",
        otel.name = format_args!("send {topic}"),
        otel.kind = "producer",
        messaging.system = "kafka",
        messaging.operation.name = "send",
        messaging.operation.r#type = "send",
        messaging.destination.name = topic,
        messaging.batch.message_count = field::Empty,
        otel.status_code = field::Empty,
    );
    if records != 1 {
        span.record("messaging.batch.message_count", i64::try_from(records).unwrap_or(i64::MAX));
    }
    span
}

/// Records of a topic are folded into a projection, in one transaction; recorded if one of them is. It
/// links to what appended them. Where all are of one trace it is part of that, unless that is over
/// because the oldest record is of `age`; where many meet, it is a trace of its own.
pub fn process<'a>(
    projection: &'static str,
    topic: &str,
    records: usize,
    age: Duration,
    origins: impl Iterator<Item = &'a TraceParent>,
) -> Span {
    if !is_on() {
        return Span::none();
    }
    let origins = Origins::of(origins);
    // Before it is made: what is made is sampled, and nobody has asked for this.
    if origins.links.is_empty() {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "process",
        otel.name = format_args!("process {topic}"),
        otel.kind = "consumer",
        messaging.system = "kafka",
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.name = topic,
        millrace.projection = projection,
        messaging.batch.message_count = i64::try_from(records).unwrap_or(i64::MAX),
        otel.status_code = field::Empty,
    );
    if let Some(origin) = origins.parent_of(records, age) {
        begin_under(&span, origin);
    }
    for origin in &origins.links {
        span.add_link(context_of(origin));
    }
    span
}

/// What recorded records of a batch are part of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Origins {
    /// Each once, and as many as a span may link to.
    links: Vec<TraceParent>,
    records: usize,
    are_of_many_traces: bool,
}

impl Origins {
    fn of<'a>(origins: impl Iterator<Item = &'a TraceParent>) -> Self {
        let mut found = Self::default();
        for origin in origins.filter(|origin| origin.is_sampled) {
            found.records += 1;
            let is_other = |first: &TraceParent| first.trace_id != origin.trace_id;
            found.are_of_many_traces |= found.links.first().is_some_and(is_other);
            if found.links.len() < MAX_LINKS as usize && !found.links.contains(origin) {
                found.links.push(*origin);
            }
        }
        found
    }

    /// What the whole batch of so many records is part of. A log that is folded again is part of nothing:
    /// traces would last for as long as the log.
    fn parent_of(&self, records: usize, age: Duration) -> Option<&TraceParent> {
        let is_one = !self.are_of_many_traces && self.records == records;
        self.links.first().filter(|_| is_one && age < OVER)
    }
}

/// Says that the span has to do with what another process does.
pub fn link(span: &Span, with: &TraceParent) {
    if !span.is_disabled() {
        span.add_link(context_of(with));
    }
}

/// Makes the span, which has just been made, a part of what another process does.
fn begin_under(span: &Span, origin: &TraceParent) {
    let set = span.set_parent(Context::new().with_remote_span_context(context_of(origin)));
    debug_assert!(set.is_ok(), "{set:?}");
}

/// A step of the span in progress, if that is recorded.
pub fn step(step: Step) -> Span {
    if !is_recorded() {
        return Span::none();
    }
    match step {
        Step::AnnounceToCache => of_system("redis", "announce to cache"),
        Step::FillCache => of_system("redis", "fill cache"),
        Step::ReadCache => of_system("redis", "read cache"),
        Step::Commit => of_system("postgresql", "COMMIT"),
        Step::ReadDatabase => of_system("postgresql", "SELECT"),
        Step::WaitForPosition => {
            tracing::info_span!(
                target: TARGET,
                "wait for position",
                otel.kind = "internal",
                otel.status_code = field::Empty,
            )
        }
    }
}

fn of_system(system: &'static str, operation: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "call",
        otel.name = operation,
        otel.kind = "client",
        db.system.name = system,
        db.operation.name = operation,
        otel.status_code = field::Empty,
    )
}

/// What the span stands for did not come about; `why` is a stable name, never a message.
pub fn failed(span: &Span, why: &'static str) {
    if !span.is_disabled() {
        span.set_status(Status::error(why));
    }
}

/// What is caused by the span carries this; `None` for a span that does nothing.
pub fn parent(span: &Span) -> Option<TraceParent> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    parent_of(context.span().span_context())
}

/// The trace and the span in progress on this thread, if this process traces.
pub fn ids() -> Option<(u128, u64)> {
    if !is_on() {
        return None;
    }
    let parent = Context::map_current(|context| parent_of(context.span().span_context()))?;
    Some((parent.trace_id, parent.parent_id))
}

/// Whether something is in progress on this thread that will be seen.
fn is_recorded() -> bool {
    is_on() && Context::map_current(|context| context.span().span_context().is_sampled())
}

fn parent_of(context: &SpanContext) -> Option<TraceParent> {
    context.is_valid().then(|| TraceParent {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        parent_id: u64::from_be_bytes(context.span_id().to_bytes()),
        is_sampled: context.is_sampled(),
    })
}

pub(super) fn context_of(parent: &TraceParent) -> SpanContext {
    let TraceParent { trace_id, parent_id, is_sampled } = *parent;
    let flags = if is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let (trace_id, span_id) = (TraceId::from(trace_id), SpanId::from(parent_id));
    SpanContext::new(trace_id, span_id, flags, true, TraceState::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_trace_makes_no_spans() {
        let spans = [
            request("GET", "/a", None),
            send("t", 1),
            process("p", "t", 1, Duration::ZERO, std::iter::empty()),
            step(Step::Commit),
        ];
        for span in spans {
            assert!(span.is_disabled());
            assert_eq!(parent(&span), None);
        }
        assert_eq!(ids(), None);
    }

    fn origin(trace_id: u128, parent_id: u64) -> TraceParent {
        TraceParent { trace_id, parent_id, is_sampled: true }
    }

    #[test]
    fn a_batch_of_one_trace_is_part_of_it() {
        let (first, second) = (origin(1, 1), origin(1, 2));
        let origins = Origins::of([first, first, second].iter());
        assert_eq!(origins.links, [first, second]);
        assert_eq!(origins.parent_of(3, Duration::ZERO), Some(&first));
        assert_eq!(origins.parent_of(4, Duration::ZERO), None, "one more record is of no trace");
        assert_eq!(origins.parent_of(3, OVER), None, "what it was part of is over");
    }

    #[test]
    fn a_batch_of_many_traces_is_part_of_none() {
        let all: Vec<_> = (1..=100).map(|trace| origin(trace, 1)).collect();
        let origins = Origins::of(all.iter());
        assert_eq!(origins.links, all[..MAX_LINKS as usize]);
        assert_eq!(origins.parent_of(100, Duration::ZERO), None);
    }

    #[test]
    fn what_is_not_recorded_is_no_origin() {
        let unrecorded = TraceParent { is_sampled: false, ..origin(1, 1) };
        let origins = Origins::of([unrecorded, origin(2, 1)].iter());
        assert_eq!(origins.links, [origin(2, 1)]);
        assert_eq!(origins.parent_of(2, Duration::ZERO), None);
    }

    #[test]
    fn a_context_reads_back_as_the_parent_it_was_made_of() {
        for is_sampled in [false, true] {
            let parent = TraceParent { trace_id: 5 << 70, parent_id: 7, is_sampled };
            assert_eq!(parent_of(&context_of(&parent)), Some(parent));
        }
    }
}
