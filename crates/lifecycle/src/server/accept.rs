//! The accept loop.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use telemetry::{ConnectionRefused, Metric};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{HttpConfig, connection, refusal};

/// Pause after an error that the next `accept` would meet again, such as no free file descriptor.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// What every connection is served with.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) config: Arc<HttpConfig>,
    pub(crate) drain: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Accepts until the server drains. A connection past the cap is accepted, answered 503 and closed:
/// a client that is refused knows it, one in the kernel's queue would not.
pub(crate) async fn accept_until_drained(listener: TcpListener, shared: Shared) {
    let free = Arc::new(Semaphore::new(shared.config.max_connections));
    let refusals = Arc::new(Semaphore::new(refusal::AT_ONCE));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.drain.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer.ip(), &shared, &free, &refusals),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "connections cannot be accepted; trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

fn admit(
    stream: TcpStream,
    peer: IpAddr,
    shared: &Shared,
    free: &Arc<Semaphore>,
    refusals: &Arc<Semaphore>,
) {
    if let Ok(permit) = free.clone().try_acquire_owned() {
        let connection = connection::serve(stream, peer, shared.clone());
        shared.tasks.spawn(async move {
            let gauge = Metric::HttpConnections.gauge(&[]);
            gauge.increment(1.0);
            connection.await;
            gauge.decrement(1.0);
            drop(permit);
        });
        return;
    }
    ConnectionRefused { limit: shared.config.max_connections }.emit();
    // Past this many polite refusals the connection is just closed.
    if let Ok(permit) = refusals.clone().try_acquire_owned() {
        let abort = shared.abort.clone();
        shared.tasks.spawn(async move {
            let _ = abort.run_until_cancelled(refusal::refuse(stream)).await;
            drop(permit);
        });
    }
}

/// Whether the error says something of the connection, not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
