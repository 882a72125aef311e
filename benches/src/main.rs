//! Ratio benchmarks: each subject against a baseline measured in the same run.
#![allow(clippy::print_stdout, reason = "a tool for terminals")]

mod backlog;
mod cpu;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// Writes a backlog only.
    Backlog {
        #[arg(long, env = "KAFKA_BROKERS")]
        brokers: String,
        #[arg(long, default_value = "events-input")]
        topic: String,
        #[arg(long)]
        schema_id: u32,
        #[arg(long, default_value_t = 500_000)]
        events: u64,
        #[arg(long, default_value_t = 10_000)]
        devices: u64,
        #[arg(long, default_value_t = 0)]
        client_named_percent: u64,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().bench {
        Bench::Backlog { brokers, topic, schema_id, events, devices, client_named_percent } => {
            let backlog = backlog::Backlog { events, devices, client_named_percent };
            backlog::write(&brokers, &topic, schema_id, backlog)
        }
    }
}
