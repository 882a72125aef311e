//! The way of an event where everything asks for TLS and for a name, as Confluent Cloud and AWS do, and
//! secrets come from files. With `SECURED=1` all journeys go this way, by SCRAM.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use test_support::{Launch, Resp, Running, Spine, World, eventually};

/// What is a secret, of all processes.
const SECRETS: [&str; 4] = [
    "DATABASE_URL",
    "REDIS_URL",
    "MILLRACE_KAFKA_SASL_PASSWORD",
    "MILLRACE_SCHEMA_REGISTRY_PASSWORD",
];

/// The same process, with each secret in a file of its own.
fn with_secret_files(mut launch: Launch, world: &World) -> Result<Launch> {
    for secret in SECRETS {
        let value = launch.settings().find(|(name, _)| name == secret);
        let value = value.with_context(|| format!("{secret} is not set"))?.1;
        let file = world.dir().join(format!("{}-{secret}", launch.name()));
        std::fs::write(&file, value + "\n").with_context(|| format!("writing {secret}"))?;
        launch = launch.without(secret).setting(&format!("{secret}_FILE"), file.display());
    }
    Ok(launch)
}

/// The ports of both ends of a connection, the nearer one first.
type Ends = (u16, u16);

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

/// The connections of a process, as the kernel knows them.
fn connections(process: &Running) -> Result<HashSet<Ends>> {
    let dir = PathBuf::from(format!("/proc/{}", process.pid()));
    let files = std::fs::read_dir(dir.join("fd")).context("listing the files of a process")?;
    // One that has been closed meanwhile has no name any more.
    let names: HashSet<PathBuf> =
        files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok()).collect();
    let table = std::fs::read_to_string(dir.join("net/tcp")).context("reading connections")?;
    let port = |end: &str| u16::from_str_radix(end.rsplit_once(':')?.1, 16).ok();
    let ends = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, near, far, _, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let name = format!("socket:[{inode}]");
        if !names.contains(Path::new(&name)) {
            return None;
        }
        Some((port(near)?, port(far)?))
    };
    Ok(table.lines().filter_map(ends).collect())
}

/// A connection as Redis lists it: its ends as the client sees them, and the user.
fn listed(line: &str) -> Option<(Ends, &str)> {
    let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
    let mut value = |wanted: &str| fields.find(|(name, _)| *name == wanted).map(|(_, value)| value);
    // In the order of the list.
    let (near, far) = (port_of(value("addr")?)?, port_of(value("laddr")?)?);
    Some(((near, far), value("user")?))
}

/// Whoever says no name may do everything there, over TLS too, so that what works proves no name.
async fn must_reach_redis_by_name(world: &World, process: &Running, user: &str) -> Result<()> {
    let url = world.stack().redis_url()?;
    let plain: SocketAddr =
        url.trim_start_matches("redis://").trim_end_matches('/').parse().context("no address")?;
    let secured = port_of(world.stack().variable("SECURED_REDIS")?).context("no port")?;
    // A connection that is being made has said no name yet.
    eventually(&format!("Redis knows {user} at its secured port, and nobody else"), async || {
        let own = connections(process)?;
        let list = Resp::connect(plain)?.text(&["CLIENT", "LIST"])?;
        let seen: Vec<_> =
            list.lines().filter_map(listed).filter(|(ends, _)| own.contains(ends)).collect();
        let is_secured = seen.iter().all(|((_, far), name)| *far == secured && *name == user);
        ensure!(!seen.is_empty() && is_secured, "(ends, user) are {seen:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_event_travels_over_tls_and_under_names_whose_passwords_are_in_files() -> Result<()> {
    let world = World::start("secret_files").await?;
    let secured = |launch: Launch| {
        let launch = world.secured(launch)?.setting("MILLRACE_KAFKA_SASL_MECHANISM", "PLAIN");
        with_secret_files(launch, &world)
    };
    let [command_api, projector, query_api] = [
        secured(world.command_api()?)?,
        secured(world.projector()?)?,
        secured(world.query_api()?)?,
    ];
    let Spine { caller, projector, query_api, .. } =
        &Spine::start_with(command_api, projector, query_api).await?;
    let posted = caller.report("device-1", r#"{"status":"ok"}"#).await?;
    ensure!(posted.status == 202, "{posted}");
    let read = caller.read_after(&posted, "device-1").await?;
    ensure!(read.status == 200 && read.json()?["payload"]["status"] == "ok", "{read}");
    must_reach_redis_by_name(&world, projector, "projector").await?;
    must_reach_redis_by_name(&world, query_api, "query_api").await
}
