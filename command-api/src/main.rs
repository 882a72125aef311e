//! The command API's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    command_api::tool::run(std::env::args_os()).unwrap_or_else(lifecycle::main::<command_api::App>)
}
