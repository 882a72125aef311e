//! The rows readers see and the pure folds of events into them: what the writer and the reader of a
//! view share, with where the tables live and what the deploy steps recorded in them.

pub mod cached;
pub mod database;
pub mod deployment;
pub mod device_history;
pub mod json_object;
pub mod partitioner;
pub mod recorded;
pub mod resource;
pub mod session;
pub mod user;
