//! One connection from its first byte to its end.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use telemetry::Metric;
use tokio::net::TcpStream;
use tower::Service as _;

use super::accept::Shared;
use super::activity::{Activity, Observed, Phase};

/// Largest head of a request, in bytes: far above what a browser with large cookies sends.
const MAX_HEAD: usize = 32 * 1024;

/// Serves the requests of one connection until the client closes it, it is too slow, or the server
/// ends.
pub(crate) async fn serve(stream: TcpStream, shared: Shared) {
    // An answer leaves at once instead of waiting for the acknowledgement of the one before it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection ended before it was served");
        return;
    }
    let activity = Activity::new();
    let io = TokioIo::new(Observed { stream, activity: activity.clone() });
    let service = Routed { router: shared.router, activity: activity.clone() };
    let connection = http1::Builder::new()
        // Its clock would also run between requests; `activity` has one for each.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .serve_connection(io, service)
        .with_upgrades();
    tokio::pin!(connection);
    let mut next_look = match activity.verdict(&shared.config) {
        Ok(at) => at,
        Err(_) => return,
    };
    let mut is_draining = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended in the middle of something");
                }
                return;
            }
            () = tokio::time::sleep_until(next_look) => match activity.verdict(&shared.config) {
                Ok(at) => next_look = at,
                Err(too_slow) => {
                    Metric::HttpConnectionsCut.counter(&[too_slow.as_str()]).increment(1);
                    tracing::debug!(reason = too_slow.as_str(), "connection cut: the client is too slow");
                    return;
                }
            },
            () = shared.drain.cancelled(), if !is_draining => {
                connection.as_mut().graceful_shutdown();
                is_draining = true;
            }
            () = shared.abort.cancelled() => return,
        }
    }
}

/// The router as a connection's service; it tells the connection's clock when it is at work.
struct Routed {
    router: Router,
    activity: Arc<Activity>,
}

impl Service<hyper::Request<Incoming>> for Routed {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future =
        futures_util::future::BoxFuture<'static, Result<Self::Response, std::convert::Infallible>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        self.activity.enter(Phase::Busy);
        let activity = self.activity.clone();
        let request: Request = request.map(Body::new);
        // A router is always ready, and its clone is a reference.
        let answered = self.router.clone().call(request);
        Box::pin(async move {
            let answer = answered.await;
            activity.enter(Phase::Idle);
            answer
        })
    }
}
