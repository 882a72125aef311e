//! Records read again by their offsets: what is there comes whole, what is not there is noticed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use kafka_io::config::KafkaConfig;
use kafka_io::ledger::Remembered;
use kafka_io::record_reader::{OwnedRecord, ReadRecordError, RecordReader};
use test_support::{Link, Log, LogRecord, Outgoing, OwnStack, Proxy, World, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const PARTITION: i32 = 3;

/// Longer than anything takes that does not wait in vain.
const DEADLINE: Duration = Duration::from_secs(20);

/// What is noticed is noticed within this time, far from the deadline.
const AT_ONCE: Duration = Duration::from_secs(8);

fn reader_of(brokers: &str, deadline: Duration) -> RecordReader {
    let kafka = KafkaConfig::plaintext(brokers, "tests");
    RecordReader::new(kafka, deadline)
}

fn reader(world: &World) -> Result<RecordReader> {
    Ok(reader_of(world.stack().brokers()?, DEADLINE))
}

/// A world whose broker leads every partition already: just after the topic was created it may
/// still say that it does not.
pub(super) async fn served_world(name: &str) -> Result<World> {
    let world = World::start(name).await?;
    let log = world.log()?;
    eventually("every partition is served", async || log.ends().await.map(drop)).await?;
    Ok(world)
}

fn numbered(number: usize) -> Outgoing {
    Outgoing {
        partition: Some(PARTITION),
        key: Some(format!("device-{number}").into_bytes()),
        value: Some(format!("value {number}").into_bytes()),
        headers: vec![("ce_id".to_owned(), number.to_string().into_bytes())],
        ..Outgoing::default()
    }
}

async fn append(log: &Log, count: usize) -> Result<()> {
    log.append_raw((0..count).map(numbered).collect()).await
}

fn must_be(read: &OwnedRecord, stored: &LogRecord) -> Result<()> {
    let is_same = read.key == stored.key
        && read.value == stored.value
        && read.headers == stored.headers
        && (read.offset, read.timestamp_ms) == (stored.offset, stored.timestamp_ms);
    ensure!(is_same, "{read:?} was read for offset {}", stored.offset);
    let (key, value) = (stored.key.as_deref(), stored.value.as_deref());
    let identity = Remembered::of(stored.offset, stored.timestamp_ms, key, value);
    ensure!(read.identity() == identity, "offset {} has another identity", stored.offset);
    Ok(())
}

/// Reads what is not there and returns the offset that is said to be gone.
async fn gone(reader: &RecordReader, log: &Log, offsets: &[i64]) -> Result<i64> {
    let began = Instant::now();
    let read = reader.read(log.topic(), PARTITION, offsets).await;
    ensure!(began.elapsed() < AT_ONCE, "{offsets:?} took {:?}", began.elapsed());
    match read {
        Err(error @ ReadRecordError::Gone { offset }) => {
            ensure!(!error.is_transient(), "it does not come back");
            Ok(offset)
        }
        other => bail!("{offsets:?} gave {other:?}"),
    }
}

/// Refuses anything but an error that passes, in time.
fn must_be_unavailable(
    read: Result<Vec<OwnedRecord>, ReadRecordError>,
    took: Duration,
    deadline: Duration,
) -> Result<()> {
    ensure!(took < deadline + Duration::from_secs(2), "it took {took:?}");
    match read {
        Err(error @ ReadRecordError::Unavailable { .. }) if error.is_transient() => Ok(()),
        other => bail!("without a broker it gave {other:?}"),
    }
}

#[tokio::test]
async fn records_are_read_whole_in_rising_order_and_each_once() -> Result<()> {
    let world = served_world("reader-order").await?;
    let (log, reader) = (world.log()?, reader(&world)?);
    append(&log, 1_000).await?;
    let stored = log.read().await?;
    for offsets in [&[999, 0, 7, 8, 8, 9, 500][..], &[0], &[998], &[]] {
        let read = reader.read(log.topic(), PARTITION, offsets).await?;
        let mut expected = offsets.to_vec();
        expected.sort_unstable();
        expected.dedup();
        let found: Vec<i64> = read.iter().map(|record| record.offset).collect();
        ensure!(found == expected, "{offsets:?} gave {found:?}");
        for record in &read {
            let place = usize::try_from(record.offset)?;
            must_be(record, stored.get(place).context("not stored")?)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn calls_at_the_same_time_each_get_their_own_records() -> Result<()> {
    let world = served_world("reader-parallel").await?;
    let (log, reader) = (world.log()?, reader(&world)?);
    append(&log, 50).await?;
    let read = |offset| reader.read(log.topic(), PARTITION, std::slice::from_ref(offset));
    let (a, b, c, d) = tokio::join!(read(&49), read(&0), read(&25), read(&0));
    let mut found = Vec::new();
    for records in [a, b, c, d] {
        found.extend(records?.iter().map(|record| record.offset));
    }
    ensure!(found == [49, 0, 25, 0], "they got {found:?}");
    Ok(())
}

#[tokio::test]
async fn a_record_below_the_start_of_the_log_or_past_its_end_is_gone() -> Result<()> {
    let world = served_world("reader-ends").await?;
    let (log, reader) = (world.log()?, reader(&world)?);
    append(&log, 20).await?;
    log.cut_below(PARTITION, 10).await?;
    for (offsets, missing) in [
        (&[4][..], 4),
        (&[9, 10], 9),
        (&[19, 20], 20),
        (&[20], 20),
        (&[12, 500], 500),
        (&[1_000_000], 1_000_000),
        (&[-1], -1),
    ] {
        let said = gone(&reader, &log, offsets).await?;
        ensure!(said == missing, "of {offsets:?} {said} is said to be gone");
        let after = reader.read(log.topic(), PARTITION, &[10, 19]).await?;
        ensure!(after.len() == 2, "after {offsets:?} the reader reads {after:?}");
    }
    append(&log, 1).await?;
    let new = reader.read(log.topic(), PARTITION, &[20]).await?;
    ensure!(new.len() == 1, "a record that came later is not read");
    Ok(())
}

/// Has kcat write one record; with a transaction, the log holds a marker behind it, which is never
/// delivered.
async fn kcat(log: &Log, world: &World, arguments: &[OsString]) -> Result<()> {
    let mut kcat = Command::new("kcat")
        .args(["-P", "-q", "-t", log.topic(), "-p", &PARTITION.to_string()])
        .args(["-b", world.stack().brokers()?])
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .context("starting kcat")?;
    let mut input = kcat.stdin.take().context("kcat takes no input")?;
    input.write_all(b"value\n").await.context("writing to kcat")?;
    drop(input);
    let status = kcat.wait().await.context("waiting for kcat")?;
    ensure!(status.success(), "kcat ended with {status}");
    Ok(())
}

#[tokio::test]
async fn a_hole_in_the_log_is_noticed_at_its_end_and_in_its_middle() -> Result<()> {
    let world = served_world("reader-hole").await?;
    let (log, reader) = (world.log()?, reader(&world)?);
    let transaction = format!("transactional.id={}", log.topic());
    kcat(&log, &world, &["-X".into(), transaction.into()]).await?;
    // The broker answers a commit before it has written the marker.
    eventually("the marker stands behind the record", async || {
        let ends = log.ends().await?;
        ensure!(ends.get(&PARTITION) == Some(&2), "it does not: {ends:?}");
        Ok(())
    })
    .await?;
    ensure!(gone(&reader, &log, &[0, 1]).await? == 1, "at the end");
    append(&log, 1).await?;
    ensure!(gone(&reader, &log, &[1]).await? == 1, "in the middle");
    ensure!(gone(&reader, &log, &[0, 1, 2]).await? == 1, "among others");
    let read = reader.read(log.topic(), PARTITION, &[0, 2]).await?;
    ensure!(read.len() == 2, "what stands around the hole is not read: {read:?}");
    Ok(())
}

#[tokio::test]
async fn a_header_with_an_unreadable_name_is_an_error_with_its_place() -> Result<()> {
    let world = served_world("reader-header").await?;
    let (log, reader) = (world.log()?, reader(&world)?);
    append(&log, 1).await?;
    let hostile = OsString::from_vec(b"\xff\xfe=1".to_vec());
    kcat(&log, &world, &["-H".into(), "fine=1".into(), "-H".into(), hostile]).await?;
    append(&log, 1).await?;
    match reader.read(log.topic(), PARTITION, &[0, 1, 2]).await {
        Err(error @ ReadRecordError::Headers { offset: 1, source }) => {
            ensure!(source.index == 1, "{source}");
            ensure!(!error.is_transient(), "the record stays as it is");
        }
        other => bail!("it gave {other:?}"),
    }
    let others = reader.read(log.topic(), PARTITION, &[0, 2]).await?;
    ensure!(others.len() == 2, "its neighbours are not read: {others:?}");
    Ok(())
}

#[tokio::test]
async fn more_than_fits_is_refused_with_the_number_that_fits() -> Result<()> {
    let world = served_world("reader-bound").await?;
    let (log, reader) = (world.log()?, reader(&world)?);
    let large = |number| Outgoing { value: Some(vec![b'x'; 900_000]), ..numbered(number) };
    log.append_raw((0..40).map(large).collect()).await?;
    let offsets: Vec<i64> = (0..40).collect();
    let fits = match reader.read(log.topic(), PARTITION, &offsets).await {
        Err(ReadRecordError::TooMuch { fits }) => fits,
        other => bail!("it gave {other:?}"),
    };
    ensure!((30..40).contains(&fits), "{fits} fit");
    let (first, rest) = offsets.split_at(fits);
    for part in [first, rest] {
        let read = reader.read(log.topic(), PARTITION, part).await?;
        ensure!(read.len() == part.len(), "{} of {} were read", read.len(), part.len());
    }
    Ok(())
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_unavailable_at_once() -> Result<()> {
    let world = served_world("reader-topic").await?;
    let reader = reader(&world)?;
    let began = Instant::now();
    let read = reader.read("no-such-topic", PARTITION, &[0]).await;
    ensure!(began.elapsed() < AT_ONCE, "it took {:?}", began.elapsed());
    must_be_unavailable(read, began.elapsed(), DEADLINE)
}

#[tokio::test]
async fn a_broker_that_is_away_is_an_error_in_time_and_read_from_once_it_is_back() -> Result<()> {
    let deadline = Duration::from_secs(2);
    let world = served_world("reader-away").await?;
    let log = world.log()?;
    append(&log, 1).await?;
    let proxy = Proxy::start(world.stack().brokers()?).await?;
    let reader = reader_of(&proxy.address().to_string(), deadline);
    for link in [Link::Cut, Link::Frozen, Link::Cut] {
        proxy.set(link);
        let began = Instant::now();
        let read = reader.read(log.topic(), PARTITION, &[0]).await;
        must_be_unavailable(read, began.elapsed(), deadline)
            .with_context(|| format!("with a link that is {link:?}"))?;
    }
    proxy.set(Link::Open);
    let nobody = reader_of("127.0.0.1:1", deadline);
    let began = Instant::now();
    let read = nobody.read(log.topic(), PARTITION, &[0]).await;
    must_be_unavailable(read, began.elapsed(), deadline).context("where nobody listens")?;
    eventually("the log is read again", async || {
        Ok(reader.read(log.topic(), PARTITION, &[0]).await.map(drop)?)
    })
    .await
}

#[tokio::test]
async fn a_broker_that_hangs_is_an_error_in_time_and_read_from_once_it_goes_on() -> Result<()> {
    let deadline = Duration::from_secs(2);
    let own = OwnStack::start().await?;
    let world = World::start_on(own.stack()?, "reader-frozen").await?;
    let log = world.log()?;
    append(&log, 3).await?;
    let reader = reader_of(world.stack().brokers()?, deadline);
    let read = async |offset| reader.read(log.topic(), PARTITION, &[offset]).await;
    read(0).await?;
    own.freeze("kafka")?;
    for offset in [1, 2] {
        let began = Instant::now();
        let frozen = read(offset).await;
        must_be_unavailable(frozen, began.elapsed(), deadline)?;
    }
    own.thaw("kafka")?;
    eventually("the log is read again", async || {
        let records = read(2).await?;
        ensure!(records.len() == 1, "{records:?}");
        Ok(())
    })
    .await
}
