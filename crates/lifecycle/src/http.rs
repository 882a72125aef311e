//! What every request carries: an id, a trace, limits.

pub(crate) mod answer;

mod body;
pub(crate) mod compression;
mod context;
pub(crate) mod cross_origin;
mod prefer;
pub(crate) mod protection;
mod request_id;

pub use context::{RequestContext, TRACE_PARENT};
pub use prefer::{PREFER, PREFERENCE_APPLIED, preference, preferred_wait};
pub use request_id::{REQUEST_ID, RequestId};
pub use telemetry::TraceParent;
