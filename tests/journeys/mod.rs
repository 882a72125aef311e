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
mod limits;
mod lists;
mod partitions;
mod passwords;
mod registration;
mod resource;
mod second_factor;
mod secured;
mod sessions;
mod sessions_read;
pub(crate) mod users;
mod users_read;
mod walk_through;
