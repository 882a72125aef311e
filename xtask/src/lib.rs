//! Everything of the Makefile that has an `if`: the local stack, the deploy steps and the gates.
#![allow(clippy::print_stdout, reason = "a tool for terminals")]

pub mod checkout;
pub mod deploy;
pub mod dev_token;
pub mod first_admin;
pub mod first_event;
pub mod fuzz_api;
pub mod gates;
pub mod stack;
pub mod test_run;
pub mod up;
