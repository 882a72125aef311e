//! Reads through the cache on the real stack, while everything around it breaks: none is older than
//! what was shown before it began, and none that was given a write's token lacks the write.

mod burst;
mod checker;
pub(super) mod connection;
mod deployment;
mod dice;
mod load;
mod mishap;
mod outage;
mod report;
mod scene;
mod schedule;
mod soak;
mod tally;
