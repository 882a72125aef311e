//! The life of a process: start, serve, be asked for its health, drain, stop.
//!
//! A process implements [`Process`] and its `main` is [`main`]; what it serves goes through
//! [`Server`], which adds `/health`, `/metrics`, request ids and every limit of time and number;
//! what it depends on reports to [`Health`]; what must end with it listens to [`Shutdown`].

pub mod http;

mod command_line;
mod health;
mod process;
mod server;
mod shutdown;

pub use health::{Component, Health, HealthReport, Heartbeat};
pub use process::{Process, main};
pub use server::{Drained, HttpConfig, Server};
pub use shutdown::Shutdown;
