//! Writers and readers of a few devices, who notice whatever they must not be shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::PgPool;
use test_support::{Answer, Caller, Log, Outgoing, World, eventually};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Pace of each writer and reader: two cores are to have time for the processes.
const WRITES: Duration = Duration::from_millis(15);
const READS: Duration = Duration::from_millis(8);
const BAD_RECORDS: Duration = Duration::from_millis(50);

/// How long a write may stay unshown: a crash, a start, and a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// Traffic on a few devices. Each has one writer, every accepted write is read back with its token,
/// and readers compare what they see with everything that anybody saw before they asked.
pub(super) struct Traffic {
    tasks: JoinSet<Result<()>>,
    end: watch::Sender<bool>,
    seen: Arc<Seen>,
}

/// What has been shown so far.
struct Seen {
    devices: BTreeMap<String, Device>,
    slowest_micros: AtomicU64,
}

#[derive(Default)]
struct Device {
    /// The highest version that an answer, or Postgres, has shown.
    version: AtomicI64,
    /// Writes that were read back.
    confirmed: AtomicI64,
}

/// Who may read the devices of a [`Traffic`].
pub(super) struct Readers<'a> {
    /// Lives through the test.
    pub(super) steady: &'a Caller,
    /// May lose whom it asks; then it asks no more.
    pub(super) doomed: Option<&'a Caller>,
}

impl Traffic {
    pub(super) fn start(
        world: &World,
        devices: impl IntoIterator<Item = String>,
        readers: &Readers<'_>,
    ) -> Self {
        let devices = devices.into_iter().map(|device| (device, Device::default())).collect();
        let seen = Arc::new(Seen { devices, slowest_micros: AtomicU64::new(0) });
        let (end, ended) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for device in seen.devices.keys() {
            let (written, to_confirm) = mpsc::unbounded_channel();
            let steady = || (readers.steady.clone(), device.clone(), ended.clone());
            let (caller, device, over) = steady();
            tasks.spawn(write(caller, device, over, written));
            let (caller, device, over) = steady();
            tasks.spawn(read(seen.clone(), caller, device, over, Mortality::Steady));
            let (caller, device, _) = steady();
            tasks.spawn(confirm(seen.clone(), caller, device, to_confirm));
            if let Some(doomed) = readers.doomed {
                let (_, device, over) = steady();
                let caller = doomed.clone();
                tasks.spawn(read(seen.clone(), caller, device, over, Mortality::Doomed));
            }
        }
        tasks.spawn(look(seen.clone(), world.pool().clone(), ended));
        Self { tasks, end, seen }
    }

    /// Adds records of one key that cannot be folded.
    pub(super) fn add_bad_records(&mut self, log: Log) {
        let over = self.end.subscribe();
        self.tasks.spawn(async move {
            let junk = Outgoing {
                key: Some(b"bad".into()),
                value: Some(b"junk".into()),
                ..<_>::default()
            };
            while !*over.borrow() {
                log.append_raw(vec![junk.clone()]).await?;
                tokio::time::sleep(BAD_RECORDS).await;
            }
            Ok(())
        });
    }

    /// Waits until that many more writes of each device are read back.
    pub(super) async fn goes_on(&mut self, writes: i64) -> Result<()> {
        let confirmed = |device: &Device| device.confirmed.load(Ordering::Relaxed);
        let wanted: Vec<i64> =
            self.seen.devices.values().map(|device| confirmed(device) + writes).collect();
        eventually("writes are read back", async || {
            if let Some(fault) = self.fault() {
                return Ok(Err(fault));
            }
            let found: Vec<i64> = self.seen.devices.values().map(confirmed).collect();
            let is_enough = found.iter().zip(&wanted).all(|(found, wanted)| found >= wanted);
            ensure!(is_enough, "{found:?} of {wanted:?} are");
            Ok(Ok(()))
        })
        .await?
    }

    /// What was found wrong so far.
    pub(super) fn fault(&mut self) -> Option<anyhow::Error> {
        while let Some(ended) = self.tasks.try_join_next() {
            let fault = ended.map_err(anyhow::Error::from).flatten().err();
            if fault.is_some() {
                return fault;
            }
        }
        None
    }

    /// Waits until every device is shown at this version.
    pub(super) async fn shows(&self, version: i64) -> Result<()> {
        eventually(&format!("every device is shown at version {version}"), async || {
            let behind: Vec<_> =
                self.seen.devices.keys().filter(|id| self.seen.version(id) < version).collect();
            ensure!(behind.is_empty(), "these are not: {behind:?}");
            Ok(())
        })
        .await
    }

    /// Forgets how long reads have taken.
    pub(super) fn forget_slow_reads(&self) {
        self.seen.slowest_micros.store(0, Ordering::Relaxed);
    }

    /// The longest that a steady reader has waited for an answer.
    pub(super) fn slowest_read(&self) -> Duration {
        Duration::from_micros(self.seen.slowest_micros.load(Ordering::Relaxed))
    }

    /// Ends the writers and waits until every accepted write is read back; how many there were of
    /// each device.
    pub(super) async fn end(mut self) -> Result<BTreeMap<String, i64>> {
        self.end.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("traffic panicked")??;
        }
        let confirmed = |device: &Device| device.confirmed.load(Ordering::Relaxed);
        Ok(self.seen.devices.iter().map(|(id, device)| (id.clone(), confirmed(device))).collect())
    }
}

impl Seen {
    fn version(&self, device: &str) -> i64 {
        self.devices.get(device).map_or(0, |device| device.version.load(Ordering::SeqCst))
    }

    fn shows(&self, device: &str, version: i64) {
        if let Some(device) = self.devices.get(device) {
            device.version.fetch_max(version, Ordering::SeqCst);
        }
    }

    /// Takes an answer to a read that was sent when `before` had been shown to somebody.
    fn take(&self, device: &str, before: i64, answer: &Answer) -> Result<i64> {
        let version = match answer.status {
            200 => answer.json()?["version"].as_i64().context("a row without a version")?,
            404 => 0,
            _ => bail!("a read of {device} is answered {answer}"),
        };
        let cache = answer.header("cache-status").unwrap_or_default();
        ensure!(
            version >= before,
            "{device} was shown at version {before} and then at {version} ({cache})"
        );
        self.shows(device, version);
        Ok(version)
    }
}

/// Writes to one device until it is over. Every write is accepted, whatever dies behind.
async fn write(
    caller: Caller,
    device: String,
    over: watch::Receiver<bool>,
    written: mpsc::UnboundedSender<(i64, Answer)>,
) -> Result<()> {
    for n in 1.. {
        if *over.borrow() {
            break;
        }
        let posted = caller.report(&device, &format!(r#"{{"n":{n}}}"#)).await?;
        ensure!(posted.status == 202, "a write is answered {posted}");
        written.send((n, posted)).context("nobody reads writes back")?;
        tokio::time::sleep(WRITES).await;
    }
    Ok(())
}

/// Reads each write of one device with its token. While the projection is behind, or an event of the
/// device is set aside, the answer is an honest no.
async fn confirm(
    seen: Arc<Seen>,
    caller: Caller,
    device: String,
    mut written: mpsc::UnboundedReceiver<(i64, Answer)>,
) -> Result<()> {
    while let Some((n, posted)) = written.recv().await {
        let began = Instant::now();
        let version = loop {
            let before = seen.version(&device);
            let answer = caller.read_after(&posted, &device).await?;
            let is_no = ["projection-behind", "projection-parked"].contains(&&*answer.problem());
            if !is_no || began.elapsed() > PATIENCE {
                break seen.take(&device, before, &answer)?;
            }
            tokio::time::sleep(READS).await;
        };
        ensure!(version >= n, "the token of write {n} of {device} shows version {version}");
        if let Some(device) = seen.devices.get(&device) {
            device.confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Whether whom a reader asks lives through the test.
#[derive(Clone, Copy, PartialEq)]
enum Mortality {
    Steady,
    Doomed,
}

/// Reads one device without a token until it is over.
async fn read(
    seen: Arc<Seen>,
    caller: Caller,
    device: String,
    over: watch::Receiver<bool>,
    mortality: Mortality,
) -> Result<()> {
    while !*over.borrow() {
        let (before, began) = (seen.version(&device), Instant::now());
        let answer = match caller.read(&device).await {
            Err(_) if mortality == Mortality::Doomed => break,
            answer => answer?,
        };
        seen.take(&device, before, &answer)?;
        if mortality == Mortality::Steady {
            let micros = began.elapsed().as_micros().try_into().unwrap_or(u64::MAX);
            seen.slowest_micros.fetch_max(micros, Ordering::Relaxed);
        }
        tokio::time::sleep(READS).await;
    }
    Ok(())
}

/// Looks into Postgres until it is over: what is committed there counts as shown.
async fn look(seen: Arc<Seen>, pool: PgPool, over: watch::Receiver<bool>) -> Result<()> {
    while !*over.borrow() {
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT id, version FROM resources")
            .fetch_all(&pool)
            .await
            .context("looking at the rows")?;
        for (device, version) in rows {
            seen.shows(&device, version);
        }
        tokio::time::sleep(READS).await;
    }
    Ok(())
}
