//! What happens to exports, each with its log line and its metric.

use std::time::Duration;

use telemetry::Metric;

/// An export is over.
pub(super) struct ExportEnded<'a> {
    pub(super) projection: &'static str,
    /// `complete`, `abandoned`, `failed` or `overdue`.
    pub(super) outcome: &'static str,
    pub(super) rows: u64,
    pub(super) took: Duration,
    pub(super) error: Option<&'a sqlx::Error>,
}

impl ExportEnded<'_> {
    pub(super) fn emit(self) {
        let Self { projection, outcome, rows, took, error } = self;
        Metric::QueryApiExports.counter(&[projection, outcome]).increment(1);
        Metric::QueryApiExportedRows.counter(&[projection]).increment(rows);
        let took_ms = took.as_secs_f64() * 1000.0;
        match error {
            None => tracing::info!(projection, outcome, rows, took_ms, "export ended"),
            Some(error) => {
                let error = error as &(dyn std::error::Error + 'static);
                tracing::warn!(projection, outcome, rows, took_ms, error, "export ended");
            }
        }
    }
}

/// Counts an export for as long as it lives.
pub(super) struct UnderWay;

impl UnderWay {
    pub(super) fn enter() -> Self {
        Metric::QueryApiExportsUnderWay.gauge(&[]).increment(1.0);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        Metric::QueryApiExportsUnderWay.gauge(&[]).decrement(1.0);
    }
}
