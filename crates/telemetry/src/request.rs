//! For whom lines are written: the request that a task is at work for.
//!
//! It is no span. One would be made, filtered and written out for each request, for lines of which most requests
//! have none; this is put beside the task that is polled, and written where there is a line.

use std::fmt;

use http::HeaderValue;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: RequestIds;
}

/// The ids of a request, which stand on every line that is written for it. Clones are cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIds {
    /// Its own id: visible ASCII.
    pub request_id: HeaderValue,
    /// The trace that it belongs to, recorded or not.
    pub trace_id: u128,
}

impl RequestIds {
    /// The future, whose lines are written for this request. Tasks that it spawns are others': see
    /// [`Self::go_on`].
    pub fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self, future)
    }

    /// Does something for this request at once.
    pub fn sync_scope<T>(&self, act: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), act)
    }

    /// The future, whose lines are written for the request at hand, if there is one: for a task that goes on with
    /// it and may outlive its caller.
    pub fn go_on<F: Future>(future: F) -> impl Future<Output = F::Output> {
        let ids = Self::current();
        async move {
            match ids {
                Some(ids) => ids.scope(future).await,
                None => future.await,
            }
        }
    }

    /// Those of the request at hand.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// The request's id as text.
    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }
}

/// As lines for people have it: `request.id=... trace_id=...`.
impl fmt::Display for RequestIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request.id={} trace_id={:032x}", self.request_id(), self.trace_id)
    }
}
