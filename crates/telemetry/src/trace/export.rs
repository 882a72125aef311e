//! Handing spans over, as OTLP over HTTP.

use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _,
};

use super::TraceConfig;

/// What sends spans to the receiver. Each batch is tried once: it is lost rather than waited for.
///
/// Its client blocks, since the thread that uses it is no part of a runtime.
pub(super) fn exporter(config: &TraceConfig) -> Result<SpanExporter, ExporterBuildError> {
    SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&config.endpoint)
        .with_headers(config.headers.clone())
        .with_timeout(config.timeout)
        .with_retry_policy(RetryPolicy::disabled())
        .build()
}
