//! The command API's routes over a log that notes what it is sent.

#![allow(clippy::unwrap_used, reason = "a test ends where an answer is not as expected")]

mod access_tokens;
mod arrays;
mod bodies;
mod cloud_events;
mod events;
mod process;
mod world;
