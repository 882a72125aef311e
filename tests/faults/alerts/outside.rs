//! Postgres, Redis, the registry and the receiver of traces: away, slow, and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use test_support::{
    Link, Outgoing, Prometheus, RedisServer, RegistryAnswer, Spine, StubRegistry, World, a_report,
    eventually, eventually_within,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::contract::telemetry::sink::{Conduct, Sink};

use super::{Scraped, must_be_quiet, prometheus, scraped, through};

#[tokio::test]
async fn a_database_that_is_cut_off_locked_or_slow_is_told_of() -> Result<()> {
    let world = World::start("alerts_database").await?;
    let (projector, of_projector) = through(&world, world.projector()?, "projector").await?;
    let (query_api, of_query_api) = through(&world, world.query_api()?, "query_api").await?;
    let query_api = query_api.setting("MILLRACE_QUERY_API_MAX_QUEUED_READS", 2);
    let spine = Spine::start_with(world.command_api()?, projector, query_api).await?;
    let prometheus = scraped(&spine).await?;
    spine.caller.report("device-1", "1").await?;
    world.level().await?;
    must_be_quiet(&prometheus, &["DatabaseUnreachable", "PartitionRetries", "ReadsRefused"])
        .await?;

    of_projector.set(Link::Cut);
    of_query_api.set(Link::Cut);
    eventually("both tell of it", async || {
        let firing = prometheus.firing("DatabaseUnreachable").await?;
        let jobs: Vec<_> = firing.iter().map(|sample| sample.labels["job"].as_str()).collect();
        ensure!(jobs.contains(&"projector") && jobs.contains(&"query-api"), "these do: {jobs:?}");
        Ok(())
    })
    .await?;
    of_projector.set(Link::Open);
    of_query_api.set(Link::Open);
    prometheus.clears("DatabaseUnreachable").await?;

    // A forgotten session holds a position.
    let partition = *world.positions().await?.keys().next().context("no position")?;
    let log = world.log()?;
    let held = world.hold_position(partition).await?;
    log.append([a_report(&log.device_in(partition, "device"))]).await?;
    prometheus.fires("PartitionRetries").await?;
    prometheus.fires("ProjectionBehind").await?;
    held.rollback().await.context("letting go of the position")?;
    prometheus.clears("PartitionRetries").await?;
    prometheus.clears("ProjectionBehind").await?;

    // More readers than may wait for a database that does not answer.
    of_query_api.set(Link::Frozen);
    let mut readers = JoinSet::new();
    for reader in 0..8 {
        let caller = spine.caller.clone();
        readers.spawn(async move {
            loop {
                // Whatever it is answered.
                let _ = caller.read(&format!("nobody-{reader}")).await;
            }
        });
    }
    prometheus.fires("ReadsRefused").await?;
    readers.shutdown().await;
    of_query_api.set(Link::Open);
    prometheus.clears("ReadsRefused").await?;
    prometheus.clears("DatabaseUnreachable").await
}

#[tokio::test]
async fn what_was_revoked_while_a_process_does_not_know_it_is_told_of() -> Result<()> {
    let world = World::start("alerts_revocations").await?;
    let (command_api, database) = through(&world, world.command_api()?, "command_api").await?;
    let spine = Spine::start_with(command_api, world.projector()?, world.query_api()?).await?;
    let prometheus = scraped(&spine).await?;
    must_be_quiet(&prometheus, &["RevocationsUnknown"]).await?;

    for link in [Link::Cut, Link::Frozen] {
        database.set(link);
        let firing = prometheus.fires("RevocationsUnknown").await?;
        ensure!(firing.iter().all(|sample| sample.labels["job"] == "command-api"), "{firing:?}");
        database.set(Link::Open);
        prometheus.clears("RevocationsUnknown").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_cache_that_is_away_or_left_off_is_told_of() -> Result<()> {
    let world = World::start("alerts_cache").await?;
    let redis = RedisServer::start(&[]).await?;
    let (projector, query_api) = (world.projector()?, world.query_api()?);
    let (projector, query_api) =
        (projector.setting("REDIS_URL", redis.url()), query_api.setting("REDIS_URL", redis.url()));
    let mut spine = Spine::start_with(world.command_api()?, projector, query_api.clone()).await?;
    let prometheus = scraped(&spine).await?;
    let written = spine.caller.report("device-1", "1").await?;
    ensure!(spine.caller.read_after(&written, "device-1").await?.status == 200);
    must_be_quiet(&prometheus, &["CacheUnreachable", "CacheOff"]).await?;

    redis.kill9()?;
    spine.caller.report("device-1", "2").await?;
    eventually("readers and writers tell of it", async || {
        let firing = prometheus.firing("CacheUnreachable").await?;
        let jobs: Vec<_> = firing.iter().map(|sample| sample.labels["job"].as_str()).collect();
        ensure!(jobs.contains(&"projector") && jobs.contains(&"query-api"), "these do: {jobs:?}");
        // A reader finds out by reading, a writer by writing.
        spine.caller.read("device-1").await?;
        spine.caller.report("device-1", "3").await?;
        Ok(())
    })
    .await?;
    redis.start_again().await?;
    prometheus.clears("CacheUnreachable").await?;

    spine.query_api.terminate().await?;
    spine.query_api = query_api.clone().setting("MILLRACE_CACHE", "off").start().await?;
    asked_until(&mut spine, &world, &prometheus, async |prometheus| {
        prometheus.firing("CacheOff").await.map(|firing| !firing.is_empty())
    })
    .await?;
    spine.query_api.terminate().await?;
    spine.query_api = query_api.start().await?;
    asked_until(&mut spine, &world, &prometheus, async |prometheus| {
        prometheus.firing("CacheOff").await.map(|firing| firing.is_empty())
    })
    .await
}

/// Reads from the query-api that is there now, until something is so.
async fn asked_until(
    spine: &mut Spine,
    world: &World,
    prometheus: &Prometheus,
    is_so: impl AsyncFn(&Prometheus) -> Result<bool>,
) -> Result<()> {
    let token = world.token().sign()?;
    spine.caller = test_support::Caller::new(&spine.command_api, &spine.query_api, &token)?;
    let Spine { command_api, query_api, projector, .. } = &*spine;
    prometheus.scrape(&Scraped { command_api, query_api, projector }.targets()).await?;
    query_api.ready().await?;
    eventually("the alert is as it should be", async || {
        spine.caller.read("device-1").await?;
        ensure!(is_so(prometheus).await?, "it is not");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_registry_that_is_away_when_it_is_needed_is_told_of() -> Result<()> {
    let world = World::start("alerts_registry").await?;
    let stub = StubRegistry::start(RegistryAnswer::Status(500)).await?;
    let projector = world.projector()?.setting("SCHEMA_REGISTRY_URL", stub.url());
    let spine = Spine::start_with(world.command_api()?, projector, world.query_api()?).await?;
    let prometheus = scraped(&spine).await?;
    must_be_quiet(&prometheus, &["RegistryUnreachable"]).await?;

    let log = world.log()?;
    let sound = log.record(&a_report("of-tomorrow"))?;
    let value = sound.value.clone().context("an event without a value")?;
    let value = [&[0, 0x7f, 0, 0, 1], &value[5..]].concat();
    log.append_raw(vec![Outgoing { value: Some(value), ..sound }]).await?;
    prometheus.fires("RegistryUnreachable").await?;
    stub.set(RegistryAnswer::NotFound);
    prometheus.clears("RegistryUnreachable").await
}

#[tokio::test]
async fn traces_that_nobody_takes_are_told_of() -> Result<()> {
    let world = World::start("alerts_traces").await?;
    let receiver = Sink::start(Conduct::Hang).await?;
    let command_api = world
        .command_api()?
        .setting("MILLRACE_OTLP_ENDPOINT", receiver.url())
        .setting("MILLRACE_OTLP_TIMEOUT_MS", 200)
        .setting("MILLRACE_TRACE_PER_MILLE", 1000);
    let spine = Spine::start_with(command_api, world.projector()?, world.query_api()?).await?;
    let prometheus = scraped(&spine).await?;
    must_be_quiet(&prometheus, &["TracesLost"]).await?;
    eventually("spans are lost", async || {
        spine.caller.report("device-1", "1").await?;
        ensure!(!prometheus.firing("TracesLost").await?.is_empty(), "nobody tells of it");
        Ok(())
    })
    .await?;
    receiver.set(Conduct::Take);
    let patience = Duration::from_secs(60);
    eventually_within(patience, "spans are taken, and it is over", async || {
        spine.caller.report("device-1", "1").await?;
        ensure!(!receiver.spans().is_empty(), "none has arrived");
        ensure!(prometheus.firing("TracesLost").await?.is_empty(), "it goes on");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn keys_that_nobody_gives_are_told_of() -> Result<()> {
    let world = World::start("alerts_keys").await?;
    let giver = Giver::start().await?;
    // The dev profile has a key of its own.
    let query_api = world
        .query_api()?
        .setting("MILLRACE_PROFILE", "production")
        .setting("MILLRACE_TOKEN_SECRET", "of this test, thirty-two bytes at least")
        .setting("MILLRACE_JWKS_URL", format!("http://{}/keys", giver.address))
        .setting("MILLRACE_JWKS_REFRESH_MS", 1_000);
    let command_api = world.command_api()?.start().await?;
    let projector = world.projector()?.start().await?;
    let query_api = query_api.start().await?;
    tokio::try_join!(command_api.ready(), projector.ready())?;
    let prometheus = prometheus().await?;
    let all = Scraped { command_api: &command_api, query_api: &query_api, projector: &projector };
    prometheus.scrape(&all.targets()).await?;

    let firing = prometheus.fires("NotReady").await?;
    ensure!(firing.iter().any(|sample| sample.labels["component"] == "access keys"), "{firing:?}");
    giver.gives.store(true, Ordering::Relaxed);
    query_api.ready().await?;
    prometheus.clears("NotReady").await
}

/// Who has the public keys, and gives them when told to. Dropped, it is gone.
struct Giver {
    address: SocketAddr,
    gives: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Giver {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
        let address = listener.local_addr().context("reading the address")?;
        let gives = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(Self::answer(listener, gives.clone()));
        Ok(Self { address, gives, task })
    }

    async fn answer(listener: TcpListener, gives: Arc<AtomicBool>) {
        const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        while let Ok((mut stream, _)) = listener.accept().await {
            let status = if gives.load(Ordering::Relaxed) { "200 OK" } else { "503 Later" };
            let mut request = [0; 4096];
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{KEYS}",
                KEYS.len()
            );
            // Who goes away meanwhile asks again.
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.task.abort();
    }
}
