//! The health of the process over HTTP.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Health, HealthReport};

/// `/health` and `/health/live`: 503 where a restart helps. `/health/ready`: 503 where the process
/// does not do its work, with every reason.
pub(crate) fn routes(health: &Health) -> Router {
    let (live, ready) = (health.clone(), health.clone());
    let live = get(move || async move {
        let report = live.report();
        answer(report.live, &report)
    });
    let ready = get(move || async move {
        let report = ready.report();
        answer(report.ready, &report)
    });
    Router::new()
        .route("/health", live.clone())
        .route("/health/live", live)
        .route("/health/ready", ready)
}

fn answer(is_good: bool, report: &HealthReport) -> Response {
    let status = if is_good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (status, no_store, axum::Json(report)).into_response()
}
