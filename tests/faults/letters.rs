//! Records that cannot be folded: each becomes a letter, and nothing else waits for it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use kafka_io::topic::Topic;
use sqlx::Executor as _;
use test_support::{
    Log, LogRecord, Outgoing, World, a_report, alone, eventually, eventually_within,
};

/// A record that cannot be folded, and the stable name of the reason.
pub(super) struct Poison {
    pub(super) code: &'static str,
    pub(super) record: Outgoing,
}

/// One record for every reason there is, but for an id reused.
pub(super) fn poisons(log: &Log) -> Result<Vec<Poison>> {
    let sound = log.record(&a_report("device-of-any"))?;
    let value = sound.value.clone().context("an event without a value")?;
    let spoiled =
        |code, value: Option<Vec<u8>>| Poison { code, record: Outgoing { value, ..sound.clone() } };
    let edited = |at: usize, byte: u8| {
        let mut value = value.clone();
        value[at] = byte;
        Some(value)
    };
    let last = Topic::PARTITIONS - 1;
    let refused = log.record(&a_report(&log.device_in(last, "refused")).saying("not JSON"))?;
    // As a client with another partitioner writes it.
    let elsewhere = (log.partition_of(b"device-of-any") + 1) % Topic::PARTITIONS;
    Ok(vec![
        spoiled("no-value", None),
        spoiled("empty", Some(Vec::new())),
        spoiled("magic", edited(0, 7)),
        spoiled("truncated", Some(value[..3].to_vec())),
        // The first length of the datum becomes negative.
        spoiled("malformed", edited(5, 0xff)),
        spoiled("trailing-bytes", Some([&value[..], b"junk"].concat())),
        spoiled("unknown-schema-id", Some([&[0, 0x7f, 0, 0, 1], &value[5..]].concat())),
        Poison { code: "no-key", record: Outgoing { key: None, ..sound.clone() } },
        Poison {
            code: "foreign-partition",
            record: Outgoing { partition: Some(elsewhere), ..sound.clone() },
        },
        Poison { code: "foreign-key", record: Outgoing { key: Some(b"other".to_vec()), ..sound } },
        Poison { code: "22P02", record: Outgoing { partition: Some(last), ..refused } },
    ])
}

fn named(log: &Log, id: u128, body: u8) -> Result<Outgoing> {
    log.record(&a_report("device-with-ids").named(id, body).saying(format!("{body}")))
}

/// Records that arrive within a second.
const A_SECOND: usize = 1_000;

/// Records that are handed over at once.
const AT_ONCE: usize = 20;

/// Writes records at the pace of a stream, not of a backlog.
async fn append_paced(log: &Log, records: Vec<Outgoing>) -> Result<()> {
    let writer = log.writer()?;
    let written = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        for (n, some) in (0..).zip(records.chunks(AT_ONCE)) {
            some.iter().try_for_each(|record| writer.write(record))?;
            let due = Duration::from_secs(1) * (n + 1) * AT_ONCE as u32 / A_SECOND as u32;
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        writer.finish()
    });
    written.await.context("writing to the log")?
}

/// Within that time an event is to be folded, counted from its time in the log.
const PROMPT: Duration = Duration::from_secs(1);

/// How often somebody looks.
const LOOK: Duration = Duration::from_millis(50);

/// A look that comes so much too late says that the machine stood still.
const STALL: Duration = Duration::from_millis(100);

/// What somebody saw who looked at the positions again and again. Times since 1970.
#[derive(Default)]
struct Looks {
    positions: Vec<(Duration, BTreeMap<i32, i64>)>,
    stalls: Vec<Range<Duration>>,
}

impl Looks {
    /// Looks for as long as something is done.
    async fn while_does(world: &World, done: impl Future<Output = Result<()>>) -> Result<Self> {
        let mut looks = Self::default();
        let mut done = std::pin::pin!(done);
        loop {
            let (slept, rested) = (UNIX_EPOCH.elapsed()?, Instant::now());
            let ended = tokio::select! {
                ended = &mut done => Some(ended),
                () = tokio::time::sleep(LOOK) => None,
            };
            if rested.elapsed() > LOOK + STALL {
                looks.stalls.push(slept + LOOK..UNIX_EPOCH.elapsed()?);
            }
            let positions = world.positions().await?;
            // Asked before: at this time they stood there for certain.
            looks.positions.push((UNIX_EPOCH.elapsed()?, positions));
            if let Some(ended) = ended {
                return ended.map(|()| looks);
            }
        }
    }

    /// The longest that a record waited, other than those excepted; what the machine stood still
    /// meanwhile does not count.
    fn slowest<'a>(
        &self,
        log: &'a [LogRecord],
        is_excepted: impl Fn(&(i32, i64)) -> bool,
    ) -> Result<(Duration, &'a LogRecord)> {
        let counts = |record: &&LogRecord| !is_excepted(&(record.partition, record.offset));
        let delays: Vec<_> = log
            .iter()
            .filter(counts)
            .map(|record| Ok((self.delay(record)?, record)))
            .collect::<Result<_>>()?;
        delays.into_iter().max_by_key(|(delay, _)| *delay).context("an empty log")
    }

    fn delay(&self, record: &LogRecord) -> Result<Duration> {
        let logged = Duration::from_millis(record.timestamp_ms.unsigned_abs());
        let seen = self.positions.iter().find(|(_, positions)| {
            positions.get(&record.partition).is_some_and(|next| *next > record.offset)
        });
        let (seen, _) = seen.context("a record was never seen folded")?;
        let stalled: Duration = self
            .stalls
            .iter()
            .map(|stall| stall.end.min(*seen).saturating_sub(stall.start.max(logged)))
            .sum();
        Ok(seen.saturating_sub(logged).saturating_sub(stalled))
    }
}

#[tokio::test]
async fn bad_records_among_many_good_ones_become_letters_and_the_good_ones_are_folded() -> Result<()>
{
    const GOOD: usize = 10_000;
    let world = World::start("letters").await?;
    let log = world.log()?;
    let mut records: Vec<Outgoing> = (0..GOOD)
        .map(|n| log.record(&a_report(&format!("device-{}", n % 700)).saying(n.to_string())))
        .collect::<Result<_>>()?;
    let headers = vec![
        ("ce_id".to_owned(), b"1".to_vec()),
        ("twice".to_owned(), b"a".to_vec()),
        ("twice".to_owned(), vec![0xff, 0]),
    ];
    let poisons = poisons(&log)?;
    for (n, poison) in poisons.iter().enumerate() {
        let partition = poison.record.partition.or(Some(i32::try_from(n)?));
        let record = Outgoing { partition, headers: headers.clone(), ..poison.record.clone() };
        records.insert(400 + n * 800, record);
    }
    records.insert(100, named(&log, 1, 1)?);
    records.insert(9_000, named(&log, 1, 2)?);
    let bad = poisons.len() + 1;

    let projector = world.projector()?.start().await?;
    projector.ready().await?;
    // Two cores that fold a million events beside this one keep no promise.
    let alone = alone().await?;
    let looks = Looks::while_does(&world, async {
        append_paced(&log, records).await?;
        world.level().await
    })
    .await?;
    drop(alone);
    let oracle = world.must_equal_the_log().await?;
    let originals = log.read().await?;
    let (worst, slowest) = looks.slowest(&originals, |place| oracle.letters.contains_key(place))?;
    let stalls = looks.stalls.iter().map(|stall| stall.end - stall.start);
    println!(
        "a good event was seen folded after {worst:?} at worst, looked at every {LOOK:?}; the machine \
         stood still for {:?}",
        stalls.sum::<Duration>()
    );
    ensure!(worst < PROMPT, "this one took {worst:?}: {slowest:?}");
    let mut codes: Vec<_> = poisons.iter().map(|poison| poison.code).collect();
    codes.push("id-reused");
    codes.sort_unstable();
    let mut found: Vec<_> = oracle.letters.values().map(String::as_str).collect();
    found.sort_unstable();
    ensure!(found == codes, "the records are not the poison they are meant to be: {found:?}");

    // Parked after three more tries, each is told of once, as it was.
    let letters = world.letters_in("parked", bad).await?;
    ensure!(letters.len() == bad, "there are {} letters", letters.len());
    for letter in &letters {
        let place = (letter.partition, letter.log_offset);
        ensure!(oracle.letters.get(&place) == Some(&letter.error_code), "{place:?}: {letter:?}");
        // No wait makes an id unused again.
        let attempts = if letter.error_code == "id-reused" { 1 } else { 4 };
        ensure!(letter.error_class == "poison" && letter.attempts == attempts, "{letter:?}");
    }
    let copies = eventually("every letter has a copy", async || {
        let copies = world.copies()?.read().await?;
        ensure!(copies.len() >= bad, "there are {}", copies.len());
        Ok(copies)
    })
    .await?;
    ensure!(copies.len() == bad, "there are {} copies of {bad} letters", copies.len());
    for letter in &letters {
        let id = letter.id.to_string().into_bytes();
        let is_copy =
            |copy: &&LogRecord| copy.headers.contains(&("dlq_id".to_owned(), Some(id.clone())));
        let copy = copies.iter().find(is_copy).context("a letter without a copy")?;
        let original = originals
            .iter()
            .find(|record| {
                (record.partition, record.offset) == (letter.partition, letter.log_offset)
            })
            .context("a letter without a record")?;
        ensure!(copy.partition == original.partition, "the copy is in another partition");
        ensure!((&copy.key, &copy.value) == (&original.key, &original.value), "bytes differ");
        ensure!((&letter.key, &letter.value) == (&original.key, &original.value), "bytes differ");
        ensure!(copy.headers[10..] == original.headers[..], "headers differ: {copy:?}");
        let told = |name: &str| {
            let header = copy.headers.iter().find(|(found, _)| found == name);
            header.and_then(|(_, value)| String::from_utf8(value.clone()?).ok())
        };
        ensure!(told("dlq_partition") == Some(letter.partition.to_string()), "{copy:?}");
        ensure!(told("dlq_offset") == Some(letter.log_offset.to_string()), "{copy:?}");
        ensure!(told("dlq_attempts") == Some(letter.attempts.to_string()), "{copy:?}");
    }
    projector.ready().await
}

#[tokio::test]
async fn where_nothing_can_be_folded_the_projection_stops_itself_and_goes_on_when_told()
-> Result<()> {
    let world = World::start("brake").await?;
    let log = world.log()?;
    let junk = (0..500).map(|n| Outgoing {
        key: Some(format!("device-{n}").into_bytes()),
        value: Some(b"junk".to_vec()),
        ..Outgoing::default()
    });
    log.append_raw(junk.collect()).await?;
    let projector = world.projector()?.start().await?;
    projector.not_ready(&["brake", "keys failed with magic"]).await?;
    let letters = world.letters().await?;
    ensure!(letters.len() <= 20, "{} letters were written before the brake", letters.len());
    ensure!(projector.get("/health/live").await?.status == 200, "the brake made the process die");
    let braked = world.folded().await?;
    log.append([a_report("device-behind")]).await?;
    // Mended by taking the junk for known: what is left is moved past, as a fixed producer would.
    let resume = "UPDATE generations SET brake = NULL, braked_at = NULL";
    world.pool().execute(resume).await?;
    eventually("it goes on", async || {
        let folded = world.folded().await?;
        ensure!(folded > braked, "it stands at {folded}");
        Ok(())
    })
    .await?;
    projector.not_ready(&["brake"]).await?;
    ensure!(world.letters().await?.len() <= 40, "each brake lets few letters through");
    Ok(())
}

#[tokio::test]
async fn a_letter_whose_cause_goes_away_is_folded_by_itself_and_the_view_is_as_if_never()
-> Result<()> {
    let world = World::start("mended").await?;
    let log = world.log()?;
    let constrain =
        "ALTER TABLE resource_rows ADD CONSTRAINT no_bad CHECK (payload::text <> '\"bad\"')";
    world.pool().execute(constrain).await?;
    let projector = world.projector()?.start().await?;
    let say = |device: &str, payload: &str| a_report(device).saying(payload);
    // The newest of its device, and one that a newer event has overtaken.
    log.append([say("a", "1"), say("a", "\"bad\""), say("b", "\"bad\"")]).await?;
    let letters = world.letters_in("retrying", 2).await?;
    ensure!(letters.iter().all(|letter| letter.error_code == "23514"), "{letters:?}");
    log.append([say("b", "2")]).await?;
    world.level().await?;
    ensure!(world.rows().await?["b"].version == 1, "the good event waited for the bad one");

    world.pool().execute("ALTER TABLE resource_rows DROP CONSTRAINT no_bad").await?;
    eventually_within(Duration::from_secs(20), "both are folded", async || {
        let states: Vec<_> =
            world.letters().await?.into_iter().map(|letter| letter.state).collect();
        let mut sorted = states.clone();
        sorted.sort();
        ensure!(sorted == ["applied", "superseded"], "the letters are {states:?}");
        Ok(())
    })
    .await?;
    world.must_equal_the_log().await?;
    // Folded from the beginning once more, nothing counts twice.
    world.set_positions_back().await?;
    // A position that was set back is noticed at the next record.
    log.append([say("a", "3"), say("b", "3")]).await?;
    world.level().await?;
    world.must_equal_the_log().await?;
    ensure!(world.copies()?.read().await?.is_empty(), "what was never parked was told of");
    projector.ready().await
}
