//! A request's body, which must come to its end in time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// Whether a body did not come to its end in time; read by the one who answers. Nothing where there is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct IsLate(Option<Arc<AtomicBool>>);

impl IsLate {
    pub(crate) fn get(&self) -> bool {
        self.0.as_ref().is_some_and(|is_late| is_late.load(Relaxed))
    }
}

/// A body that ends in an error once its time is over.
pub(crate) struct TimedBody {
    body: Body,
    deadline: Instant,
    /// Made when first needed: most bodies are there at once.
    alarm: Option<Pin<Box<Sleep>>>,
    is_late: Arc<AtomicBool>,
}

impl TimedBody {
    /// Gives the body `limit` from now on; one that is at its end needs no time.
    pub(crate) fn wrap(body: Body, limit: Duration) -> (Body, IsLate) {
        if body.is_end_stream() {
            return (body, IsLate::default());
        }
        let is_late = Arc::<AtomicBool>::default();
        let deadline = Instant::now() + limit;
        let timed = Self { body, deadline, alarm: None, is_late: Arc::clone(&is_late) };
        (Body::new(timed), IsLate(Some(is_late)))
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let deadline = this.deadline;
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        std::task::ready!(alarm.as_mut().poll(context));
        this.is_late.store(true, Relaxed);
        let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "the body came too slowly");
        Poll::Ready(Some(Err(axum::Error::new(late))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
