//! Every HTTP error as a problem document (RFC 9457) with a stable type.
//!
//! A [`Problem`] is one answer, a [`ProblemType`] the kind of it that programs may rely on. The
//! type is a relative reference, `/problems/<slug>`: it names the same page on every deployment,
//! whatever its host name.

mod body;
mod fallback;
mod gzip;
mod media_type;
mod problem;
mod problem_type;

pub use body::{BodyLimits, read_body};
pub use fallback::{method_not_allowed, not_found};
pub use media_type::MediaType;
pub use problem::{FieldError, MEDIA_TYPE, ParameterError, Problem, RefusedCaller};
pub use problem_type::ProblemType;
