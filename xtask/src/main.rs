//! Everything of the Makefile that has an `if`.
#![allow(clippy::print_stdout, reason = "a tool for terminals")]

use std::process::ExitCode;

use clap::Parser;

mod command_line;

fn main() -> ExitCode {
    match command_line::Arguments::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
