//! Traces: which way an event took, through which processes and how long each step lasted.
//!
//! Nothing is traced unless there is a place to send it to. Then [`Traces`] records spans beside the
//! log and hands them over from a thread of its own: whatever is wrong with the receiver, nothing
//! that a process does waits for it. All spans are made by the functions of this module, so their
//! names, and the conventions that they follow, stand here and nowhere else. While nothing is traced
//! each of these functions is one look at a flag and gives a span that does nothing.

mod config;
mod export;
mod parent;
mod queue;
mod sampling;
mod span;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider,
};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::Identity;
use queue::Bounded;
use sampling::Sampling;

pub use config::TraceConfig;
pub use parent::TraceParent;
pub(crate) use span::TARGET;
pub use span::{Step, answered, failed, ids, link, parent, process, request, send, step};

/// Spans that go together at most.
const BATCH: usize = 512;

/// How long an ended span waits for others.
const DELAY: Duration = Duration::from_secs(1);

/// Longest wait for the spans that are left when a process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Whether this process traces.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// The traces of a process. Dropped without being stopped, it loses the spans that wait.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

/// Why nothing can be traced.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent; check the OTLP settings")]
pub struct StartTracesError(#[source] opentelemetry_otlp::ExporterBuildError);

impl Traces {
    /// Begins to trace. Nobody is asked whether there is a receiver.
    ///
    /// # Errors
    /// The settings make no exporter.
    pub fn start(
        config: &TraceConfig,
        identity: &Identity,
        version: &'static str,
    ) -> Result<Self, StartTracesError> {
        let exporter = export::exporter(config).map_err(StartTracesError)?;
        let (exporter, place) = queue::watched(exporter, config.queue);
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let resource = Resource::builder_empty().with_attributes([
            KeyValue::new("service.namespace", "millrace"),
            KeyValue::new("service.name", identity.service),
            KeyValue::new("service.version", version),
            KeyValue::new("service.instance.id", identity.instance.clone()),
        ]);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded::new(processor, place))
            .with_sampler(Sampling::of(config))
            .with_max_links_per_span(span::MAX_LINKS)
            .with_resource(resource.build())
            .build();
        IS_ON.store(true, Ordering::Relaxed);
        Ok(Self { provider })
    }

    /// What makes spans of ours into spans of a trace, and of nothing else.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let tracer: SdkTracer = self.provider.tracer("millrace");
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_level(false)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == TARGET))
    }

    /// Hands over what waits, for a moment at most and never longer than `patience`. Blocks.
    pub fn stop(self, patience: Duration) {
        IS_ON.store(false, Ordering::Relaxed);
        if let Err(error) = self.provider.shutdown_with_timeout(patience.min(LAST_WORDS)) {
            tracing::warn!(%error, "the last spans were not all handed over");
        }
    }
}
