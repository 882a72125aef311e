//! Letters through crashes: of the projector, of the broker, and of positions that are set back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::Executor as _;
use test_support::{
    Log, LogRecord, Outgoing, OwnStack, Report, Running, World, a_report, eventually,
    eventually_within,
};

/// Few enough that the brake stays off, whatever their records are.
const BAD_KEYS: i32 = 5;

/// Headers that only a careful writer copies.
fn headers(n: usize) -> Vec<(String, Vec<u8>)> {
    let mut headers: Vec<_> = [("ce_id", n.to_string().into_bytes()), ("twice", b"a".to_vec())]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    headers.push(("twice".to_owned(), vec![0xff, 0]));
    headers
}

/// An event that its client named, of a bad device.
fn named(log: &Log, key: i32, body: u8) -> Report {
    a_report(&bad_device(log, key)).named(key.unsigned_abs().into(), body).saying(body.to_string())
}

/// One of each partition.
fn bad_device(log: &Log, key: i32) -> String {
    log.device_in(key, "bad-device")
}

/// The `n`th bad record: of one of the bad devices, each in a partition of its own, since a run of
/// bad records from several devices in one partition pulls the brake. Ids are reused only where
/// [`named`] events with body 1 stand before.
fn bad(log: &Log, n: usize) -> Result<Outgoing> {
    let key = i32::try_from(n)? % BAD_KEYS;
    let sound = log.record(&named(log, key, 2))?;
    let value = sound.value.clone().context("an event without a value")?;
    let record = match (n / 5) % 4 {
        0 => Outgoing { value: Some(b"junk".to_vec()), ..sound },
        1 => Outgoing { value: Some(value[..3].to_vec()), ..sound },
        2 => log.record(&a_report(&bad_device(log, key)).saying("no JSON"))?,
        _ => sound,
    };
    Ok(Outgoing { headers: headers(n), ..record })
}

/// How many copies are marked as published.
async fn published(world: &World) -> Result<usize> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM letter_notices WHERE published_at IS NOT NULL")
            .fetch_one(world.pool())
            .await?;
    Ok(usize::try_from(count)?)
}

async fn published_at_least(world: &World, least: usize) -> Result<()> {
    eventually_within(Duration::from_secs(60), "copies of letters are published", async || {
        let published = published(world).await?;
        ensure!(published >= least, "{published} of {least} are");
        Ok(())
    })
    .await
}

/// Refuses letters that are not the log's bad records, one each, parked after four tries; ids reused
/// are parked at once.
async fn each_bad_record_is_a_letter(world: &World) -> Result<()> {
    let wanted = world.must_equal_the_log().await?.letters;
    let letters = world.letters().await?;
    let found: BTreeMap<_, _> = letters
        .iter()
        .map(|letter| ((letter.partition, letter.log_offset), letter.error_code.clone()))
        .collect();
    ensure!(letters.len() == found.len(), "a record is two letters");
    ensure!(found == wanted, "{} letters of {} bad records", found.len(), wanted.len());
    for letter in &letters {
        let attempts = if letter.error_code == "id-reused" { 1 } else { 4 };
        ensure!(letter.state == "parked" && letter.attempts == attempts, "{letter:?}");
    }
    Ok(())
}

/// Refuses copies that are not those of the letters, byte for byte; ids of those that are there
/// once more.
async fn each_letter_has_a_copy(world: &World) -> Result<Vec<String>> {
    let copies = world.copies()?.read().await?;
    let originals: BTreeMap<_, _> = world
        .log()?
        .read()
        .await?
        .into_iter()
        .map(|record| ((record.partition, record.offset), record))
        .collect();
    let letters: BTreeMap<_, _> =
        world.letters().await?.into_iter().map(|letter| (letter.id.to_string(), letter)).collect();
    let (mut told, mut repeated) = (BTreeSet::new(), Vec::new());
    for copy in &copies {
        let id = dlq_id(copy).context("a copy without an id")?;
        let letter = letters.get(&id).context("a copy of no letter")?;
        let original = originals
            .get(&(letter.partition, letter.log_offset))
            .context("a letter without a record")?;
        ensure!((&copy.key, &copy.value) == (&original.key, &original.value), "bytes differ");
        ensure!(copy.headers[10..] == original.headers[..], "headers differ: {copy:?}");
        if !told.insert(id.clone()) {
            repeated.push(id);
        }
    }
    ensure!(told.len() == letters.len(), "{} of {} letters have copies", told.len(), letters.len());
    Ok(repeated)
}

fn dlq_id(copy: &LogRecord) -> Option<String> {
    let (_, value) = copy.headers.iter().find(|(name, _)| name == "dlq_id")?;
    String::from_utf8(value.clone()?).ok()
}

#[tokio::test]
async fn a_projector_killed_again_and_again_makes_one_letter_of_each_bad_record() -> Result<()> {
    const EVENTS: usize = 15_000;
    const KILLS_IN_DRAIN: usize = 10;
    const KILLS_IN_PARKING: usize = 3;
    let world = World::start("letter_kills").await?;
    let log = world.log()?;
    let mut records = Vec::with_capacity(EVENTS);
    for key in 0..BAD_KEYS {
        records.push(log.record(&named(&log, key, 1))?);
    }
    let mut bad_records = 0;
    while records.len() < EVENTS {
        // Two in a hundred.
        if records.len() % 50 == 49 {
            records.push(bad(&log, bad_records)?);
            bad_records += 1;
        } else {
            let n = records.len();
            records.push(log.record(&a_report(&format!("device-{}", n % 700)))?);
        }
    }
    log.append_raw(records).await?;

    let launch = world.projector()?.setting("MILLRACE_PROJECTOR_BATCH_RECORDS", 40);
    for kill in 1..=KILLS_IN_DRAIN {
        let mut projector = launch.start().await?;
        // Somewhere within this kill's share of the log, so that all fall inside the drain.
        let share = EVENTS / (KILLS_IN_DRAIN + 1);
        let target = i64::try_from(share * kill - fraction_of(share))?;
        eventually("the drain has come far enough", async || {
            let folded = world.folded().await?;
            ensure!(folded >= target, "{folded} of {target} are folded");
            Ok(())
        })
        .await?;
        projector.kill9()?;
        let folded = usize::try_from(world.folded().await?)?;
        ensure!(0 < folded && folded < EVENTS, "kill {kill} fell outside the drain: {folded}");
    }
    println!("{} copies were published during the drain", published(&world).await?);
    for kill in 1..=KILLS_IN_PARKING {
        let mut projector = launch.start().await?;
        published_at_least(&world, bad_records * kill / (KILLS_IN_PARKING + 1)).await?;
        projector.kill9()?;
        let published = published(&world).await?;
        ensure!(published < bad_records, "kill {kill} came after all letters were told of");
    }
    let projector = launch.start().await?;
    world.level().await?;
    published_at_least(&world, bad_records).await?;
    each_bad_record_is_a_letter(&world).await?;
    let repeated = each_letter_has_a_copy(&world).await?;
    println!("of {bad_records} letters these were told of once more: {repeated:?}");
    // One is published at a time, and only a crash between its acknowledgement and its mark makes
    // it be published again.
    let kills = KILLS_IN_DRAIN + KILLS_IN_PARKING;
    ensure!(repeated.len() <= kills, "{kills} kills made more copies: {repeated:?}");
    projector.ready().await?;
    set_back(&world, &projector).await
}

/// Folded from the beginning once more under a running projector, letters are what they were.
async fn set_back(world: &World, projector: &Running) -> Result<()> {
    let (letters, copies) = (world.letters().await?, world.copies()?.len().await?);
    let written = projector.metric("projection_letters_total").await?;
    let lost = projector.metric("projection_fence_lost_total").await?;
    world.set_positions_back().await?;
    // A position that was set back is noticed at the next record.
    world.log()?.append((0..100).map(|n| a_report(&format!("device-{n}")))).await?;
    world.level().await?;
    ensure!(projector.metric("projection_fence_lost_total").await? > lost, "nobody noticed");
    projector.ready().await?;
    each_bad_record_is_a_letter(world).await?;
    ensure!(world.letters().await? == letters, "letters have changed");
    ensure!(world.copies()?.len().await? == copies, "letters were told of again");
    let again = projector.metric("projection_letters_total").await? - written;
    ensure!(again == 0.0, "{again} letters are said to be written that were there before");
    Ok(())
}

#[tokio::test]
async fn a_bad_record_that_a_good_one_overtakes_in_its_batch_is_a_letter_all_the_same() -> Result<()>
{
    let world = World::start("overtaken").await?;
    let log = world.log()?;
    let say = |payload: &str| a_report("device").saying(payload);
    log.append([say("1"), say("no JSON"), say("2")]).await?;
    // Started behind them, so that all are in one batch.
    let projector = world.projector()?.start().await?;
    world.level().await?;
    let oracle = world.must_equal_the_log().await?;
    let letters = world.letters().await?;
    let places: Vec<_> = letters.iter().map(|l| (l.partition, l.log_offset)).collect();
    ensure!(places == Vec::from_iter(oracle.letters.into_keys()), "the letters are {letters:?}");
    ensure!(places.len() == 1, "the log holds {} bad records", places.len());
    projector.ready().await
}

#[tokio::test]
async fn letters_that_are_met_again_after_a_set_back_do_not_pull_the_brake() -> Result<()> {
    let world = World::start("letters_met_again").await?;
    let log = world.log()?;
    let junk = |n: i32| Outgoing {
        key: Some(bad_device(&log, n).into_bytes()),
        value: Some(b"junk".to_vec()),
        ..Outgoing::default()
    };
    let round = || log.append((0..100).map(|n| a_report(&format!("device-{n}"))));
    // Too few at a time for the brake, which a process forgets when it ends.
    for keys in [0..6, 6..12] {
        let mut projector = world.projector()?.start().await?;
        log.append_raw(keys.map(junk).collect()).await?;
        round().await?;
        world.level().await?;
        projector.terminate().await?;
    }
    let projector = world.projector()?.start().await?;
    projector.ready().await?;
    world.set_positions_back().await?;
    round().await?;
    world.level().await?;
    ensure!(world.letters().await?.len() == 12, "letters were written twice");
    world.must_equal_the_log().await?;
    projector.ready().await
}

#[tokio::test]
async fn a_broker_killed_while_letters_are_told_of_has_each_copy_when_it_is_back() -> Result<()> {
    const BAD: usize = 400;
    let own = OwnStack::start().await?;
    let world = World::start_on(own.stack()?, "letters_broker").await?;
    let log = world.log()?;
    let projector = world.projector()?.start().await?;
    log.append_raw(
        (0..BAD_KEYS).map(|key| log.record(&named(&log, key, 1))).collect::<Result<_>>()?,
    )
    .await?;
    log.append_raw((0..BAD).map(|n| bad(&log, n)).collect::<Result<_>>()?).await?;
    log.append((0..100).map(|n| a_report(&format!("device-{n}")))).await?;
    world.level().await?;
    // As if they had been tried three times: with the next they are parked.
    let last_try = "UPDATE letters SET attempts = 3, next_try_at = now() WHERE state = 'retrying'";
    world.pool().execute(last_try).await?;
    published_at_least(&world, BAD / 10).await?;
    own.kill9_broker().await?;
    let before = published(&world).await?;
    ensure!(before < BAD, "all letters were told of before the broker was killed");
    // Parking needs no broker.
    world.letters_in("parked", BAD).await?;
    own.up().await?;
    published_at_least(&world, BAD).await?;
    let repeated = each_letter_has_a_copy(&world).await?;
    println!("{before} of {BAD} were told of before the broker was killed, again {repeated:?}");
    ensure!(repeated.len() <= 1, "one is published at a time, and more are there twice");
    each_bad_record_is_a_letter(&world).await?;
    projector.ready().await
}

/// A part of a share that no run repeats.
fn fraction_of(share: usize) -> usize {
    let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
    share * usize::try_from(nanos % 1000).unwrap_or(0) / 1000
}
