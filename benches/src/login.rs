//! `login`: a name with its right password, against the bare hash that it takes to compare one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use command_api::decision::Beside;
use command_api::password::{Password, PasswordConfig, PasswordHasher, Scheme};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tokio::time::sleep;

use crate::cpu;
use crate::decide_people::{People, registration};
use crate::decide_sides::Side as _;
use crate::decide_subject::{Subject, config};
use crate::http_load::{Answer, Connection, Load, flood};
use crate::login_baseline::{self, PARAMETERS};
use crate::report::{Measured, compare_turns};
use crate::services::start_command_api;
use crate::world::World;

/// Everybody's password: each login compares it with the same hash, as if each were another one.
const PASSWORD: &str = "correct horse battery";

/// How long it is looked what the processes do while nobody logs in.
const IDLE: Duration = Duration::from_secs(5);

/// How long what was asked for is worked on at most after its answer.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Registrations at once.
const AT_ONCE: usize = 16;

/// Who logs in, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Login {
    /// Logins of one run, and hashes of one run of the baseline.
    #[arg(long, default_value_t = 1_000)]
    logins: u64,
    /// Connections, each with one login under way.
    #[arg(long, default_value_t = 16)]
    connections: u64,
    /// Users who log in, in turns.
    #[arg(long, default_value_t = 1_000)]
    users: usize,
    /// Runs of each side, in turns; the median is reported.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// Runs the benchmark and prints its line.
pub(crate) async fn run(directory: &Path, login: &Login) -> Result<()> {
    let world = World::start(directory, "login").await?;
    let outcome = compare_sides(&world, login).await;
    world.end().await?;
    outcome
}

async fn compare_sides(world: &World, login: &Login) -> Result<()> {
    register(world, login.users).await?;
    let threads = config(world)?.passwords.hashes;
    let (mut subject, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..login.runs {
        bare.push(login_baseline::measure(PASSWORD, threads, login.logins).await?);
        subject.push(measure(world, login).await?);
    }
    let of_server = |turn: &Measured| {
        let (name, cpu) = (format!("{}, the server alone", turn.name), vec![turn.cpu[0]]);
        Measured { name, cpu, ..turn.clone() }
    };
    compare_turns("login", subject.iter().map(of_server).collect(), bare.clone())?;
    compare_turns("login: with Postgres and the broker", subject, bare)
}

/// Registers so many, whose password is hashed once for all of them.
async fn register(world: &World, users: usize) -> Result<()> {
    let hasher = PasswordConfig { scheme: Scheme::Argon2id, hashes: 1, queued: 0 };
    let hash = PasswordHasher::new(hasher).hash(Password::entered(PASSWORD.to_owned())).await?;
    ensure!(hash.as_phc().starts_with(PARAMETERS), "a hash costs something else than {PARAMETERS}");
    let people = Arc::new(People::new(users));
    let subject = Subject::open(world, &people).await?;
    let beside = || vec![Beside::PasswordHash(hash.as_phc().to_owned())];
    stream::iter(0..users)
        .map(|person| Ok(subject.register(person, beside())))
        .try_buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    subject.close().await;
    Ok(())
}

async fn measure(world: &World, login: &Login) -> Result<Measured> {
    let (process, server) = start_command_api(world).await?;
    let logins = Arc::new(Logins::of(login.users)?);
    until_open(server, &logins).await?;
    // Connections, statements and threads are not what is compared.
    flood(server, &logins, login.connections, login.logins / 10).await?;
    let (broker, postgres) = (world.pid("kafka")?, world.pid("postgres")?);
    let cpu = || [process.cpu(), cpu::of_tree(postgres), cpu::of_tree(broker)];
    let used_since = |before: [Duration; 3]| {
        let now = cpu();
        [0, 1, 2].map(|at| now[at].saturating_sub(before[at]))
    };
    sleep(SETTLED_AFTER).await;
    let before = cpu();
    sleep(IDLE).await;
    let idle = used_since(before);
    let before = cpu();
    let wall = flood(server, &logins, login.connections, login.logins).await?;
    sleep(SETTLED_AFTER).await;
    let used = used_since(before);
    // What each of them does while nobody logs in is no part of a login.
    let of_logins = |at: usize| {
        let idle = idle[at].mul_f64((wall + SETTLED_AFTER).as_secs_f64() / IDLE.as_secs_f64());
        used[at].saturating_sub(idle)
    };
    Ok(Measured {
        name: format!("command-api: POST /api/v1/auth/login, {} connections", login.connections),
        units: login.logins,
        wall,
        cpu: vec![("server", of_logins(0)), ("postgres", of_logins(1)), ("broker", of_logins(2))],
        rows: None,
    })
}

/// Waits until somebody comes in: until then log and store are compared.
async fn until_open(server: SocketAddr, logins: &Logins) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut connection = Connection::open(server).await?;
    loop {
        let answer = connection.send(&logins.request(0)).await?;
        if answer.status == 200 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "nobody comes in: answered {}", answer.status);
        sleep(Duration::from_millis(100)).await;
    }
}

/// Everybody's login in turns, each to be answered 200.
struct Logins(Vec<Vec<u8>>);

impl Logins {
    fn of(users: usize) -> Result<Self> {
        (0..users).map(post).collect::<Result<_>>().map(Self)
    }
}

impl Load for Logins {
    fn request(&self, index: u64) -> Vec<u8> {
        self.0[index as usize % self.0.len()].clone()
    }

    fn check(&self, answer: &Answer) -> Result<()> {
        ensure!(answer.status == 200, "POST answered {} instead of 200", answer.status);
        Ok(())
    }
}

fn post(person: usize) -> Result<Vec<u8>> {
    let body = json!({"username": registration(person)?.username.as_str(), "password": PASSWORD});
    let body = body.to_string();
    let request = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(request.into_bytes())
}
