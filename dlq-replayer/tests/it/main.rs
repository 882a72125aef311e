//! The tool over the tables of a real database.

#![allow(clippy::unwrap_used, reason = "a test ends where an answer is not as expected")]

mod decided;
mod desk;
mod discard;
mod folding;
mod list;
mod person;
mod replay;
mod resume;
mod rights;
mod show;
