//! What a connection is doing and until when it may: the clock that ends slow clients.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::HttpConfig;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No byte of a request has come, or an answer is being taken.
    Idle,
    /// The head of a request is coming.
    Head,
    /// A request is being answered: its own limits hold.
    Busy,
}

/// Why a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooSlow {
    /// The head did not come to its end in time.
    Head,
    /// Nothing came or went for too long.
    Idle,
}

impl TooSlow {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Idle => "idle",
        }
    }
}

/// The phase of one connection and since when it lasts. Only the connection's own task writes it;
/// atomics make it shareable with its reader and its service.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    phase: AtomicU8,
    since_micros: AtomicU64,
}

impl Activity {
    /// Of a connection that has just been opened: a head is expected at once.
    pub(crate) fn new() -> Arc<Self> {
        let phase = AtomicU8::new(Phase::Head as u8);
        Arc::new(Self { opened: Instant::now(), phase, since_micros: AtomicU64::new(0) })
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
        let since = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.since_micros.store(since, Relaxed);
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Busy,
        }
    }

    /// When to look again, or why the connection is to be cut now.
    pub(crate) fn verdict(&self, config: &HttpConfig) -> Result<Instant, TooSlow> {
        let now = Instant::now();
        let since = self.opened + Duration::from_micros(self.since_micros.load(Relaxed));
        // A phase may begin right after a look, so looks are closer than the shortest limit.
        let next_look = now + config.header_timeout.min(config.idle_timeout) / 4;
        let (limit, too_slow) = match self.phase() {
            Phase::Busy => return Ok(next_look),
            Phase::Head => (config.header_timeout, TooSlow::Head),
            Phase::Idle => (config.idle_timeout, TooSlow::Idle),
        };
        if now >= since + limit { Err(too_slow) } else { Ok(next_look.min(since + limit)) }
    }
}

/// A stream that notes when bytes come and go.
pub(crate) struct Observed<S> {
    pub(crate) stream: S,
    pub(crate) activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        // Only the first byte begins a head: the bytes after it do not give it more time.
        if into.filled().len() > before && self.activity.phase() == Phase::Idle {
            self.activity.enter(Phase::Head);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_written(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_written(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S> Observed<S> {
    fn note_written(&self, polled: &Poll<io::Result<usize>>) {
        if matches!(polled, Poll::Ready(Ok(1..))) && self.activity.phase() == Phase::Idle {
            self.activity.enter(Phase::Idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::TrustedProxies;

    fn config() -> HttpConfig {
        HttpConfig {
            bind: ([127, 0, 0, 1], 0).into(),
            max_connections: 1,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(30),
            max_body: 1024,
            cors_origins: Vec::new(),
            strict_transport: None,
            trusted_proxies: TrustedProxies::default(),
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_the_time_of_a_head() {
        let activity = Activity::new();
        pass(9).await;
        assert!(activity.verdict(&config()).is_ok());
        pass(1).await;
        assert_eq!(activity.verdict(&config()), Err(TooSlow::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_never_cut_here() {
        let activity = Activity::new();
        activity.enter(Phase::Busy);
        pass(1_000).await;
        assert!(activity.verdict(&config()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_cut_after_its_time() {
        let activity = Activity::new();
        pass(500).await;
        activity.enter(Phase::Idle);
        pass(74).await;
        assert!(activity.verdict(&config()).is_ok());
        pass(1).await;
        assert_eq!(activity.verdict(&config()), Err(TooSlow::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_look_is_never_later_than_the_end_of_the_phase() {
        let activity = Activity::new();
        pass(9).await;
        let look = activity.verdict(&config()).unwrap();
        assert_eq!(look - Instant::now(), Duration::from_secs(1));
    }
}
