//! The way of a decision and the comparison with the log as models, and the promises that every store keeps.

#![allow(clippy::print_stdout, reason = "models say how far they were explored")]

mod comparing;
mod conformance;
mod model;
mod relay;
mod samples;
