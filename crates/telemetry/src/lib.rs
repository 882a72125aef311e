//! Logs, metrics and [traces](trace): one struct per occurrence, whose log line and metric leave from
//! one place.
//!
//! A slice writes an event struct in its own crate; its `emit` writes the log line through
//! `tracing` and counts through [`Metric`], so that the two cannot drift apart:
//! [`HttpRequestServed`] is the example. Names of metrics are the variants of [`Metric`] and
//! nothing else.

mod access;
mod catalogue;
mod http;
mod json;
mod kafka;
mod log;
mod metric;
mod process;
mod recorder;
mod request;
mod security;
mod text;
pub mod trace;
mod vitals;

pub use access::AccessRefused;
pub use catalogue::catalogue;
pub use http::{ConnectionRefused, HandlerPanicked, HttpRequestServed, HttpTimers};
pub use kafka::{KafkaClient, KafkaClientFigures};
pub use log::{Identity, LogConfig, LogFormat, StartLogError, start_log};
pub use metric::{Description, Kind, Metric};
pub use process::{ProcessReady, ProcessStarted, ProcessStopped, StopReason};
pub use recorder::{Metrics, metrics};
pub use request::RequestIds;
pub use security::{SecurityEvent, SecurityEventName};
pub use trace::{StartTracesError, TraceConfig, TraceParent, Traces};
