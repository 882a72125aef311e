//! Faults of what a projection depends on. A record that waits for a registry, a database or a
//! deployment is not at fault: none becomes a letter, however long it lasts, and when it is over the
//! projection goes on by itself.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use event_schema::device;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use test_support::{
    Log, Outgoing, OwnStack, RegistryAnswer, Report, Running, StubRegistry, World, a_report,
    eventually,
};
use tokio::time::interval;

/// The first of the ids that no registry gave us.
const UNKNOWN_ID: u32 = 0x7f00_0000;

/// Devices enough that every partition gets some.
const DEVICES: usize = 100;

fn a_round(payload: &str) -> impl Iterator<Item = Report> + use<'_> {
    (0..DEVICES).map(move |n| a_report(&format!("device-{n}")).saying(payload))
}

/// A sound event whose value names a schema that is not known.
fn of_unknown_schema(log: &Log, device: &str, id: u32) -> Result<Outgoing> {
    let mut record = log.record(&a_report(device))?;
    let value = record.value.as_mut().context("an event without a value")?;
    value[1..5].copy_from_slice(&id.to_be_bytes());
    Ok(record)
}

async fn no_letters(world: &World) -> Result<()> {
    let letters = world.letters().await?;
    ensure!(letters.is_empty(), "an outage made letters: {letters:?}");
    Ok(())
}

/// Nothing is behind, nothing is set aside, the view is the log and the process says so.
async fn recovered(world: &World, projector: &Running) -> Result<()> {
    world.level().await?;
    eventually("the lag is 0", async || {
        let lag = projector.metric("projection_lag_seconds").await?;
        ensure!(lag == 0.0, "it is {lag} seconds");
        Ok(())
    })
    .await?;
    projector.ready().await?;
    no_letters(world).await?;
    world.must_equal_the_log().await.map(drop)
}

/// Events that cannot be folded now stand still, are told of, and lag behind.
async fn stands_still(world: &World, projector: &Running, words: &[&str]) -> Result<()> {
    let before = world.positions().await?;
    projector.not_ready(&[&["projection resource", "is retrying"], words].concat()).await?;
    let lag = projector.metric("projection_lag_seconds").await?;
    ensure!(lag >= 4.0, "the lag is {lag} seconds after five seconds");
    ensure!(world.positions().await? == before, "a position moved");
    no_letters(world).await
}

#[tokio::test]
async fn records_of_known_schemas_are_folded_whatever_the_registry_says() -> Result<()> {
    let world = World::start("registry_away").await?;
    let log = world.log()?;
    let stub = StubRegistry::start(RegistryAnswer::Hang).await?;
    let projector = world.projector()?.setting("SCHEMA_REGISTRY_URL", stub.url()).start().await?;
    let faults = [
        RegistryAnswer::Hang,
        RegistryAnswer::Status(500),
        RegistryAnswer::Status(429),
        RegistryAnswer::Status(401),
        RegistryAnswer::NotFound,
    ];
    for fault in faults {
        stub.set(fault);
        log.append(a_round("1")).await?;
        world.level().await?;
    }
    ensure!(stub.asked() == 0, "the registry was asked {} times", stub.asked());
    recovered(&world, &projector).await
}

/// `HANG_SECONDS=120` lets the registry fail for that much longer.
fn extra_hang() -> Result<Duration> {
    let seconds = std::env::var("HANG_SECONDS").unwrap_or_else(|_| "0".to_owned());
    Ok(Duration::from_secs(seconds.parse().context("HANG_SECONDS")?))
}

/// Looks every second for so long.
async fn no_letters_meanwhile(world: &World, time: Duration) -> Result<()> {
    let (mut second, until) = (interval(Duration::from_secs(1)), Instant::now() + time);
    while Instant::now() < until {
        second.tick().await;
        no_letters(world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_record_of_an_unknown_schema_waits_until_the_registry_says_that_there_is_none()
-> Result<()> {
    let world = World::start("registry_unsure").await?;
    let log = world.log()?;
    let faults = [
        // The client gives up after two seconds, so that a registry which hangs for minutes is asked
        // again and again; here it hangs until the test has seen it asked again.
        RegistryAnswer::Hang,
        RegistryAnswer::Status(500),
        RegistryAnswer::Status(429),
        RegistryAnswer::Status(401),
        // As a wrong address answers.
        RegistryAnswer::Status(404),
    ];
    // Each fault holds up a partition of its own.
    let waiting: Vec<(i32, u32)> = (0..).zip(UNKNOWN_ID..).take(faults.len()).collect();
    let waits = |partition: &i32| waiting.iter().any(|(waits, _)| waits == partition);
    let stub = StubRegistry::start(RegistryAnswer::Hang).await?;
    let projector = world.projector()?.setting("SCHEMA_REGISTRY_URL", stub.url()).start().await?;
    projector.ready().await?;
    for ((partition, id), fault) in waiting.iter().zip(faults) {
        stub.set_for(*id, fault);
        let record = of_unknown_schema(&log, &format!("of-tomorrow-{partition}"), *id)?;
        log.append_raw(vec![Outgoing { partition: Some(*partition), ..record }]).await?;
    }
    log.append(a_round("1")).await?;
    let ends = log.ends().await?;
    eventually(
        "the other partitions go on and the registry is asked again and again",
        async || {
            let positions = world.positions().await?;
            let behind: Vec<_> =
                ends.iter().filter(|(id, end)| !waits(id) && positions[id] < **end).collect();
            ensure!(behind.is_empty(), "{behind:?} are behind");
            let asked: Vec<_> = waiting.iter().map(|(_, id)| stub.asked_for(*id)).collect();
            ensure!(asked.iter().all(|asked| *asked >= 2), "it was asked {asked:?} times");
            Ok(())
        },
    )
    .await?;
    let told = waiting.iter().flat_map(|(partition, id)| {
        [format!("partition {partition} is retrying"), format!("schema id {id}")]
    });
    let told: Vec<String> = told.collect();
    projector.not_ready(&told.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let positions = world.positions().await?;
    for (partition, _) in &waiting {
        ensure!(ends[partition] > 1, "nothing stands behind the record that waits");
        ensure!(positions[partition] == 0, "partition {partition} moved");
    }
    no_letters(&world).await?;
    no_letters_meanwhile(&world, extra_hang()?).await?;

    stub.set(RegistryAnswer::NotFound);
    world.level().await?;
    let oracle = world.must_equal_the_log().await?;
    let letters = world.letters().await?;
    let found: Vec<_> = letters
        .iter()
        .map(|l| ((l.partition, l.log_offset), l.error_class.as_str(), l.error_code.as_str()))
        .collect();
    let wanted: Vec<_> = waiting
        .iter()
        .map(|(partition, _)| ((*partition, 0), "poison", "unknown-schema-id"))
        .collect();
    ensure!(found == wanted, "the letters are {letters:?}");
    ensure!(oracle.letters.len() == wanted.len(), "others are bad: {:?}", oracle.letters);
    projector.ready().await
}

#[tokio::test]
async fn records_of_an_unknown_schema_are_folded_once_the_registry_says_that_it_is_ours()
-> Result<()> {
    let world = World::start("registry_late").await?;
    let log = world.log()?;
    let stub = StubRegistry::start(RegistryAnswer::Status(500)).await?;
    world.pool().execute("DELETE FROM schema_ids").await?;
    let projector = world.projector()?.setting("SCHEMA_REGISTRY_URL", stub.url()).start().await?;
    log.append(a_round("1")).await?;
    stands_still(&world, &projector, &[&format!("schema id {}", log.schema_id())]).await?;
    ensure!(world.folded().await? == 0, "something was folded");

    stub.set(RegistryAnswer::Schema(device::WRITTEN.text()));
    recovered(&world, &projector).await?;
    // What was learnt is not asked again.
    stub.set(RegistryAnswer::Status(500));
    let asked = stub.asked();
    log.append(a_round("2")).await?;
    recovered(&world, &projector).await?;
    ensure!(stub.asked() == asked, "the registry was asked again");
    Ok(())
}

#[tokio::test]
async fn a_database_that_takes_no_writes_makes_no_letters_not_even_of_bad_records() -> Result<()> {
    let world = World::start("read_only_letters").await?;
    let log = world.log()?;
    let projector = world.projector()?.start().await?;
    log.append(a_round("1")).await?;
    world.level().await?;
    world.set_read_only("projector", true).await?;
    let refused = a_report("device-refused").saying("no JSON");
    let junk = Outgoing { value: Some(b"junk".to_vec()), ..log.record(&a_report("device-1"))? };
    log.append([refused]).await?;
    log.append_raw(vec![junk]).await?;
    log.append(a_round("2")).await?;
    stands_still(&world, &projector, &["25006"]).await?;

    world.set_read_only("projector", false).await?;
    world.level().await?;
    let oracle = world.must_equal_the_log().await?;
    let letters = world.letters().await?;
    let found: Vec<_> = letters
        .iter()
        .map(|letter| ((letter.partition, letter.log_offset), letter.error_code.clone()))
        .collect();
    ensure!(found == Vec::from_iter(oracle.letters), "the letters are {letters:?}");
    ensure!(found.len() == 2, "the log holds {} bad records", found.len());
    projector.ready().await
}

#[tokio::test]
async fn a_database_that_is_stopped_and_one_whose_disk_is_full_are_waited_for() -> Result<()> {
    // Dropped last: the database has its files there.
    let mut disk = None;
    let own = OwnStack::start().await?;
    let world = World::start_on(own.stack()?, "no_database").await?;
    let log = world.log()?;
    let projector = world.projector()?.start().await?;
    log.append(a_round("1")).await?;
    recovered(&world, &projector).await?;

    own.stop("postgres").await?;
    log.append(a_round("2")).await?;
    projector.not_ready(&["projection resource", "is retrying", "transient"]).await?;
    let lag = projector.metric("projection_lag_seconds").await?;
    ensure!(lag >= 4.0, "the lag is {lag} seconds after five seconds");
    own.up().await?;
    recovered(&world, &projector).await?;

    match Disk::mount(&world).await? {
        Ok(mounted) => full_disk(&world, &projector, disk.insert(mounted)).await,
        Err(refusal) => {
            eprintln!("SKIPPED: a full disk, since no file system may be mounted: {refusal}");
            Ok(())
        }
    }
}

async fn full_disk(world: &World, projector: &Running, disk: &Disk) -> Result<()> {
    let mut superuser = superuser(world).await?;
    let location = disk.0.display();
    let create = format!("CREATE TABLESPACE small OWNER appuser LOCATION '{location}'");
    superuser.execute(AssertSqlSafe(create)).await.context("creating a tablespace")?;
    world.pool().execute("ALTER TABLE resource_rows_1 SET TABLESPACE small").await?;
    let log = world.log()?;
    log.append(a_round("3")).await?;
    recovered(world, projector).await?;

    disk.fill()?;
    // Rows of new devices, more than the pages that the table has already.
    let payload = format!("\"{}\"", "long".repeat(1_000));
    let many = |n| a_report(&format!("new-device-{n}")).saying(&payload);
    log.append((0..1_000).map(many)).await?;
    // Those that still found room are folded; the others wait.
    eventually("the disk is full", async || {
        let health = projector.get("/health/ready").await?;
        ensure!(health.text.contains("53100"), "it answers {health}");
        Ok(())
    })
    .await?;
    stands_still(world, projector, &["transient 53100"]).await?;
    disk.free()?;
    recovered(world, projector).await?;
    // The tablespace goes with the stack.
    world.pool().execute("ALTER TABLE resource_rows_1 SET TABLESPACE pg_default").await?;
    superuser.execute("DROP TABLESPACE small").await.context("dropping the tablespace")?;
    superuser.close().await.context("closing the connection")
}

async fn superuser(world: &World) -> Result<PgConnection> {
    let url = world.stack().database_url("postgres", world.database())?;
    PgConnection::connect(&url).await.context("connecting as superuser")
}

/// A small file system that belongs to the database's user. Dropped, it is gone.
struct Disk(PathBuf);

impl Disk {
    const MEBIBYTES: usize = 16;

    /// What the system says where it refuses.
    async fn mount(world: &World) -> Result<Result<Self, String>> {
        let mut superuser = superuser(world).await?;
        let data: String =
            sqlx::query_scalar("SHOW data_directory").fetch_one(&mut superuser).await?;
        let owner = std::fs::metadata(&data).context("whose the database is")?;
        let path = world.dir().join("disk");
        std::fs::create_dir_all(&path).context("creating the mount point")?;
        let options =
            format!("size={}m,uid={},gid={},mode=0700", Self::MEBIBYTES, owner.uid(), owner.gid());
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .output();
        Ok(match mounted {
            Ok(output) if output.status.success() => Ok(Self(path)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    fn fill(&self) -> Result<()> {
        let filled = std::fs::write(self.filler(), vec![0; Self::MEBIBYTES << 20]);
        let error = filled.err().context("the disk holds more than it has")?;
        let is_full = error.kind() == std::io::ErrorKind::StorageFull;
        ensure!(is_full, "filling the disk failed otherwise: {error}");
        Ok(())
    }

    fn free(&self) -> Result<()> {
        std::fs::remove_file(self.filler()).context("freeing the disk")
    }

    fn filler(&self) -> PathBuf {
        Path::new(&self.0).join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a database that is still ending holds files of it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_table_that_is_not_as_the_fold_needs_it_is_a_fault_of_the_deployment() -> Result<()> {
    let world = World::start("renamed").await?;
    let log = world.log()?;
    let projector = world.projector()?.start().await?;
    log.append(a_round("1")).await?;
    world.level().await?;
    world.pool().execute("ALTER TABLE resource_rows RENAME COLUMN payload TO body").await?;
    log.append(a_round("2")).await?;
    stands_still(&world, &projector, &["deploy-fault 42703"]).await?;
    world.pool().execute("ALTER TABLE resource_rows RENAME COLUMN body TO payload").await?;
    recovered(&world, &projector).await
}

#[tokio::test]
async fn a_fold_that_fails_for_an_unknown_reason_is_tried_and_then_set_aside_as_a_bug() -> Result<()>
{
    let world = World::start("bug").await?;
    let log = world.log()?;
    world.pool().execute(RAISE).await?;
    let projector = world.projector()?.start().await?;
    projector.ready().await?;
    let bad = log.record(&a_report("device-0").saying("\"bug\""))?;
    let mut records: Vec<_> = a_round("1").map(|good| log.record(&good)).collect::<Result<_>>()?;
    records.insert(DEVICES / 2, bad);
    log.append_raw(records).await?;
    world.level().await?;
    let letters = world.letters().await?;
    ensure!(letters.len() == 1, "the letters are {letters:?}");
    let letter = &letters[0];
    ensure!((&*letter.error_class, &*letter.error_code) == ("bug", "P0001"), "{letter:?}");
    ensure!(letter.stream_id.as_deref() == Some("device-0"), "{letter:?}");
    let failed = projector.metric("projection_failed_attempts_total").await?;
    ensure!(failed >= 4.0, "it was set aside after {failed} attempts");
    let rows = world.rows().await?;
    ensure!(rows.len() == DEVICES, "only {} devices are folded", rows.len());

    // The letter itself is folded once the bug is mended, and nothing is left of it.
    world.pool().execute("DROP FUNCTION raise_on_bug CASCADE").await?;
    eventually("the letter is folded", async || {
        let letters = world.letters().await?;
        let states: Vec<_> = letters.iter().map(|letter| letter.state.as_str()).collect();
        ensure!(matches!(states[..], ["applied" | "superseded"]), "it is {states:?}");
        Ok(())
    })
    .await?;
    world.must_equal_the_log().await?;
    projector.ready().await
}

const RAISE: &str = "
    CREATE FUNCTION raise_on_bug() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF new.payload::text = '\"bug\"' THEN RAISE EXCEPTION 'nobody knows why'; END IF;
        RETURN new;
    END $$;
    CREATE TRIGGER raise_on_bug BEFORE INSERT OR UPDATE ON resource_rows_1
        FOR EACH ROW EXECUTE FUNCTION raise_on_bug();";
