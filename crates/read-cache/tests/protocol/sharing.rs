//! Reads of one key side by side: one load, and nobody is shown less than was visible before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use read_cache::{Answer, Forward, Outcome, ReadThrough, Row};
use test_support::eventually;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bench::{Bench, GENERATION, json, text};

/// A table with one row, whose reads can be held up.
struct Table {
    version: AtomicU64,
    loads: AtomicU64,
    gate: Semaphore,
}

impl Table {
    fn new(version: u64, open: usize) -> Arc<Self> {
        let (version, loads) = (AtomicU64::new(version), AtomicU64::new(0));
        Arc::new(Self { version, loads, gate: Semaphore::new(open) })
    }

    /// What a load sees is decided when it begins.
    async fn load(&self) -> Result<Row, String> {
        let version = self.version.load(Ordering::SeqCst);
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        if version == 0 { Err("no table".to_owned()) } else { Ok(row(version)) }
    }

    fn loads(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }

    async fn begun(&self, loads: u64) -> Result<()> {
        eventually("a load has begun", async || {
            ensure!(self.loads() == loads, "{} have", self.loads());
            Ok(())
        })
        .await
    }
}

fn row(version: u64) -> Row {
    Row::Found { version, json: json(version) }
}

type Reads = Arc<ReadThrough<String>>;

/// Begins a read of key 1.
fn read(
    reads: &Reads,
    bench: &Bench,
    table: &Arc<Table>,
) -> tokio::task::JoinHandle<Result<Answer, String>> {
    let (reads, entry, table) = (reads.clone(), bench.entry(1), table.clone());
    tokio::spawn(async move { reads.get(&entry, || table.load()).await })
}

fn reads(bench: &Bench) -> Reads {
    Arc::new(ReadThrough::new(bench.reader.clone()))
}

/// Waits until a read has missed and waits for another's load.
async fn missed(bench: &Bench, misses: u64) -> Result<()> {
    eventually("the read has missed", async || {
        let counts = bench.reader.counts();
        ensure!(counts.misses + counts.bypassed == misses, "{counts:?}");
        Ok(())
    })
    .await?;
    // From the miss to its place in the queue there is nothing to wait for.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_a_cold_key_load_it_once() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (reads, table) = (reads(&bench), Table::new(3, 10));
    let mut all = JoinSet::new();
    for _ in 0..1_000 {
        let (reads, entry, table) = (reads.clone(), bench.entry(1), table.clone());
        all.spawn(async move { reads.get(&entry, || table.load()).await });
    }
    while let Some(answer) = all.join_next().await {
        assert_eq!(answer?.unwrap().row, row(3));
    }
    assert_eq!(table.loads(), 1);
    assert_eq!(reads.loading(), 0);
    assert_eq!(bench.get(&bench.key(1)), Some(text(3)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_without_trust_load_a_few_times() -> Result<()> {
    let bench = Bench::start().await?;
    let (reads, table) = (reads(&bench), Table::new(3, 0));
    let first = read(&reads, &bench, &table);
    table.begun(1).await?;
    let others: Vec<_> = (0..999).map(|_| read(&reads, &bench, &table)).collect();
    missed(&bench, 1_000).await?;
    table.gate.add_permits(10);
    assert_eq!(first.await?.unwrap().outcome.to_string(), "fwd=bypass");
    for other in others {
        assert_eq!(other.await?.unwrap().row, row(3));
    }
    // The one that they found under way, and the one that began after they asked; one more for those
    // that had missed and not yet asked.
    assert!((2..=3).contains(&table.loads()), "{}", table.loads());
    Ok(())
}

#[tokio::test]
async fn outcomes_say_what_the_cache_did() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (reads, table) = (reads(&bench), Table::new(3, 10));
    let told = async |reads: &Reads| {
        reads.get(&bench.entry(1), || table.load()).await.unwrap().outcome.to_string()
    };
    assert_eq!(told(&reads).await, "fwd=miss; stored");
    assert_eq!(told(&reads).await, "hit");
    let trust = bench.trust.as_str().to_owned();
    bench.resp.text(&["SET", &trust, "8"])?;
    let told = async |reads: &Reads| {
        reads.get(&bench.entry(1), || table.load()).await.unwrap().outcome.to_string()
    };
    assert_eq!(told(&reads).await, "fwd=stale; stored");
    Ok(())
}

#[tokio::test]
async fn a_read_that_joins_a_load_shares_it_if_no_commit_came_meanwhile() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (reads, table) = (reads(&bench), Table::new(3, 0));
    let first = read(&reads, &bench, &table);
    table.begun(1).await?;
    let second = read(&reads, &bench, &table);
    missed(&bench, 2).await?;
    table.gate.add_permits(2);
    assert_eq!(first.await?.unwrap().row, row(3));
    let second = second.await?.unwrap();
    assert_eq!(second.row, row(3));
    let shared = Outcome::Forwarded { why: Forward::Miss, stored: true, collapsed: true };
    assert_eq!(second.outcome, shared);
    assert_eq!(table.loads(), 1);
    Ok(())
}

#[tokio::test]
async fn a_read_that_joins_a_load_is_not_shown_less_than_was_committed_before_it_asked()
-> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (reads, table) = (reads(&bench), Table::new(3, 0));
    let first = read(&reads, &bench, &table);
    table.begun(1).await?;
    let tombstones = bench.before(&[&bench.key(1)]).await;
    table.version.store(4, Ordering::SeqCst);
    bench.after(tombstones, 4).await;
    let second = read(&reads, &bench, &table);
    missed(&bench, 2).await?;
    table.gate.add_permits(2);
    assert_eq!(first.await?.unwrap().row, row(3));
    assert_eq!(second.await?.unwrap().row, row(4));
    assert_eq!(bench.get(&bench.key(1)), Some(text(4)));
    Ok(())
}

#[tokio::test]
async fn without_redis_a_read_does_not_share_a_load_that_began_before_it_asked() -> Result<()> {
    let bench = Bench::start().await?;
    let (reads, table) = (reads(&bench), Table::new(3, 0));
    let first = read(&reads, &bench, &table);
    table.begun(1).await?;
    table.version.store(4, Ordering::SeqCst);
    let second = read(&reads, &bench, &table);
    missed(&bench, 2).await?;
    table.gate.add_permits(2);
    assert_eq!(first.await?.unwrap().row, row(3));
    assert_eq!(second.await?.unwrap().row, row(4));
    Ok(())
}

#[tokio::test]
async fn a_commit_without_redis_makes_a_load_that_began_before_it_unfit_to_be_shared() -> Result<()>
{
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (reads, table) = (reads(&bench), Table::new(3, 0));
    let first = read(&reads, &bench, &table);
    table.begun(1).await?;
    // Trust lapses, the commit raises the generation; the lease lives on.
    let trust = bench.trust.clone();
    bench.lapse(trust.as_str());
    table.version.store(4, Ordering::SeqCst);
    let second = read(&reads, &bench, &table);
    missed(&bench, 2).await?;
    table.gate.add_permits(2);
    assert_eq!(first.await?.unwrap().row, row(3));
    assert_eq!(second.await?.unwrap().row, row(4));
    assert_eq!(bench.get(&bench.key(1)), None);
    Ok(())
}

#[tokio::test]
async fn a_load_that_is_dropped_is_taken_over_with_its_lease() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (reads, table) = (reads(&bench), Table::new(3, 0));
    let first = read(&reads, &bench, &table);
    table.begun(1).await?;
    let second = read(&reads, &bench, &table);
    missed(&bench, 2).await?;
    first.abort();
    table.begun(2).await?;
    table.gate.add_permits(1);
    assert_eq!(second.await?.unwrap().outcome.to_string(), "fwd=miss; stored");
    assert_eq!(bench.get(&bench.key(1)), Some(text(3)));
    assert_eq!(reads.loading(), 0);
    Ok(())
}

#[tokio::test]
async fn a_load_that_fails_gives_its_lease_back() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (reads, table) = (reads(&bench), Table::new(0, 10));
    let failed = reads.get(&bench.entry(1), || table.load()).await;
    assert_eq!(failed, Err("no table".to_owned()));
    assert_eq!(bench.get(&bench.key(1)), None);
    Ok(())
}

#[tokio::test]
async fn while_a_commit_is_under_way_reads_load_and_do_not_fill() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (reads, table) = (reads(&bench), Table::new(3, 10));
    let tombstones = bench.writer.before_commit(bench.replay(), vec![bench.key(1)]).await?;
    let answer = reads.get(&bench.entry(1), || table.load()).await.unwrap();
    assert_eq!(answer.outcome.to_string(), "fwd=miss");
    assert_eq!(bench.get(&bench.key(1)), Some(tombstones.batch().text()));
    bench.writer.after_commit(tombstones, HashMap::new()).await?;
    Ok(())
}
