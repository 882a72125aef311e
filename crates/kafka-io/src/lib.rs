//! The log: topics, the producer, the consumer shell and the checks of a cluster. The only crate that knows the Kafka client.

pub mod admin;
pub mod config;
pub mod consumer;
pub mod doctor;
pub mod header;
pub mod ledger;
pub mod probe;
pub mod producer;
pub mod record_reader;
pub mod security;
pub mod statistics;
pub mod tail;
pub mod topic;

mod client_log;
