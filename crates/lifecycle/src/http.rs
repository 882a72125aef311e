//! What every request carries: an id, a trace, limits.

pub(crate) mod answer;

mod body;
mod client_address;
pub(crate) mod compression;
mod context;
pub(crate) mod cross_origin;
mod prefer;
pub(crate) mod protection;
pub(crate) mod quota;
mod request_id;
mod trusted_proxies;

pub use client_address::ClientAddress;
pub(crate) use client_address::Peer;
pub use context::{RequestContext, TRACE_PARENT};
pub use prefer::{PREFER, PREFERENCE_APPLIED, preference, preferred_wait};
pub use quota::{CallerKeys, RateLimitConfig, RateLimits};
pub use rate_limit::LimitKey;
pub use request_id::{REQUEST_ID, RequestId};
pub use telemetry::TraceParent;
pub use trusted_proxies::TrustedProxies;
