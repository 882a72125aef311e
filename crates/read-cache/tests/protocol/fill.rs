//! Leases and fills: what readers do to a key.

use anyhow::Result;
use bytes::Bytes;
use read_cache::{CacheGeneration, Forward, Leased, Read};

use crate::bench::{Bench, GENERATION, body, text};

#[tokio::test]
async fn a_cold_key_is_leased_and_filled_and_reads_as_it_stands() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let key = bench.key(1);
    assert_eq!(bench.reader.read(&key, &bench.trust).await, Read::Miss(Forward::Miss));
    let lease = bench.granted(&key).await;
    assert!(bench.get(&key).unwrap().starts_with("lease "));
    assert!((2_000..=3_000).contains(&bench.left(key.as_str())));
    assert!(bench.fill(&key, &lease, 3).await);
    assert_eq!(bench.get(&key), Some(text(3)));
    assert!((59_000..=60_000).contains(&bench.left(key.as_str())));
    assert_eq!(bench.reader.read(&key, &bench.trust).await, Read::Hit(body(3)));
    let counts = bench.reader.counts();
    assert_eq!((counts.hits, counts.misses, counts.stored), (1, 1, 1));
    Ok(())
}

#[tokio::test]
async fn that_there_is_no_row_is_filled_under_the_same_rule() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let key = bench.key(1);
    let lease = bench.granted(&key).await;
    let ttl = std::time::Duration::from_secs(3);
    assert!(bench.reader.fill(&key, &bench.trust, &lease, (0, Bytes::new()), ttl).await);
    assert_eq!(bench.get(&key).as_deref(), Some("7 0 "));
    let Read::Hit(found) = bench.reader.read(&key, &bench.trust).await else { panic!("a miss") };
    assert!(found.is_missing());
    let created = bench.before(&[&key]).await;
    assert_eq!(bench.after(created, 1).await, 1);
    assert_eq!(bench.get(&key), Some(text(1)));
    assert!(bench.left(key.as_str()) <= 3_000);
    Ok(())
}

#[tokio::test]
async fn a_lease_is_refused_by_a_lease_and_by_a_tombstone() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (leased, locked) = (bench.key(1), bench.key(2));
    let _first = bench.granted(&leased).await;
    let tombstones = bench.before(&[&locked]).await;
    for key in [&leased, &locked] {
        let before = bench.get(key);
        assert_eq!(bench.reader.lease(key, &bench.trust).await, Leased::Refused);
        assert_eq!(bench.get(key), before);
    }
    bench.after(tombstones, 1).await;
    bench.granted(&locked).await;
    Ok(())
}

#[tokio::test]
async fn a_trusted_body_is_shown_instead_of_leased_and_an_old_one_gives_way() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let key = bench.key(1);
    bench.put(&key, &text(3));
    assert_eq!(bench.reader.lease(&key, &bench.trust).await, Leased::Hit(body(3)));
    assert_eq!(bench.get(&key), Some(text(3)));
    bench.trusted(GENERATION.raised());
    assert_eq!(bench.reader.read(&key, &bench.trust).await, Read::Miss(Forward::Stale));
    let lease = bench.granted(&key).await;
    assert_eq!(lease.generation(), GENERATION.raised());
    assert!(bench.fill(&key, &lease, 4).await);
    assert_eq!(bench.get(&key).as_deref(), Some("8 4 {\"n\":4}"));
    Ok(())
}

#[tokio::test]
async fn a_generation_that_begins_like_another_is_another() -> Result<()> {
    let mut bench = Bench::start().await?;
    let key = bench.key(1);
    bench.put(&key, "71 3 {}");
    bench.trusted(GENERATION);
    bench.granted(&key).await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_leased_or_shown_of_a_partition_that_nobody_vouches_for() -> Result<()> {
    let mut bench = Bench::start().await?;
    let key = bench.key(1);
    bench.put(&key, &text(3));
    assert_eq!(bench.reader.read(&key, &bench.trust).await, Read::Miss(Forward::Bypass));
    assert_eq!(bench.reader.lease(&key, &bench.trust).await, Leased::Refused);
    assert_eq!(bench.get(&key), Some(text(3)));
    Ok(())
}

#[tokio::test]
async fn a_fill_after_a_tombstone_is_refused_while_it_stands_and_after_it() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let (standing, ended) = (bench.key(1), bench.key(2));
    let (first, second) = (bench.granted(&standing).await, bench.granted(&ended).await);
    let _open = bench.before(&[&standing]).await;
    let tombstones = bench.before(&[&ended]).await;
    bench.after(tombstones, 4).await;
    assert!(!bench.fill(&standing, &first, 3).await);
    assert!(bench.get(&standing).unwrap().starts_with("tombstone "));
    assert!(!bench.fill(&ended, &second, 3).await);
    assert_eq!(bench.get(&ended), None);
    assert_eq!(bench.reader.counts().not_stored, 2);
    Ok(())
}

#[tokio::test]
async fn a_fill_with_a_lease_that_lapsed_is_refused_also_under_another_s_lease() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let key = bench.key(1);
    let lapsed = bench.granted(&key).await;
    bench.lapse(key.as_str());
    assert!(!bench.fill(&key, &lapsed, 3).await);
    let living = bench.granted(&key).await;
    assert!(!bench.fill(&key, &lapsed, 3).await);
    assert!(bench.fill(&key, &living, 3).await);
    assert!(!bench.fill(&key, &lapsed, 2).await);
    assert_eq!(bench.get(&key), Some(text(3)));
    Ok(())
}

#[tokio::test]
async fn a_fill_is_refused_when_trust_lapsed_or_the_generation_rose_since_the_lease() -> Result<()>
{
    let mut bench = Bench::start().await?;
    let (trust, generations) = (bench.trust.clone(), [None, Some(CacheGeneration(8))]);
    for (id, generation) in generations.into_iter().enumerate() {
        bench.trusted(GENERATION);
        let key = bench.key(id);
        let lease = bench.granted(&key).await;
        match generation {
            Some(generation) => bench.trusted(generation),
            None => bench.lapse(trust.as_str()),
        }
        assert!(!bench.fill(&key, &lease, 3).await);
        assert_eq!(bench.get(&key), None);
    }
    Ok(())
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_free_and_another_s_stays() -> Result<()> {
    let mut bench = Bench::start().await?;
    bench.trusted(GENERATION);
    let key = bench.key(1);
    let first = bench.granted(&key).await;
    bench.reader.give_back(&key, &first).await;
    let second = bench.granted(&key).await;
    bench.reader.give_back(&key, &first).await;
    assert!(bench.fill(&key, &second, 3).await);
    bench.reader.give_back(&key, &second).await;
    assert_eq!(bench.get(&key), Some(text(3)));
    Ok(())
}
