//! The command API's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    lifecycle::main::<command_api::App>()
}
