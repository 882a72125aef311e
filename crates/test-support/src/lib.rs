//! What tests over the real stack stand on: a [`World`] of their own, processes as children, faults
//! on command, and an oracle that folds the log in memory.
//!
//! A test begins with [`World::start`]: its own prefix, topics and database on the stack that
//! `make test` brings up, so that tests run side by side. Waits are [`eventually`]: they poll a
//! condition and tell what was seen last when it never comes true.

mod authenticator;
mod cluster;
mod database;
mod eventually;
mod http;
mod letters;
mod log;
mod oracle;
mod own_stack;
mod people;
mod process;
mod prometheus;
mod proxy;
mod redis_server;
mod report;
mod serial;
mod spine;
mod stack;
mod stub_registry;
mod tls_server;
mod token;
mod world;

pub use authenticator::Authenticator;
pub use eventually::{eventually, eventually_within};
pub use http::{Answer, Client, Download};
pub use log::{Log, LogRecord, Outgoing, Writer};
pub use oracle::{Oracle, StoredRow};
pub use own_stack::OwnStack;
pub use people::{Named, PASSWORD, People, id_of, with_json};
pub use process::{Launch, Running};
pub use prometheus::{Prometheus, Sample};
pub use proxy::{Link, Proxy};
pub use redis_server::{RedisServer, Resp};
pub use report::{Backlog, Report, a_report};
pub use serial::{Alone, alone};
pub use spine::{Caller, Spine, event_body};
pub use stack::Stack;
pub use stub_registry::{RegistryAnswer, StubRegistry};
pub use tls_server::{Opening, TlsServer};
pub use token::AccessToken;
pub use world::World;
