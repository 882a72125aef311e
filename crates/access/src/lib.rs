//! Who is calling and what they may do: access tokens, keys and roles.
//!
//! [`Verifier::verify`] turns the `Authorization` header into a [`Caller`], without I/O: keys are
//! read in the background by [`refresh`], and nothing in a token decides what is fetched. Each key
//! is used with one algorithm only, whatever a token's header says.

mod actor;
mod cache;
mod caller;
mod claims;
mod config;
mod keys;
mod refresh;
mod refused;
mod verifier;

#[cfg(test)]
mod tests;

pub use caller::{Caller, Roles};
pub use config::AccessConfig;
pub use domain::role::Role;
pub use keys::{JwksError, KeySet};
pub use refresh::refresh;
pub use refused::{Forbidden, Unauthenticated};
pub use verifier::{MAX_TOKEN_BYTES, Verifier};
