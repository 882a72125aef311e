//! The commands and what each calls.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command as Program, ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use xtask::deploy::Target;
use xtask::fuzz_api::FuzzedApi;
use xtask::gates::Gate;
use xtask::stack::local_dir::LocalDir;
use xtask::stack::ports::Ports;
use xtask::stack::scale::Scale;
use xtask::stack::{self, Stack};
use xtask::{deploy, dev_token, gates, test_run, up};

/// Everything of the Makefile that has an `if`.
#[derive(Parser)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The directory of the stack, in the checkout or absolute
    #[arg(long, env = "LOCAL_DIR", default_value = ".local", global = true)]
    local_dir: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Brings up what does not run, sends a first event and says what to try
    Up {
        /// Moves every port of the stack
        #[arg(long, env = "PORT_OFFSET", default_value_t = 0)]
        port_offset: u16,
        /// How many processes, for example projector=2,query-api=2
        #[arg(long, env = "SCALE", default_value = "")]
        scale: Scale,
        /// Only Kafka, registry, Postgres and Redis, and no deploy steps
        #[arg(long)]
        infra_only: bool,
    },
    /// Ends every process of the stack; data stays
    Down,
    /// Ends every process of the stack and removes its data
    Reset,
    /// Shows what runs; fails unless all of it is ready
    Status,
    /// Ends one process; `up` brings it back
    Stop {
        /// Its name, as in the status
        process: String,
    },
    /// Shows the end of the logs
    Logs {
        /// One process only
        process: Option<String>,
        /// Goes on as lines arrive
        #[arg(short, long)]
        follow: bool,
    },
    /// Runs all gates, or those named
    Check {
        /// The gates
        gates: Vec<Gate>,
    },
    /// Runs all gates and all tests, on a stack of its own
    Test {
        /// Passed on to `cargo test`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Reads through the cache for ten minutes while everything breaks, on a stack of its own
    Soak,
    /// Runs the benches on a stack of their own
    Bench {
        /// Passed on
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Writes deploy/kafka/topics.yaml anew from the code
    WriteTopics,
    /// Writes docs/configuration.md anew from the table of settings
    WriteSettings,
    /// Sends requests made of the API's description to the running stack, and says what is not answered
    /// as it is described
    FuzzApi {
        /// How long
        #[arg(long, default_value_t = 300)]
        seconds: u64,
        /// The same seed sends the same requests
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Writes docs/openapi.json anew from what the processes say of themselves
    WriteApiDescription,
    /// Writes docs/metrics.md anew from the code
    WriteMetrics,
    /// Writes deploy/docker/nginx.conf and deploy/ecs/nginx.conf anew from deploy/nginx/nginx.conf
    WriteFrontDoors,
    /// Writes docs/data-dictionary.md anew from the database of DATABASE_URL, after a migration
    WriteDictionary,
    /// Runs the deploy steps, with the settings of docs/configuration.md from the environment: as the
    /// database's owner (DATABASE_URL), against the brokers and the registry
    Deploy {
        /// One step only
        step: Option<Step>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    Migrate,
    Topics,
    Schemas,
}

impl Arguments {
    /// Does what was asked; the exit code tells whether all is well.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let local = LocalDir::find(&self.local_dir)?;
        match self.command {
            Command::Up { port_offset, scale, infra_only } => {
                let stack = Stack::new(local, Ports::new(port_offset)?, scale)?;
                if infra_only { stack.up_infrastructure()? } else { up::up(&stack)? }
            }
            Command::Down => stack::down(&local)?,
            Command::Reset => stack::reset(&local)?,
            Command::Status if !stack::status(&local)? => return Ok(ExitCode::FAILURE),
            Command::Status => {}
            Command::Stop { process } => stack::stop(&local, &process)?,
            Command::Logs { process, follow } => logs(&local, process, follow)?,
            Command::Check { gates } if gates.is_empty() => {
                gates::check(&local.checkout, &Gate::ALL)?;
            }
            Command::Check { gates } => gates::check(&local.checkout, &gates)?,
            Command::Test { arguments } => test_run::run(&arguments)?,
            Command::Soak => test_run::soak()?,
            Command::Bench { arguments } => test_run::bench(&arguments)?,
            Command::WriteTopics => gates::write_topics(&local.checkout)?,
            Command::WriteSettings => gates::write_settings(&local.checkout)?,
            Command::FuzzApi { seconds, seed } => {
                let (url, access_token) = (stack::front_door(&local)?, dev_token::mint()?);
                let checkout = &local.checkout;
                let (url, access_token) = (&*url, &*access_token);
                FuzzedApi { checkout, url, access_token, seconds, seed }.run()?;
            }
            Command::WriteApiDescription => gates::write_api_description(&local.checkout)?,
            Command::WriteMetrics => gates::write_metrics(&local.checkout)?,
            Command::WriteFrontDoors => gates::write_front_doors(&local.checkout)?,
            Command::WriteDictionary => {
                let Target { database, prefix, .. } = Target::from_environment()?;
                let page = deploy::dictionary(&database, &prefix);
                let page = tokio::runtime::Runtime::new()?.block_on(page)?;
                std::fs::write(local.checkout.join("docs/data-dictionary.md"), page)
                    .context("writing the dictionary")?;
            }
            Command::Deploy { step } => {
                let wants = |this| step.is_none_or(|step| step == this);
                let Target { database, kafka, registry, prefix, partitions } =
                    Target::from_environment()?;
                tokio::runtime::Runtime::new()?.block_on(async {
                    if wants(Step::Migrate) {
                        deploy::migrate(&database, &prefix).await?;
                    }
                    if wants(Step::Topics) {
                        deploy::topics(&kafka, &database, &prefix, partitions).await?;
                    }
                    if wants(Step::Schemas) {
                        deploy::schemas(&registry, &database, &prefix).await?;
                    }
                    anyhow::Ok(())
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Becomes `tail`, which knows how to follow files that are replaced.
fn logs(local: &LocalDir, process: Option<String>, follow: bool) -> Result<()> {
    const LINES: &str = "100";
    let mut logs: Vec<PathBuf> = std::fs::read_dir(local.log())
        .with_context(|| format!("reading {}; has the stack been up?", local.log().display()))?
        .flatten()
        .map(|file| file.path())
        .collect();
    if let Some(process) = process {
        logs.retain(|path| *path == local.log_of(&process));
        if logs.is_empty() {
            bail!("{process} has written no log");
        }
    }
    logs.sort();
    let mut tail = Program::new("tail");
    tail.args(["-n", LINES]).args(follow.then_some("-F")).args(logs);
    Err(tail.exec()).context("running tail")
}
