//! Windows: what a lane sets for a whole partition, so that absent keys need no tombstone.

use std::collections::HashMap;

use anyhow::Result;
use read_cache::{CacheKey, Leased, Read};

use crate::bench::{Bench, GENERATION, body, text};

/// How often Redis has run a command since it was started, also from within scripts.
fn calls(bench: &mut Bench, command: &str) -> u64 {
    let stats = bench.resp.text(&["INFO", "commandstats"]).unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
    let count = line.and_then(|line| line.strip_prefix("calls=")?.split(',').next()?.parse().ok());
    count.unwrap_or(0)
}

fn keys(bench: &Bench, count: usize) -> Vec<CacheKey> {
    (0..count).map(|id| bench.key(id)).collect()
}

#[tokio::test]
async fn a_batch_of_cold_keys_leaves_its_windows_alone_and_nothing_afterwards() -> Result<()> {
    let mut bench = Bench::alone().await?;
    let (windows, cold) = (bench.partitions(), keys(&bench, 2_500));
    let tombstones = bench.writer.before_commit(bench.wide_lane(), cold).await?;
    assert!(tombstones.is_empty());
    // With the marks of the partitions.
    assert_eq!(bench.resp.text(&["DBSIZE"])?, "6");
    for window in &windows {
        assert_eq!(bench.resp.text(&["GET", window.window()])?, tombstones.batch().text());
    }
    // The marks were set before.
    assert_eq!(["exists", "set", "pexpiretime"].map(|name| calls(&mut bench, name)), [3, 6, 0]);
    let looked = calls(&mut bench, "get");
    assert_eq!(bench.writer.after_commit(tombstones, HashMap::new()).await?, 0);
    assert_eq!(bench.resp.text(&["DBSIZE"])?, "3");
    assert_eq!(["get", "del"].map(|name| calls(&mut bench, name)), [looked + 3, 3]);
    Ok(())
}

#[tokio::test]
async fn a_window_lapses_as_a_tombstone_does_if_its_batch_dies() -> Result<()> {
    let mut bench = Bench::start().await?;
    let died = bench.before_in_window(&[&bench.key(1)]).await;
    let window = bench.trust.window().to_owned();
    assert_eq!(bench.window(), Some(died.batch().text()));
    assert!((8_000..=10_000).contains(&bench.left(&window)));
    Ok(())
}

#[tokio::test]
async fn no_lease_is_given_in_a_window_and_one_is_after_it() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (changed, other) = (bench.key("changed"), bench.key("other"));
    let tombstones = bench.before_in_window(&[&changed]).await;
    for key in [&changed, &other] {
        assert_eq!(bench.reader.lease(key, &bench.trust).await, Leased::Refused);
        assert_eq!(bench.get(key), None);
    }
    let elsewhere = bench.config.keys.trust("thing", 1);
    bench.resp.text(&["SET", elsewhere.as_str(), "7", "PX", "60000"])?;
    let leased = bench.reader.lease(&bench.key("elsewhere"), &elsewhere).await;
    assert!(matches!(leased, Leased::Granted(_)), "{leased:?}");
    bench.after(tombstones, 4).await;
    for key in [&changed, &other] {
        bench.granted(key).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_stands_in_a_window_is_still_shown() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (changed, other, old) = (bench.key("changed"), bench.key("other"), bench.key("old"));
    bench.put(&other, &text(3));
    bench.put(&old, "6 3 {}");
    let _open = bench.before_in_window(&[&changed]).await;
    assert_eq!(bench.reader.read(&other, &bench.trust).await, Read::Hit(body(3)));
    assert_eq!(bench.reader.lease(&other, &bench.trust).await, Leased::Hit(body(3)));
    assert_eq!(bench.reader.lease(&old, &bench.trust).await, Leased::Refused);
    assert_eq!(bench.get(&old).as_deref(), Some("6 3 {}"));
    Ok(())
}

#[tokio::test]
async fn in_a_window_what_stands_at_a_key_is_a_tombstone_and_what_is_absent_stays_so() -> Result<()>
{
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let ids = ["absent", "leased", "hot", "gone", "locked", "list", "forever"];
    let keys = ids.map(|id| bench.key(id));
    let [absent, leased, hot, gone, locked, list, forever] = &keys;
    let lease = bench.granted(leased).await;
    let lapsed = bench.granted(gone).await;
    bench.lapse(gone.as_str());
    bench.put(hot, &text(3));
    let _replay = bench.before(&[locked]).await;
    bench.resp.text(&["RPUSH", list.as_str(), "x"])?;
    bench.resp.text(&["SET", forever.as_str(), &text(3)])?;
    let tombstones = bench.before_in_window(&keys.iter().collect::<Vec<_>>()).await;
    assert_eq!(tombstones.hot().collect::<Vec<_>>(), [hot]);
    assert_eq!(tombstones.len(), 5);
    let own = tombstones.batch().text();
    for key in [leased, hot, locked, list, forever] {
        assert_eq!(bench.get(key), Some(own.clone()));
        assert!((8_000..=10_000).contains(&bench.left(key.as_str())));
    }
    assert!(!bench.fill(leased, &lease, 3).await);
    assert!(!bench.fill(gone, &lapsed, 3).await);
    assert_eq!([absent, gone].map(|key| bench.get(key)), [None, None]);
    assert_eq!(bench.after(tombstones, 4).await, 1);
    let after = keys.clone().map(|key| bench.get(&key));
    assert_eq!(after, [None, None, Some(text(4)), None, None, None, None]);
    assert_eq!(bench.window(), None);
    Ok(())
}

#[tokio::test]
async fn hot_keys_among_thousands_of_absent_ones_are_found_in_every_chunk() -> Result<()> {
    let mut bench = Bench::alone().await?;
    let keys = keys(&bench, 3_500);
    // None of them in the second chunk.
    let hot = [0, 999, 2_000, 2_700, 3_499].map(|place| &keys[place]);
    for key in hot {
        bench.put(key, &text(3));
    }
    let tombstones = bench.writer.before_commit(bench.wide_lane(), keys.clone()).await?;
    assert_eq!(tombstones.hot().collect::<Vec<_>>(), hot);
    assert_eq!(tombstones.len(), hot.len());
    assert_eq!(bench.resp.text(&["DBSIZE"])?, (6 + hot.len()).to_string());
    assert_eq!(calls(&mut bench, "pexpiretime"), 3_000 - 500);
    assert_eq!(bench.after(tombstones, 4).await, hot.len());
    assert_eq!(bench.resp.text(&["DBSIZE"])?, (3 + hot.len()).to_string());
    for key in hot {
        assert_eq!(bench.get(key), Some(text(4)));
    }
    Ok(())
}

#[tokio::test]
async fn a_replay_s_tombstones_stand_at_absent_keys_beside_a_window() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (folded, replayed) = (bench.key("folded"), bench.key("replayed"));
    let replay = bench.before(&[&replayed]).await;
    assert_eq!(bench.window(), None);
    assert_eq!(replay.len(), 1);
    let lane = bench.before_in_window(&[&folded]).await;
    bench.after(lane, 4).await;
    assert_eq!(bench.get(&replayed), Some(replay.batch().text()));
    assert_eq!(bench.reader.lease(&replayed, &bench.trust).await, Leased::Refused);
    let lane = bench.before_in_window(&[&folded]).await;
    bench.after(replay, 5).await;
    assert_eq!(bench.get(&replayed), None);
    assert_eq!(bench.window(), Some(lane.batch().text()));
    Ok(())
}

#[tokio::test]
async fn another_batch_s_window_is_left_alone() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let key = bench.key(1);
    let first = bench.before_in_window(&[&key]).await;
    let second = bench.before_in_window(&[&key]).await;
    bench.after(first, 4).await;
    assert_eq!(bench.window(), Some(second.batch().text()));
    assert_eq!(bench.reader.lease(&key, &bench.trust).await, Leased::Refused);
    bench.after(second, 5).await;
    assert_eq!(bench.window(), None);
    bench.granted(&key).await;
    Ok(())
}

#[tokio::test]
async fn what_is_no_text_at_a_window_gives_no_lease_and_stays() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (key, window) = (bench.key(1), bench.trust.window().to_owned());
    let list = |bench: &mut Bench| {
        bench.lapse(&window);
        bench.resp.text(&["RPUSH", &window, "x"]).unwrap();
    };
    list(&mut bench);
    assert_eq!(bench.reader.lease(&key, &bench.trust).await, Leased::Refused);
    let tombstones = bench.before_in_window(&[&key]).await;
    assert_eq!(bench.window(), Some(tombstones.batch().text()));
    list(&mut bench);
    bench.after(tombstones, 4).await;
    assert_eq!(bench.resp.text(&["TYPE", &window])?, "list");
    Ok(())
}
