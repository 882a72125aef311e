//! Our services as children of a bench, and waiting until they are what the bench needs.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use crate::child::Process;
use crate::http_load::Connection;
use crate::world::World;

/// A setting of a service: its variable and its value.
pub(crate) type Setting = (&'static str, &'static str);

/// Starts the command API; returns it once it is ready, and where it listens.
pub(crate) async fn start_command_api(world: &World) -> Result<(Process, SocketAddr)> {
    start_api(world, "command-api", "MILLRACE_COMMAND_API_BIND", &[]).await
}

/// Starts the query API; returns it once it is ready, and where it listens.
pub(crate) async fn start_query_api(
    world: &World,
    settings: &[Setting],
) -> Result<(Process, SocketAddr)> {
    start_api(world, "query-api", "MILLRACE_QUERY_API_BIND", settings).await
}

async fn start_api(
    world: &World,
    binary: &str,
    bind: &'static str,
    settings: &[Setting],
) -> Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let mut all = world.settings();
    // As they are run: who was refused, and what happened to whom, is written.
    all.push(("MILLRACE_LOG".to_owned(), "info".to_owned()));
    all.push((bind.to_owned(), address.to_string()));
    all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let process = Process::start(binary, &all, &[])?;
    until_ready(address).await.with_context(|| format!("{binary} did not become ready"))?;
    Ok((process, address))
}

/// Starts a projector of resources, else as it is by default.
pub(crate) fn start_projector(world: &World) -> Result<Process> {
    start_projector_of(world, "resource")
}

/// Starts a projector of one projection, else as it is by default.
pub(crate) fn start_projector_of(world: &World, projection: &str) -> Result<Process> {
    let mut settings = world.settings();
    settings.push(("MILLRACE_PROJECTOR_PROJECTIONS".to_owned(), projection.to_owned()));
    settings.push(("MILLRACE_PROJECTOR_BIND".to_owned(), "127.0.0.1:0".to_owned()));
    settings.push(("MILLRACE_INSTANCE".to_owned(), "bench".to_owned()));
    Process::start("projector", &settings, &[])
}

/// Waits until what was logged is folded: positions stand still.
pub(crate) async fn until_level(world: &World) -> Result<()> {
    let mut database = world.connect().await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut last, mut still) = (-1, 0);
    while still < 10 {
        ensure!(Instant::now() < deadline, "the projector did not catch up");
        let position: Option<i64> =
            sqlx::query_scalar("SELECT sum(next_offset)::bigint FROM positions")
                .fetch_one(&mut database)
                .await?;
        let position = position.unwrap_or_default();
        still = if position == last && position > 0 { still + 1 } else { 0 };
        last = position;
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn until_ready(server: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(mut connection) = Connection::open(server).await {
            let request = b"GET /health/ready HTTP/1.1\r\nHost: bench\r\n\r\n";
            if connection.send(request).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
        }
        ensure!(Instant::now() < deadline, "not ready at {server}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a baseline listens, which has no word for being ready.
pub(crate) async fn until_listening(server: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Connection::open(server).await.is_err() {
        ensure!(Instant::now() < deadline, "nothing listens at {server}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
