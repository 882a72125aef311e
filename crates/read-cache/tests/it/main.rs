//! The protocol as a model.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests, which the lints do not know as such"
)]

mod model;
