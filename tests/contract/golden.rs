//! Bytes of released schema versions: they fold to the state that was stored with them.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::{Outgoing, World};

/// The golden events of a folder: name, datum and what it decodes to.
fn golden() -> Result<Vec<(String, Vec<u8>, Value)>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/device/golden");
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).with_context(|| format!("reading {dir}"))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "datum") {
            let decoded = std::fs::read_to_string(path.with_extension("json"))?;
            let name = path.display().to_string();
            found.push((name, std::fs::read(&path)?, serde_json::from_str(&decoded)?));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn golden_events_fold_to_the_state_that_was_stored_with_them() -> Result<()> {
    let world = World::start("golden").await?;
    let log = world.log()?;
    let golden = golden()?;
    ensure!(golden.len() >= 2, "there are {} golden events", golden.len());
    let mut records = Vec::new();
    for (_, datum, decoded) in &golden {
        let key = decoded["device_id"].as_str().context("a golden event without a device")?;
        let value = [&[0][..], &log.schema_id().to_be_bytes(), datum].concat();
        let key = Some(key.as_bytes().to_vec());
        records.push(Outgoing { key, value: Some(value), ..Outgoing::default() });
    }
    log.append_raw(records).await?;
    let projector = world.projector()?.start().await?;
    projector.ready().await?;
    world.level().await?;
    let rows = world.rows().await?;
    for (name, _, decoded) in &golden {
        let row = decoded["device_id"].as_str().and_then(|device| rows.get(device));
        let row = row.with_context(|| format!("{name} left no row"))?;
        ensure!(row.payload == decoded["payload"], "{name} folded to {row:?}");
        ensure!(row.occurred_at == decoded["occurred_at"].as_i64(), "{name} folded to {row:?}");
        ensure!(row.version == 1, "{name} folded to {row:?}");
    }
    Ok(())
}
