//! What users do, over HTTP, through the real processes.

mod access;
mod arrays;
mod cache;
mod configuration;
mod consistency;
mod dead_letters;
pub(crate) mod drain;
mod history;
mod idempotency;
mod letters_and_tokens;
mod lists;
mod partitions;
mod resource;
mod secured;
pub(crate) mod users;
mod users_read;
mod walk_through;
