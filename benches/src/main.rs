//! Ratio benchmarks: each subject against a baseline measured in the same run.
//!
//! Needs a running stack (`make up`) and its variables; `make bench` sees to both. Each figure is
//! one JSON line.

mod backlog;
mod child;
mod cpu;
mod decide;
mod decide_baseline;
mod decide_people;
mod decide_served;
mod decide_sides;
mod decide_subject;
mod decide_visible;
mod drain;
mod http_load;
mod ingest;
mod ingest_baseline;
mod login;
mod login_baseline;
mod pages;
mod project;
mod project_baseline;
mod project_cache;
mod read;
mod read_baseline;
mod report;
mod services;
mod world;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Ratio benchmarks")]
struct Arguments {
    /// Which; all, each as it is by default, where none is named.
    #[command(subcommand)]
    bench: Option<Bench>,
    /// The stack's directory, where pids are found.
    #[arg(long, env = "LOCAL_DIR", default_value = ".local", global = true)]
    directory: PathBuf,
}

#[derive(Subcommand)]
enum Bench {
    /// POST to acknowledged log, and from there to a GET that shows it.
    Ingest(ingest::Ingest),
    /// Command to committed events, and from a PATCH to a GET that shows it.
    Decide(decide::Decide),
    /// POST of a name and its password to the tokens of a session.
    Login(login::Login),
    /// Draining a backlog of device events into the read model.
    Project(project::Project),
    /// GET of a resource that stands in the cache.
    Read(read::Read),
    /// Pages of a long history, wherever they are.
    Pages(pages::Pages),
    /// The baseline of `project`, which it starts as a process of its own.
    #[command(hide = true)]
    BareLoop(project_baseline::Loop),
    /// The baseline of `ingest`, which it starts as a process of its own.
    #[command(hide = true)]
    BareHandler(ingest_baseline::Handler),
    /// The baseline of `read`, which it starts as a process of its own.
    #[command(hide = true)]
    BareReader(read_baseline::Reader),
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { bench, directory } = Arguments::parse();
    match bench {
        Some(bench) => run(bench, &directory).await,
        None => {
            for name in ["ingest", "decide", "login", "project", "read", "pages"] {
                if let Some(bench) = Arguments::parse_from(["benches", name]).bench {
                    run(bench, &directory).await?;
                }
            }
            Ok(())
        }
    }
}

async fn run(bench: Bench, directory: &Path) -> Result<()> {
    match bench {
        Bench::Ingest(bench) => ingest::run(directory, &bench).await,
        Bench::Decide(bench) => decide::run(directory, &bench).await,
        Bench::Login(bench) => login::run(directory, &bench).await,
        Bench::Project(bench) => project::run(directory, &bench).await,
        Bench::Read(bench) => read::run(directory, &bench).await,
        Bench::Pages(bench) => pages::run(directory, &bench).await,
        Bench::BareLoop(bare) => project_baseline::run(bare).await,
        Bench::BareHandler(bare) => ingest_baseline::run(bare).await,
        Bench::BareReader(bare) => read_baseline::run(bare).await,
    }
}
