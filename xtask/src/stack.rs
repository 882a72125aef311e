//! The local stack: real Kafka, registry, Postgres and Redis as plain processes under one directory.

use std::path::Path;
use std::process::Child;
use std::thread;

use anyhow::{Context, Result, bail};

use self::local_dir::LocalDir;
use self::parts::Parts;
use self::ports::Ports;
use self::process::{Process, Tier};
use self::record::Record;

pub mod environment;
pub mod local_dir;
pub mod ports;

mod holder;
mod identity;
mod kafka;
mod parts;
mod postgres;
mod process;
mod ready;
mod record;
mod redis;
mod registry;
mod service_user;
mod supervisor;
mod template;

/// One stack: its directory, its ports, and the parts it is made of.
#[derive(Debug)]
pub struct Stack {
    local: LocalDir,
    ports: Ports,
    parts: Parts,
}

/// A process that a start brought up or found running.
struct Started<'a> {
    process: &'a Process,
    child: Option<Child>,
}

impl Stack {
    /// A stack under `dir` (relative to the checkout, or absolute) with all ports moved by the offset.
    pub fn new(dir: &Path, port_offset: u16) -> Result<Self> {
        let local = LocalDir::find(dir)?;
        local.create()?;
        let parts = Parts::fetch(&local)?;
        Ok(Self { local, ports: Ports::new(port_offset)?, parts })
    }

    /// Brings up what does not run of Kafka, registry, Postgres and Redis, and writes `.local/env`.
    pub fn up_infrastructure(&self) -> Result<()> {
        let processes = vec![
            postgres::process(self)?,
            kafka::process(self)?,
            registry::process(self)?,
            redis::process(self)?,
        ];
        let running = self.clear_the_way(&processes)?;
        self.bring_up(&processes, &running)?;
        block_on(postgres::provision(self))?;
        environment::write(self, &environment::variables(self))
    }

    /// Ends what runs with other settings than wanted, and refuses if a port is held by others.
    /// Returns the names of those that go on running.
    fn clear_the_way(&self, processes: &[Process]) -> Result<Vec<String>> {
        let (unchanged, others): (Vec<_>, Vec<_>) = Record::all(&self.local)?
            .into_iter()
            .filter(|record| processes.iter().any(|process| process.name == record.name))
            .partition(|record| {
                record.identity.lives()
                    && processes.iter().any(|process| {
                        process.name == record.name && process.fingerprint() == record.fingerprint
                    })
            });
        for record in others.iter().filter(|record| record.identity.lives()) {
            println!("{} runs with other settings and is started anew", record.name);
        }
        supervisor::stop(&self.local, &others);
        let running: Vec<String> = unchanged.into_iter().map(|record| record.name).collect();
        self.refuse_taken_ports(processes, &running)?;
        Ok(running)
    }

    fn refuse_taken_ports(&self, processes: &[Process], running: &[String]) -> Result<()> {
        let taken: Vec<String> = processes
            .iter()
            .filter(|process| !running.contains(&process.name))
            .flat_map(|process| process.ports.iter().map(move |port| (process, *port)))
            .filter_map(|(process, port)| match holder::of(port) {
                holder::Port::Free => None,
                holder::Port::Taken(by) => {
                    Some(format!("port {port} for {} is taken by {by}", process.name))
                }
            })
            .collect();
        if !taken.is_empty() {
            bail!(
                "{}\nend what holds them, or choose other ports for the whole stack: make up PORT_OFFSET=100",
                taken.join("\n")
            );
        }
        Ok(())
    }

    /// Starts the processes that do not run, side by side, and waits until all serve.
    fn bring_up(&self, processes: &[Process], running: &[String]) -> Result<()> {
        let results: Vec<Result<()>> = thread::scope(|scope| {
            let handles: Vec<_> = processes
                .iter()
                .map(|process| {
                    scope.spawn(move || {
                        let started = self.start(process, running.contains(&process.name))?;
                        self.await_ready(started)
                    })
                })
                .collect();
            handles
                .into_iter()
                .map(|handle| handle.join().unwrap_or_else(|_| bail!("a starting thread panicked")))
                .collect()
        });
        let faults: Vec<String> = results
            .into_iter()
            .filter_map(|result| result.err().map(|error| format!("{error:#}")))
            .collect();
        if !faults.is_empty() {
            bail!("{}", faults.join("\n"));
        }
        Ok(())
    }

    fn start<'a>(&self, process: &'a Process, is_running: bool) -> Result<Started<'a>> {
        if is_running {
            return Ok(Started { process, child: None });
        }
        match process.name.as_str() {
            "kafka" => kafka::prepare(self)?,
            "postgres" => postgres::prepare(self)?,
            "redis" => redis::prepare(self)?,
            _ => {}
        }
        let child = supervisor::start(&self.local, process)?;
        Ok(Started { process, child: Some(child) })
    }

    fn await_ready(&self, mut started: Started<'_>) -> Result<()> {
        supervisor::await_ready(&self.local, started.process, started.child.as_mut())?;
        if started.child.is_some() {
            println!("{} is up", started.process.name);
        }
        Ok(())
    }
}

/// Ends every process of the stack under `dir`, the front door first.
pub fn down(dir: &Path) -> Result<()> {
    let local = LocalDir::find(dir)?;
    let records = Record::all(&local)?;
    for tier in [Tier::FrontDoor, Tier::Service, Tier::Infrastructure] {
        let tier: Vec<Record> =
            records.iter().filter(|record| record.tier == tier).cloned().collect();
        supervisor::stop(&local, &tier);
    }
    Ok(())
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?
        .block_on(work)
}
