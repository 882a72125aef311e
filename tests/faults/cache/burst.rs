//! Ten thousand readers who want one cold key at the same moment cost a few reads of Postgres.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use sqlx::{Connection as _, PgConnection};
use test_support::{RedisServer, Running, World, a_report, alone, eventually};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::Connection;

/// Readers, each with a connection of its own.
const READERS: usize = 10_000;

/// Connections of a query-api: the readers' and some for whoever asks how it is.
const CONNECTIONS: usize = READERS + 100;

/// Connections that are made before it is waited until they are accepted: a queue holds no more.
const AT_ONCE: usize = 500;

/// Longer than everybody takes to connect, and to ask, on a machine that is busy.
const CONNECT_MS: u64 = 120_000;
const PATIENCE_MS: u64 = 20_000;

/// One load, one more for those who asked while it was under way, and what a retry may cost.
const A_FEW: i64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_readers_of_a_cold_key_cost_a_few_reads() -> Result<()> {
    let _alone = alone().await?;
    let world = World::start("burst").await?;
    let redis = RedisServer::start(&[]).await?;
    let keys = ["with-0", "with-1", "without-0", "without-1"];
    let mut projector = world.projector()?.setting("REDIS_URL", redis.url()).start().await?;
    world.log()?.append(keys.map(a_report)).await?;
    world.level().await?;
    // What it has counted of its reads is told when it ends.
    projector.terminate().await?;
    let projector = world.projector()?.setting("REDIS_URL", redis.url()).start().await?;
    projector.ready().await?;

    vouched_for(&world, &redis).await?;
    for key in &keys[..2] {
        burst(&world, &redis, key, true).await?;
    }
    redis.kill9()?;
    for key in &keys[2..] {
        burst(&world, &redis, key, false).await?;
    }
    Ok(())
}

async fn query_api(world: &World, redis: &RedisServer) -> Result<Running> {
    let query_api = world
        .query_api()?
        .setting("REDIS_URL", redis.url())
        .setting("MILLRACE_HTTP_MAX_CONNECTIONS", CONNECTIONS)
        .setting("MILLRACE_HTTP_HEADER_TIMEOUT_MS", CONNECT_MS)
        .setting("MILLRACE_QUERY_API_READ_TIMEOUT_MS", PATIENCE_MS)
        .start()
        .await?;
    query_api.ready().await?;
    Ok(query_api)
}

/// Waits until reads may be stored, by reading a device that nobody knows.
async fn vouched_for(world: &World, redis: &RedisServer) -> Result<()> {
    let query_api = query_api(world, redis).await?;
    let mut connection = Connection::new(query_api.address());
    let request = get("nobody", &world.token().sign()?);
    eventually("the partitions are vouched for", async || {
        let reply = connection.ask(request.as_bytes()).await?;
        let status = reply.header("cache-status").unwrap_or_default();
        ensure!(status == "millrace; hit", "the cache is {status}");
        Ok(())
    })
    .await
}

/// Everybody asks while nobody can be answered, since the rows are locked; then all are.
async fn burst(world: &World, redis: &RedisServer, key: &str, with_redis: bool) -> Result<()> {
    let before = reads_of_rows(world).await?;
    let mut query_api = query_api(world, redis).await?;
    eventually("it asks Redis, or knows that it cannot", async || {
        let is_asked = query_api.metric("query_api_cache_reachable").await? == 1.0;
        ensure!(is_asked == with_redis, "Redis is asked: {is_asked}");
        Ok(())
    })
    .await?;
    let began = Instant::now();
    let gate = Gate::close(&query_api, &get(key, &world.token().sign()?)).await?;
    let mut locked = world.pool().begin().await.context("beginning a transaction")?;
    sqlx::query("LOCK TABLE resource_rows_1 IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *locked)
        .await
        .context("locking the rows")?;
    let connected = began.elapsed();
    gate.everybody_asks(query_api.address().port()).await?;
    let asked = began.elapsed();
    locked.rollback().await.context("letting the rows go")?;
    let answers = gate.answers().await?;
    let took = began.elapsed();
    // What its sessions have counted is told when they end.
    query_api.terminate().await?;
    let reads = reads_of_rows(world).await? - before;
    let what = if with_redis { "with Redis" } else { "without Redis" };
    eprintln!("{what}: {READERS} readers of {key}: {reads} reads of its row; {answers:?}");
    eprintln!(
        "  connected in {connected:.1?}, all waiting after {asked:.1?}, answered after {took:.1?}"
    );
    ensure!(answers.right == READERS, "{what}: {answers:?}");
    ensure!((1..=A_FEW).contains(&reads), "{what}: {reads} reads of {key}");
    Ok(())
}

/// Readers who are connected and wait to ask.
struct Gate {
    readers: JoinSet<Result<String>>,
    open: watch::Sender<bool>,
    sent: Arc<AtomicUsize>,
}

/// How many were answered, and by what the cache did.
#[derive(Debug, Default)]
struct Answers {
    right: usize,
    by_status: BTreeMap<String, usize>,
}

impl Gate {
    /// Connects everybody.
    async fn close(query_api: &Running, request: &str) -> Result<Self> {
        let (open, opened) = watch::channel(false);
        let (request, sent): (Arc<str>, _) = (request.into(), Arc::new(AtomicUsize::new(0)));
        let mut readers = JoinSet::new();
        for reader in 1..=READERS {
            let mut connection = Connection::new(query_api.address());
            connection.connect().await?;
            if reader % AT_ONCE == 0 {
                accepted(query_api, reader).await?;
            }
            let (request, sent, mut opened) = (request.clone(), sent.clone(), opened.clone());
            readers.spawn(async move {
                opened.wait_for(|opened| *opened).await?;
                connection.send(request.as_bytes()).await?;
                sent.fetch_add(1, Ordering::Relaxed);
                let reply = connection.receive().await?;
                let status = reply.header("cache-status").unwrap_or_default();
                ensure!(reply.status == 200, "it is answered {}", reply.status);
                Ok(status.to_owned())
            });
        }
        Ok(Self { readers, open, sent })
    }

    /// Lets everybody ask, and waits until they have and the process has read what they sent.
    async fn everybody_asks(&self, port: u16) -> Result<()> {
        self.open.send_replace(true);
        eventually("everybody has asked", async || {
            let sent = self.sent.load(Ordering::Relaxed);
            ensure!(sent == READERS, "{sent} have");
            let unread = unread_connections(port)?;
            ensure!(unread == 0, "{unread} connections hold what was not read");
            Ok(())
        })
        .await
    }

    async fn answers(mut self) -> Result<Answers> {
        let mut answers = Answers::default();
        while let Some(answer) = self.readers.join_next().await {
            let status = answer.context("a reader panicked")??;
            answers.right += 1;
            *answers.by_status.entry(status).or_default() += 1;
        }
        Ok(answers)
    }
}

/// Waits until so many connections are served.
async fn accepted(query_api: &Running, readers: usize) -> Result<()> {
    eventually("the readers are connected", async || {
        let connections = query_api.metric("http_server_connections").await?;
        ensure!(connections >= readers as f64, "{connections} of {readers} are");
        Ok(())
    })
    .await
}

/// Connections to a port of this machine at which bytes wait to be read.
fn unread_connections(port: u16) -> Result<usize> {
    let table = std::fs::read_to_string("/proc/net/tcp").context("reading /proc/net/tcp")?;
    let local = format!(":{port:04X}");
    let is_unread = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let is_ours = words.next().is_some_and(|address| address.ends_with(&local));
        let queues = words.nth(2).and_then(|queues| queues.split_once(':'));
        is_ours && queues.is_some_and(|(_, unread)| unread.bytes().any(|digit| digit != b'0'))
    };
    Ok(table.lines().skip(1).filter(is_unread).count())
}

/// How often the rows' table was read by its index, as far as sessions have told.
async fn reads_of_rows(world: &World) -> Result<i64> {
    let told = eventually("no query-api has a session", async || {
        let mut owner = PgConnection::connect(&world.database_url("appuser")?).await?;
        let (sessions, reads): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND usename = 'query_api'),
                    (SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_user_tables
                     WHERE relname = 'resource_rows_1')",
        )
        .fetch_one(&mut owner)
        .await?;
        ensure!(sessions == 0, "there are {sessions}");
        Ok(reads)
    });
    told.await
}

fn get(key: &str, access_token: &str) -> String {
    format!(
        "GET /api/v1/resources/{key} HTTP/1.1\r\nhost: test\r\n\
         authorization: Bearer {access_token}\r\n\r\n"
    )
}
