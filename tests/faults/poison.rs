//! Records that cannot be folded: each stops its partition, says where and why, and nothing else.

use anyhow::{Context as _, Result, ensure};
use test_support::{Log, Outgoing, World, a_report, eventually};

/// A record that cannot be folded, and the stable name of the reason.
struct Poison {
    kind: &'static str,
    record: Outgoing,
}

/// A device that lives in a partition of the test's choice.
fn device(partition: i32) -> String {
    format!("device-of-{partition}")
}

fn good(log: &Log, partition: i32, payload: &str) -> Result<Outgoing> {
    let record = log.record(&a_report(&device(partition)).saying(payload))?;
    Ok(Outgoing { partition: Some(partition), ..record })
}

fn poisons(log: &Log) -> Result<Vec<Poison>> {
    let sound = log.record(&a_report("device-of-any"))?;
    let value = sound.value.clone().context("an event without a value")?;
    let spoiled =
        |kind, value: Option<Vec<u8>>| Poison { kind, record: Outgoing { value, ..sound.clone() } };
    let edited = |at: usize, byte: u8| {
        let mut value = value.clone();
        value[at] = byte;
        Some(value)
    };
    Ok(vec![
        spoiled("no-value", None),
        spoiled("empty", Some(Vec::new())),
        spoiled("magic", edited(0, 7)),
        spoiled("truncated", Some(value[..3].to_vec())),
        // The first length of the datum becomes negative.
        spoiled("malformed", edited(5, 0xff)),
        spoiled("trailing-bytes", Some([&value[..], b"junk"].concat())),
        spoiled("unknown-schema-id", Some([&[0, 0x7f, 0, 0, 1], &value[5..]].concat())),
        Poison { kind: "no-key", record: Outgoing { key: None, ..sound.clone() } },
        Poison { kind: "foreign-key", record: Outgoing { key: Some(b"other".to_vec()), ..sound } },
    ])
}

#[tokio::test]
async fn a_record_that_cannot_be_folded_stops_its_partition_and_says_where_and_why() -> Result<()> {
    let world = World::start("poison").await?;
    let log = world.log()?;
    let poisons = poisons(&log)?;
    let mut records = Vec::new();
    for partition in 0..12 {
        records.extend([good(&log, partition, "1")?, good(&log, partition, "2")?]);
        if let Some(poison) = usize::try_from(partition).ok().and_then(|at| poisons.get(at)) {
            records.push(Outgoing { partition: Some(partition), ..poison.record.clone() });
        }
        records.push(good(&log, partition, "3")?);
    }
    log.append_raw(records).await?;

    let projector = world.projector()?.start().await?;
    for (partition, poison) in poisons.iter().enumerate() {
        let place = format!("partition {partition} is halted at offset 2: {}", poison.kind);
        projector.not_ready(&[&place]).await?;
    }
    eventually("the sound partitions are folded to their ends", async || {
        let rows = world.rows().await?;
        let behind: Vec<_> = (0..12)
            .filter(|partition| usize::try_from(*partition).is_ok_and(|at| at >= poisons.len()))
            .filter(|partition| rows.get(&device(*partition)).is_none_or(|row| row.version != 3))
            .collect();
        ensure!(behind.is_empty(), "{behind:?} are behind");
        Ok(())
    })
    .await?;
    let stopped = projector.metric("projection_stopped_partitions").await?;
    ensure!(stopped == poisons.len() as f64, "{stopped} partitions are counted as stopped");
    ensure!(projector.get("/health/live").await?.status == 200, "poison made the process die");
    let oracle = world.must_equal_the_log().await?;
    ensure!(oracle.stops.len() == poisons.len(), "the records are no poison: {:?}", oracle.stops);
    Ok(())
}

#[tokio::test]
async fn a_client_s_id_with_another_body_stops_its_partition() -> Result<()> {
    let world = World::start("reused_id").await?;
    let log = world.log()?;
    let on = |partition, id, body, payload: &str| -> Result<Outgoing> {
        let report = a_report(&device(partition)).named(id, body).saying(payload);
        Ok(Outgoing { partition: Some(partition), ..log.record(&report)? })
    };
    let projector = world.projector()?.start().await?;
    // In one batch on partition 0, in two batches on partition 1.
    log.append_raw(vec![on(0, 1, 1, "1")?, on(0, 2, 1, "2")?, on(0, 1, 2, "3")?]).await?;
    log.append_raw(vec![on(1, 3, 1, "1")?]).await?;
    projector.not_ready(&["partition 0 is halted at offset 2: id-reused"]).await?;
    log.append_raw(vec![on(1, 3, 2, "2")?, on(2, 4, 1, "1")?]).await?;
    projector.not_ready(&["partition 1 is halted at offset 1: id-reused"]).await?;
    eventually("another partition goes on", async || {
        let rows = world.rows().await?;
        ensure!(rows.contains_key(&device(2)), "it does not");
        Ok(())
    })
    .await?;
    world.must_equal_the_log().await.map(drop)
}
