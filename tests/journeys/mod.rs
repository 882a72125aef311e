//! What users do, over HTTP, through the real processes.

mod access;
mod configuration;
mod consistency;
pub(crate) mod drain;
mod idempotency;
mod resource;
mod walk_through;
