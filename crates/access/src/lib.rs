//! Who is calling and what they may do: access tokens, keys and roles.
//!
//! [`Verifier::verify`] turns the `Authorization` header into a [`Caller`], without I/O: keys are
//! read in the background by [`refresh`], the deployment's own keys and what was revoked by
//! [`identity::watch`], and nothing in a token decides what is fetched. Each key is used with one
//! algorithm only, whatever a token's header says.

mod actor;
mod cache;
mod caller;
mod claims;
mod clock;
mod config;
mod counted;
pub mod identity;
mod keys;
mod occurrence;
mod refresh;
mod refused;
mod revocations;
mod verifier;

#[cfg(test)]
mod tests;

pub use caller::{Caller, Revocable, Roles};
pub use clock::now;
pub use config::AccessConfig;
pub use counted::counted;
pub use domain::Revoked;
pub use domain::role::Role;
pub use keys::{JwksError, KeySet};
pub use refresh::refresh;
pub use refused::{Forbidden, Unauthenticated};
pub use revocations::{Revocation, Revocations, WhenUnknown};
pub use verifier::{MAX_TOKEN_BYTES, Verifier};
