//! What every request carries: an id, a trace, limits.

pub(crate) mod answer;

mod body;
pub(crate) mod compression;
mod context;
pub(crate) mod cross_origin;
pub(crate) mod protection;
mod request_id;
mod trace_parent;

pub use context::RequestContext;
pub use request_id::{REQUEST_ID, RequestId};
pub use trace_parent::{TRACE_PARENT, TraceParent};
