//! Everything of the Makefile that has an `if`: the local stack, the deploy steps and the gates.
#![allow(clippy::print_stdout, reason = "a tool for terminals")]

pub mod stack;
