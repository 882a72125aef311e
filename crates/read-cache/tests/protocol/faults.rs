//! Redis killed, frozen, restarted, flushed: reads become misses in time, writers are told.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use read_cache::{
    BreakerState, CallError, Cover, Forward, Home, Leased, Read, Reader, Renewed, Trust, Writer,
};
use test_support::{RedisServer, eventually};

use crate::bench::{Bench, GENERATION, body, config, text};

/// Time for a test's own work beside the time-outs, on a machine that is busy.
const SLACK: Duration = Duration::from_millis(500);

async fn is_hit(bench: &Bench) -> Result<()> {
    let read = bench.reader.read(&bench.key(1), &bench.trust).await;
    ensure!(read == Read::Hit(body(3)), "it is {read:?}");
    Ok(())
}

async fn reads_miss_in_time(bench: &Bench) {
    for _ in 0..5 {
        let asked = Instant::now();
        let read = bench.reader.read(&bench.key(1), &bench.trust).await;
        assert_eq!(read, Read::Miss(Forward::Bypass));
        assert!(asked.elapsed() < bench.config.read_timeout + SLACK, "{:?}", asked.elapsed());
    }
    // The breaker is open: except for one a second, reads do not ask.
    assert!(matches!(bench.reader.breaker(), BreakerState::Open { .. }));
    let asked = Instant::now();
    for _ in 0..10_000 {
        bench.reader.read(&bench.key(1), &bench.trust).await;
    }
    assert!(asked.elapsed() < 2 * SLACK, "{:?}", asked.elapsed());
    assert_eq!(bench.reader.lease(&bench.key(1), &bench.trust).await, Leased::Bypass);
}

async fn hits_again(bench: &Bench) -> Result<()> {
    eventually("reads hit again", async || is_hit(bench).await).await?;
    assert_eq!(bench.reader.breaker(), BreakerState::Closed);
    Ok(())
}

fn hot(bench: &mut Bench) {
    bench.trusted(GENERATION);
    let key = bench.key(1);
    bench.put(&key, &text(3));
}

#[tokio::test]
async fn while_redis_is_frozen_reads_miss_in_time_and_writers_do_not_know() -> Result<()> {
    let mut bench = Bench::alone().await?;
    hot(&mut bench);
    is_hit(&bench).await?;
    let tombstones = bench.before(&[&bench.key(2)]).await;
    bench.server.freeze()?;
    reads_miss_in_time(&bench).await;
    let asked = Instant::now();
    let after = bench.writer.after_commit(tombstones, HashMap::new()).await;
    assert_eq!(after, Err(CallError::Unknown));
    let before = bench.writer.before_commit(bench.replay(), vec![bench.key(3)]).await;
    assert_eq!(before.err(), Some(CallError::Unknown));
    assert!(asked.elapsed() < 2 * bench.config.write_timeout + SLACK, "{:?}", asked.elapsed());
    bench.server.thaw()?;
    hits_again(&bench).await?;
    bench.connected().await?;
    let counts = bench.reader.counts();
    assert_eq!(counts.calls.opened, 1);
    assert!(counts.calls.refused >= 9_000, "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn when_redis_is_killed_reads_miss_in_time_and_writers_are_told() -> Result<()> {
    let mut bench = Bench::alone().await?;
    hot(&mut bench);
    let home = bench.writer.settle(std::slice::from_ref(&bench.trust)).await?;
    let agreed = home.identity.clone();
    let mut changes = bench.writer.identity_changes();
    assert_eq!(changes.next().await.context("no identity")?, agreed);
    bench.server.kill9()?;
    reads_miss_in_time(&bench).await;
    let before = bench.writer.before_commit(bench.replay(), vec![bench.key(1)]).await;
    assert!(matches!(before, Err(CallError::NotSent | CallError::Unknown)));

    bench.server.start_again().await?;
    let told = tokio::time::timeout(Duration::from_secs(30), changes.next()).await;
    let now = told.context("nobody is told of another Redis")?.context("the writer is gone")?;
    assert_ne!(now, agreed);
    let (key, generation) = (bench.trust.clone(), GENERATION);
    let trust =
        |home: &Home| vec![Trust { key: key.clone(), generation, home: Some(home.clone()) }];
    let renew =
        async |home: &Home| bench.writer.renew(async |_| Ok::<_, Infallible>(trust(home))).await;
    assert_eq!(renew(&home).await?, Renewed { elsewhere: vec![key.clone()], ..Renewed::default() });
    let home = bench.writer.settle(std::slice::from_ref(&key)).await?;
    assert_eq!(home.identity, now);
    assert_eq!(renew(&home).await?.renewed, 1);
    bench.resp = bench.server.resp()?;
    hot(&mut bench);
    hits_again(&bench).await
}

#[tokio::test]
async fn a_process_starts_while_redis_is_away_and_finds_it_later() -> Result<()> {
    let server = Arc::new(RedisServer::start(&[]).await?);
    server.kill9()?;
    let config = config(&server, "acme", "1000")?;
    let (reader, writer) = (Reader::start(&config), Writer::start(&config));
    let key = config.keys.of("thing", "1");
    let trust = config.keys.trust("thing", 0);
    assert_eq!(reader.read(&key, &trust).await, Read::Miss(Forward::Bypass));
    let nowhere = Trust { key: trust.clone(), generation: GENERATION, home: None };
    let before = writer.before_commit(Cover::Replay(nowhere), vec![key.clone()]).await;
    assert_eq!(before.err(), Some(CallError::NotSent));
    server.start_again().await?;
    eventually("the writer finds it", async || Ok(writer.identity().await.map(drop)?)).await?;
    eventually("the reader finds it", async || {
        ensure!(reader.is_connected(), "it is not connected");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_redis_that_was_flushed_knows_nothing_and_a_script_is_told_again() -> Result<()> {
    let mut bench = Bench::alone().await?;
    hot(&mut bench);
    let tombstones = bench.before(&[&bench.key(2)]).await;
    bench.resp.text(&["FLUSHALL"])?;
    let elsewhere = bench.writer.before_commit(bench.lane(), vec![bench.key(2)]).await;
    assert_eq!(elsewhere.err(), Some(CallError::Elsewhere));
    bench.settle().await?;
    let read = bench.reader.read(&bench.key(1), &bench.trust).await;
    assert_eq!(read, Read::Miss(Forward::Bypass));
    bench.trusted(GENERATION);
    let flush = |bench: &mut Bench| bench.resp.text(&["SCRIPT", "FLUSH"]).map(drop);
    flush(&mut bench)?;
    bench.after(tombstones, 4).await;
    flush(&mut bench)?;
    let key = bench.key(1);
    let lease = bench.granted(&key).await;
    flush(&mut bench)?;
    assert!(bench.fill(&key, &lease, 3).await);
    flush(&mut bench)?;
    let tombstones = bench.before(&[&key]).await;
    flush(&mut bench)?;
    assert_eq!(bench.after(tombstones, 4).await, 1);
    flush(&mut bench)?;
    let home = bench.writer.settle(std::slice::from_ref(&bench.trust)).await?;
    flush(&mut bench)?;
    let trust = Trust { key: bench.trust.clone(), generation: GENERATION, home: Some(home) };
    let renewed = bench.writer.renew(async |_| Ok::<_, Infallible>(vec![trust])).await?;
    assert_eq!(renewed.renewed, 1);
    assert_eq!(bench.get(&key), Some(text(4)));
    Ok(())
}

#[tokio::test]
async fn a_redis_that_is_full_says_so() -> Result<()> {
    let mut bench = Bench::alone().await?;
    // The partition's mark stays.
    bench.resp.text(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])?;
    bench.resp.text(&["CONFIG", "SET", "maxmemory", "1"])?;
    let before = bench.writer.before_commit(bench.replay(), vec![bench.key(1)]).await;
    assert_eq!(before.err(), Some(CallError::Refused { code: "OOM".to_owned() }));
    bench.resp.text(&["CONFIG", "SET", "maxmemory", "0"])?;
    assert_eq!(bench.before(&[&bench.key(1)]).await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_replica_is_neither_read_nor_written() -> Result<()> {
    let server = Arc::new(RedisServer::start(&["--replicaof", "127.0.0.1 1"]).await?);
    let config = config(&server, "acme", "1000")?;
    let (reader, writer) = (Reader::start(&config), Writer::start(&config));
    eventually("the writer is connected", async || {
        ensure!(writer.is_connected(), "it is not");
        Ok(())
    })
    .await?;
    let refused = CallError::Refused { code: "READONLY".to_owned() };
    assert_eq!(writer.identity().await, Err(refused.clone()));
    let key = config.keys.of("thing", "1");
    let settled = writer.settle(&[config.keys.trust("thing", 0)]).await;
    assert_eq!(settled.err(), Some(refused));
    let read = reader.read(&key, &config.keys.trust("thing", 0)).await;
    assert_eq!(read, Read::Miss(Forward::Bypass));
    server.resp()?.text(&["REPLICAOF", "NO", "ONE"])?;
    eventually("the writer may write", async || Ok(writer.identity().await.map(drop)?)).await
}
