//! What others may rely on: bytes, headers and schemas that our code is not needed to read.

mod analysts;
mod cloud_events;
mod golden;
mod raw_records;
mod record_reader;
mod tools;
