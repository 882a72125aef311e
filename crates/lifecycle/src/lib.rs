//! The life of a process: start, serve, be asked for its health, drain, stop.
//!
//! A process implements [`Process`] and its `main` is [`main`]; what it serves goes through
//! [`Server`], which adds `/health`, `/metrics`, request ids and every limit of time and number;
//! what it depends on reports to [`Health`]; what must end with it listens to [`Shutdown`].

pub mod http;

mod command_line;
mod health;
mod healthcheck;
mod process;
mod server;
mod shutdown;

/// Every process allocates through mimalloc: under many small requests on several threads the C
/// library's allocator took a tenth of the CPU time. The Kafka client stays with the C library's: what
/// the consumer allocates on one thread and frees on another costs half as much again with mimalloc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use health::{Component, Health, HealthPaths, HealthReport, Heartbeat};
pub use process::{Process, main};
pub use server::{Drained, HttpConfig, Server};
pub use shutdown::Shutdown;
