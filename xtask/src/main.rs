//! Everything of the Makefile that has an `if`.
#![allow(clippy::print_stdout, reason = "a tool for terminals")]

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::stack::{self, Stack};

#[derive(Parser)]
#[command(about = "Everything of the Makefile that has an `if`.", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The directory of the stack.
    #[arg(long, env = "LOCAL_DIR", default_value = ".local", global = true)]
    dir: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Brings up what does not run.
    Up {
        /// Moves every port of the stack.
        #[arg(long, env = "PORT_OFFSET", default_value_t = 0)]
        port_offset: u16,
        /// Leaves out our own processes and the front door.
        #[arg(long)]
        infra_only: bool,
    },
    /// Ends every process of the stack; data stays.
    Down,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Up { port_offset, .. } => {
            Stack::new(&arguments.dir, port_offset)?.up_infrastructure()
        }
        Command::Down => stack::down(&arguments.dir),
    }
}
