//! The operators' tool for dead letters.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use dlq_replayer::{Call, Console, Exit};

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: starting the runtime: {error}");
            return ExitCode::from(Exit::Unreachable.code());
        }
    };
    let (stdin, stderr) = (std::io::stdin(), std::io::stderr());
    let mut console = Console {
        is_terminal: stdin.is_terminal() && stderr.is_terminal(),
        out: &mut std::io::stdout(),
        err: &mut std::io::stderr(),
        answers: &mut stdin.lock(),
    };
    let exit = runtime.block_on(dlq_replayer::run(Call::of_process(), &mut console));
    ExitCode::from(exit.code())
}
