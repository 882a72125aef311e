//! The projector's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    lifecycle::main::<projector::App>()
}
