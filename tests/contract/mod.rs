//! What others may rely on: bytes, headers and schemas that our code is not needed to read.

mod access_matrix;
mod analysts;
mod api_description;
mod browser;
mod canary;
mod cloud_events;
mod examples;
mod front_door;
mod golden;
mod installed;
mod raw_records;
mod record_reader;
mod refusals;
mod rights;
pub(super) mod telemetry;
mod tools;
