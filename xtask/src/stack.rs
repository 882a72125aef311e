//! The local stack: real Kafka, registry, Postgres, Redis and nginx, and our processes, as plain
//! processes under one directory.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};
use settings::Prefix;

use self::local_dir::LocalDir;
use self::lock::Lock;
use self::parts::Parts;
use self::ports::{Listener, Ports};
use self::process::{Process, Tier};
use self::record::Record;
use self::rights::Givers;
use self::scale::Scale;
use crate::deploy::Target;

pub mod edge_limits;
pub mod local_dir;
pub mod parts;
pub mod pki;
pub mod ports;
pub mod rights;
pub mod scale;
pub mod service;

pub(crate) mod group;
pub(crate) mod identity;
pub(crate) mod template;

mod certificates;
mod environment;
mod holder;
mod kafka;
mod lock;
mod nginx;
mod postgres;
mod process;
mod ready;
mod record;
mod redis;
mod registry;
mod registry_door;
mod service_user;
mod status;
mod supervisor;

/// One stack: its directory, its ports, how many processes it has and the parts it is made of.
#[derive(Debug)]
pub struct Stack {
    local: LocalDir,
    ports: Ports,
    scale: Scale,
    parts: Parts,
    /// Whether Postgres waits for the disk.
    is_synced: bool,
    /// Held while this call changes the stack, so that two do not start the same process.
    _lock: Lock,
}

impl Stack {
    /// A stack in a directory, with all ports moved by the offset. Fetches the parts if nobody has,
    /// and waits for another call that changes the same stack.
    ///
    /// # Errors
    /// The directory cannot be written or the parts cannot be fetched.
    pub fn new(local: LocalDir, ports: Ports, scale: Scale) -> Result<Self> {
        let lock = Lock::take(&local)?;
        local.create()?;
        let parts = Parts::fetch(&local)?;
        Ok(Self { local, ports, scale, parts, is_synced: true, _lock: lock })
    }

    /// One whose Postgres does not wait for the disk: what it has answered outlives its end, whatever ends it, and
    /// not that of the machine. For stacks that are removed with the tests that they are for: a disk that stalls for
    /// seconds, as under the files of a build or of a thousand databases, is not what these are about.
    #[must_use]
    pub fn unsynced(self) -> Self {
        Self { is_synced: false, ..self }
    }

    /// Brings up what does not run of Kafka, registry, Postgres and Redis, and writes the env file.
    ///
    /// # Errors
    /// A port is held by others, or a part does not come up: each is named, with the end of its log.
    pub fn up_infrastructure(&self) -> Result<()> {
        certificates::prepare(self)?;
        let processes = [
            postgres::process(self)?,
            kafka::process(self)?,
            registry::process(self)?,
            registry_door::process(self)?,
            redis::process(self)?,
        ];
        self.bring_up(&processes)?;
        kafka::provision(self)?;
        let port = |listener| self.ports.of(listener);
        let givers = Givers { kafka: port(Listener::Kafka), redis: port(Listener::Redis) };
        rights::give(givers, &Prefix::default())?;
        block_on(postgres::provision(self))?;
        environment::write(self)
    }

    /// Runs the deploy steps: tables, topics, schemas.
    ///
    /// # Errors
    /// A step fails; those before it are done.
    pub fn deploy(&self) -> Result<()> {
        let database_url = postgres::url(self, postgres::OWNER);
        let (brokers, registry_url) = (environment::brokers(self), environment::registry_url(self));
        let target = Target::open(&database_url, &brokers, &registry_url, &Prefix::default())?;
        block_on(target.deploy())
    }

    /// Brings up what does not run of our processes and the front door, and ends those that the
    /// scale no longer asks for.
    ///
    /// # Errors
    /// As for the infrastructure; also a binary that was not built.
    pub fn up_services(&self) -> Result<()> {
        let mut processes = service::processes(self)?;
        processes.push(nginx::process(self)?);
        let surplus: Vec<Record> = Record::all(&self.local)?
            .into_iter()
            .filter(|record| record.tier == Tier::Service)
            .filter(|record| processes.iter().all(|process| process.name != record.name))
            .collect();
        supervisor::stop(&self.local, &surplus)?;
        self.bring_up(&processes)
    }

    /// Where clients reach the front door.
    pub fn front_door(&self) -> String {
        environment::front_door(self)
    }

    /// What the env file holds: addresses, passwords and a token.
    ///
    /// # Errors
    /// The token cannot be made.
    pub fn variables(&self) -> Result<Vec<(String, String)>> {
        environment::variables(self)
    }

    /// The sourceable file of addresses, passwords and a token, relative to the checkout if it can.
    pub fn env_file(&self) -> PathBuf {
        self.below_checkout(self.local.env())
    }

    /// The operators' tool for dead letters, relative to the checkout if it can.
    pub(crate) fn replayer(&self) -> PathBuf {
        self.below_checkout(self.local.bin().join(service::REPLAYER))
    }

    /// Where mails of the local stack are put, relative to the checkout if it can.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.below_checkout(service::outbox(self))
    }

    /// The program of command-api with its settings, to be run as a tool.
    pub(crate) fn command_api_tool(&self) -> (PathBuf, Vec<(String, String)>) {
        service::command_api_tool(self)
    }

    fn below_checkout(&self, path: PathBuf) -> PathBuf {
        path.strip_prefix(&self.local.checkout).map(Path::to_owned).unwrap_or(path)
    }

    /// Starts the processes that do not run as wanted, side by side, and waits until all serve.
    fn bring_up(&self, processes: &[Process]) -> Result<()> {
        let running = self.clear_the_way(processes)?;
        let faults: Vec<String> = thread::scope(|scope| {
            let run = |process: &Process| self.run(process, running.contains(&process.name));
            let handles: Vec<_> =
                processes.iter().map(|process| scope.spawn(move || run(process))).collect();
            let results = handles.into_iter().map(|handle| {
                handle.join().unwrap_or_else(|_| bail!("a thread that starts a process panicked"))
            });
            results.filter_map(|result| Some(format!("{:#}", result.err()?))).collect()
        });
        if !faults.is_empty() {
            bail!("{}", faults.join("\n"));
        }
        Ok(())
    }

    fn run(&self, process: &Process, is_running: bool) -> Result<()> {
        if is_running {
            return supervisor::await_ready(&self.local, process, None);
        }
        match process.name.as_str() {
            "kafka" => kafka::prepare(self)?,
            "postgres" => postgres::prepare(self)?,
            "redis" => redis::prepare(self)?,
            "registry-door" => registry_door::prepare(self)?,
            "nginx" => nginx::prepare(self)?,
            _ => {}
        }
        let mut child = supervisor::start(&self.local, process)?;
        supervisor::await_ready(&self.local, process, Some(&mut child))?;
        println!("{} is up", process.name);
        Ok(())
    }

    /// Ends what runs otherwise than wanted, and refuses if a port is held by others. Returns the
    /// names of those that go on running.
    fn clear_the_way(&self, processes: &[Process]) -> Result<Vec<String>> {
        let (mut running, mut outdated) = (Vec::new(), Vec::new());
        for record in Record::all(&self.local)? {
            let Some(process) = processes.iter().find(|process| process.name == record.name) else {
                continue;
            };
            let lives = record.identity.lives();
            if lives && process.fingerprint() == record.fingerprint {
                running.push(record.name);
            } else {
                if lives {
                    println!("{} is built or set otherwise now and starts anew", record.name);
                }
                outdated.push(record);
            }
        }
        supervisor::stop(&self.local, &outdated)?;
        refuse_taken_ports(processes.iter().filter(|process| !running.contains(&process.name)))?;
        Ok(running)
    }
}

fn refuse_taken_ports<'a>(processes: impl Iterator<Item = &'a Process>) -> Result<()> {
    let taken: Vec<String> = processes
        .flat_map(|process| process.ports.iter().map(move |port| (&process.name, *port)))
        .filter_map(|(name, port)| match holder::of(port) {
            holder::Port::Free => None,
            holder::Port::Taken(by) => Some(format!("port {port} for {name} is taken by {by}")),
        })
        .collect();
    if !taken.is_empty() {
        bail!(
            "{}\nend what holds them, or move all ports of the stack: make up PORT_OFFSET=100",
            taken.join("\n")
        );
    }
    Ok(())
}

/// Ends every process of the stack, the front door first. Waits for another call that changes the
/// same stack, as do [`stop`] and [`reset`].
///
/// # Errors
/// The records of what runs cannot be read, or a process cannot be killed.
pub fn down(local: &LocalDir) -> Result<()> {
    let _lock = Lock::take(local)?;
    end_all(local)
}

fn end_all(local: &LocalDir) -> Result<()> {
    let records = Record::all(local)?;
    for tier in [Tier::FrontDoor, Tier::Service, Tier::Infrastructure] {
        let of_tier: Vec<Record> =
            records.iter().filter(|record| record.tier == tier).cloned().collect();
        supervisor::stop(local, &of_tier)?;
    }
    if !records.is_empty() {
        println!(
            "ended {}",
            records.iter().map(|record| record.name.as_str()).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}

/// Ends one process.
///
/// # Errors
/// There is no such process in the stack, or it cannot be killed.
pub fn stop(local: &LocalDir, name: &str) -> Result<()> {
    let _lock = Lock::take(local)?;
    let records = Record::all(local)?;
    let Some(record) = records.iter().find(|record| record.name == name) else {
        let names: Vec<_> = records.iter().map(|record| record.name.as_str()).collect();
        bail!("there is no process {name}, but {}", names.join(", "));
    };
    supervisor::stop(local, std::slice::from_ref(record))
}

/// Ends every process and removes everything that the stack has written.
///
/// # Errors
/// Something cannot be ended or removed.
pub fn reset(local: &LocalDir) -> Result<()> {
    let _lock = Lock::take(local)?;
    end_all(local)?;
    local.remove()
}

/// Prints what runs; returns whether all of it lives and serves.
///
/// # Errors
/// The records of what runs cannot be read.
pub fn status(local: &LocalDir) -> Result<bool> {
    status::print(local)
}

/// Where clients reach the front door of a stack that is up.
///
/// # Errors
/// It is not up.
pub fn front_door(local: &LocalDir) -> Result<String> {
    environment::read(local, settings::table::URL.name)
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?
        .block_on(work)
}
