//! Tombstones: what writers do to keys around a commit.

use std::collections::HashMap;

use anyhow::Result;
use read_cache::{CallError, Forward, Read};

use crate::bench::{Bench, GENERATION, body, text};

#[tokio::test]
async fn whatever_stood_at_the_keys_is_a_tombstone_before_the_commit() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let keys = ["absent", "leased", "locked", "hot", "old", "foreign"].map(|id| bench.key(id));
    let [_, leased, locked, hot, old, foreign] = &keys;
    bench.granted(leased).await;
    let _others = bench.before(&[locked]).await;
    bench.put(hot, &text(3));
    bench.put(old, "6 3 {}");
    bench.put(foreign, "whatever");
    let tombstones = bench.before(&keys.iter().collect::<Vec<_>>()).await;
    // An old body is read by nobody who trusts it, and still tells that somebody reads the key.
    assert_eq!(tombstones.hot().collect::<Vec<_>>(), [hot, old]);
    for key in &keys {
        assert!(bench.get(key).unwrap().starts_with("tombstone "));
        assert!((110_000..=120_000).contains(&bench.left(key.as_str())));
        assert_eq!(bench.reader.read(key, &bench.trust).await, Read::Miss(Forward::Miss));
    }
    assert_eq!(bench.after(tombstones, 4).await, 2);
    let after = keys.clone().map(|key| bench.get(&key));
    assert_eq!(after, [None, None, None, Some(text(4)), Some(text(4)), None]);
    Ok(())
}

#[tokio::test]
async fn a_hot_key_keeps_the_time_that_it_had_left() -> Result<()> {
    let mut bench = Bench::start().await?;
    let key = bench.key(1);
    bench.resp.text(&["SET", key.as_str(), &text(3), "PX", "30000"])?;
    let lapses = bench.resp.text(&["PEXPIRETIME", key.as_str()])?;
    for version in 4..7 {
        let tombstones = bench.before(&[&key]).await;
        assert_eq!(bench.after(tombstones, version).await, 1);
        assert_eq!(bench.get(&key), Some(text(version)));
        assert_eq!(bench.resp.text(&["PEXPIRETIME", key.as_str()])?, lapses);
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_that_is_rolled_back_leaves_nothing() -> Result<()> {
    let mut bench = Bench::start().await?;
    let key = bench.key(1);
    bench.put(&key, &text(3));
    let tombstones = bench.before(&[&key]).await;
    assert_eq!(bench.writer.after_commit(tombstones, HashMap::new()).await?, 0);
    assert_eq!(bench.get(&key), None);
    Ok(())
}

#[tokio::test]
async fn a_body_for_a_key_that_was_cold_is_not_stored() -> Result<()> {
    let mut bench = Bench::start().await?;
    let key = bench.key(1);
    let tombstones = bench.before(&[&key]).await;
    let bodies = HashMap::from([(key.clone(), body(4))]);
    assert_eq!(bench.writer.after_commit(tombstones, bodies).await?, 0);
    assert_eq!(bench.get(&key), None);
    Ok(())
}

#[tokio::test]
async fn another_batch_s_tombstone_stays() -> Result<()> {
    let mut bench = Bench::start().await?;
    let key = bench.key(1);
    bench.put(&key, &text(3));
    let first = bench.before(&[&key]).await;
    let second = bench.before(&[&key]).await;
    let standing = bench.get(&key);
    assert_eq!(bench.after(first, 4).await, 0);
    assert_eq!(bench.get(&key), standing);
    assert_eq!(second.hot().len(), 0);
    bench.after(second, 5).await;
    assert_eq!(bench.get(&key), None);
    Ok(())
}

#[tokio::test]
async fn a_zombie_s_late_call_never_puts_its_body_and_clears_what_it_finds() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let [filled, leased, absent] = ["filled", "leased", "absent"].map(|id| bench.key(id));
    for key in [&filled, &leased, &absent] {
        bench.put(key, &text(3));
    }
    let zombie = bench.before(&[&filled, &leased, &absent]).await;
    // Its tombstones lapse; a successor commits 5 meanwhile, and readers come.
    for key in [&filled, &leased, &absent] {
        bench.lapse(key.as_str());
    }
    let lease = bench.granted(&filled).await;
    assert!(bench.fill(&filled, &lease, 5).await);
    let lease = bench.granted(&leased).await;
    assert_eq!(bench.after(zombie, 4).await, 0);
    for key in [&filled, &leased, &absent] {
        assert_eq!(bench.get(key), None);
    }
    assert!(!bench.fill(&leased, &lease, 5).await);
    Ok(())
}

#[tokio::test]
async fn thousands_of_keys_go_in_chunks() -> Result<()> {
    let mut bench = Bench::start().await?;
    let keys: Vec<_> = (0..2_500).map(|id| bench.key(id)).collect();
    for key in keys.iter().step_by(3) {
        bench.put(key, &text(3));
    }
    let tombstones = bench.writer.before_commit(bench.replay(), keys.clone()).await?;
    assert_eq!(tombstones.len(), 2_500);
    let hot: Vec<_> = keys.iter().step_by(3).collect();
    assert_eq!(tombstones.hot().collect::<Vec<_>>(), hot);
    for key in &keys {
        assert!(bench.get(key).unwrap().starts_with("tombstone "));
    }
    assert_eq!(bench.after(tombstones, 4).await, hot.len());
    for (id, key) in keys.iter().enumerate() {
        assert_eq!(bench.get(key), (id % 3 == 0).then(|| text(4)));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_text_at_a_key_stops_nobody() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (key, other) = (bench.key("list"), bench.key("text"));
    let list = |bench: &mut Bench| {
        bench.lapse(key.as_str());
        bench.resp.text(&["RPUSH", key.as_str(), "x"]).unwrap();
        bench.resp.text(&["PEXPIRE", key.as_str(), "60000"]).unwrap();
    };
    list(&mut bench);
    let tombstones = bench.before(&[&key, &other]).await;
    assert_eq!(tombstones.hot().len(), 0);
    list(&mut bench);
    bench.after(tombstones, 1).await;
    assert_eq!(bench.get(&key), None);
    list(&mut bench);
    let lease = bench.granted(&key).await;
    list(&mut bench);
    assert!(!bench.fill(&key, &lease, 1).await);
    assert_eq!(bench.reader.read(&key, &bench.trust).await, Read::Miss(Forward::Miss));
    Ok(())
}

#[tokio::test]
async fn an_empty_batch_asks_nothing_of_redis() -> Result<()> {
    let bench = Bench::alone().await?;
    bench.server.kill9()?;
    let tombstones = bench.before(&[]).await;
    assert!(tombstones.is_empty());
    assert_eq!(bench.after(tombstones, 1).await, 0);
    assert!(bench.writer.before_commit(bench.lane(), vec![]).await.is_err());
    Ok(())
}

#[tokio::test]
async fn another_redis_than_the_one_that_was_agreed_with_is_told_nothing() -> Result<()> {
    let (bench, mut other) = (Bench::alone().await?, Bench::alone().await?);
    let key = other.key(1);
    other.put(&key, &text(3));
    for cover in [bench.lane(), bench.replay()] {
        let before = other.writer.before_commit(cover, vec![key.clone()]).await;
        assert_eq!(before.err(), Some(CallError::Elsewhere));
    }
    assert_eq!(other.get(&key), Some(text(3)));
    assert_eq!(other.window(), None);
    Ok(())
}

#[tokio::test]
async fn tombstones_of_a_replay_stand_for_longer() -> Result<()> {
    let mut bench = Bench::start().await?;
    let (one, two) = (bench.key(1), bench.key(2));
    bench.put(&two, &text(3));
    let _replay = bench.before(&[&one]).await;
    let _lane = bench.before_in_window(&[&two]).await;
    let seconds = |left: i64| (left + 999) / 1000;
    assert!(seconds(bench.left(one.as_str())) > 100);
    assert!(seconds(bench.left(two.as_str())) <= 10);
    Ok(())
}
