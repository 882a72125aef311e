//! The command API: its routes over a log that notes what it is sent, its decisions over a store in memory,
//! its mails at a mail server.

#![allow(clippy::unwrap_used, reason = "a test ends where an answer is not as expected")]

mod access_tokens;
mod arrays;
mod bodies;
mod cloud_events;
mod decision_world;
mod decisions;
mod erase_verify;
mod events;
mod login_failures;
mod mail;
mod mails;
mod process;
mod second_factors;
mod sessions;
mod signing_keys;
mod users;
mod world;
