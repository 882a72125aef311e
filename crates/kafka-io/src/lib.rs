//! The log: topics, the producer, the consumer shell and the checks of a cluster. The only crate that knows the Kafka client.

pub mod consumer;
pub mod ledger;
pub mod topic;
