//! The process `query-api`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lifecycle::main::<query_api::App>()
}
