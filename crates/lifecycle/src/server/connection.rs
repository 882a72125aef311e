//! One connection from its first byte to its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use telemetry::Metric;
use tokio::net::TcpStream;
use tower::Service as _;

use super::HttpConfig;
use super::accept::Shared;
use super::activity::{Activity, Observed, Phase};
use crate::http::Peer;

/// Largest head of a request, in bytes: far above what a browser with large cookies sends.
const MAX_HEAD: usize = 32 * 1024;

/// Serves the requests of one connection until the client closes it, it is too slow, or the server
/// ends.
pub(crate) async fn serve(stream: TcpStream, peer: IpAddr, shared: Shared) {
    let peer = Peer { address: peer, proxies: shared.config.trusted_proxies.clone() };
    peer.scope(answer_all(stream, shared)).await;
}

async fn answer_all(stream: TcpStream, shared: Shared) {
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
    // Each is asked only when it has something to say: clocks and tokens take locks, and a connection
    // is woken several times for each request.
    let mut interruptions: FuturesUnordered<BoxFuture<'_, Interruption>> = FuturesUnordered::new();
    interruptions.push(Box::pin(until_too_slow(&activity, &shared.config)));
    interruptions.push(Box::pin(shared.drain.cancelled().map(|()| Interruption::Drain)));
    interruptions.push(Box::pin(shared.abort.cancelled().map(|()| Interruption::Cut)));
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended in the middle of something");
                }
                return;
            }
            Some(interruption) = interruptions.next() => match interruption {
                Interruption::Drain => connection.as_mut().graceful_shutdown(),
                Interruption::Cut => return,
            },
        }
    }
}

/// What befalls a connection from outside.
enum Interruption {
    /// It ends after the request that it is in.
    Drain,
    /// It ends now.
    Cut,
}

async fn until_too_slow(activity: &Activity, config: &HttpConfig) -> Interruption {
    loop {
        match activity.verdict(config) {
            Ok(next_look) => tokio::time::sleep_until(next_look).await,
            Err(too_slow) => {
                Metric::HttpConnectionsCut.counter(&[too_slow.as_str()]).increment(1);
                tracing::debug!(
                    reason = too_slow.as_str(),
                    "connection cut: the client is too slow"
                );
                return Interruption::Cut;
            }
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
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

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
