//! Trust keys: who may let them live, and until when.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Result;
use read_cache::{CacheGeneration, Home, RenewError, Renewed, Trust, TrustKey, times};

use crate::bench::{Bench, GENERATION};

fn confirmed(trust: Vec<Trust>) -> Result<Vec<Trust>, Infallible> {
    Ok(trust)
}

/// Partition 0 and another one, settled.
async fn settled(bench: &Bench) -> Result<([TrustKey; 2], Home)> {
    let keys = [bench.trust.clone(), bench.config.keys.trust("thing", 1)];
    let home = bench.writer.settle(&keys).await?;
    Ok((keys, home))
}

fn ours(key: &TrustKey, generation: u64, home: &Home) -> Trust {
    let (key, home) = (key.clone(), Some(home.clone()));
    Trust { key, generation: CacheGeneration(generation), home }
}

#[tokio::test]
async fn trust_lives_until_two_seconds_after_redis_told_its_time() -> Result<()> {
    let mut bench = Bench::start().await?;
    let (keys, home) = settled(&bench).await?;
    let trusts = vec![ours(&keys[0], 7, &home), ours(&keys[1], 9, &home)];
    let renewed = bench.writer.renew(async |_| confirmed(trusts)).await?;
    assert_eq!(renewed, Renewed { renewed: 2, ..Renewed::default() });
    for (key, generation) in keys.iter().zip(["7", "9"]) {
        assert_eq!(bench.resp.text(&["GET", key.as_str()])?, generation);
        let left = u128::try_from(bench.left(key.as_str()))?;
        assert!((1..=times::TRUST.as_millis()).contains(&left), "{left}");
    }
    Ok(())
}

#[tokio::test]
async fn an_owner_that_is_held_up_while_it_asks_who_owns_gives_no_trust() -> Result<()> {
    let mut bench = Bench::start().await?;
    let (keys, home) = settled(&bench).await?;
    let held_up = times::TRUST + Duration::from_millis(100);
    let renewal = bench.writer.renew(async |_| {
        tokio::time::sleep(held_up).await;
        confirmed(vec![ours(&keys[0], 7, &home)])
    });
    renewal.await?;
    assert_eq!(bench.resp.ask(&["GET", bench.trust.as_str()])?, None);
    Ok(())
}

#[tokio::test]
async fn what_is_not_confirmed_is_not_renewed() -> Result<()> {
    let mut bench = Bench::start().await?;
    let refused = bench.writer.renew(async |_| Err("not the owner")).await;
    assert!(matches!(refused, Err(RenewError::NotConfirmed("not the owner"))));
    let none = bench.writer.renew(async |_| confirmed(vec![])).await?;
    assert_eq!(none, Renewed::default());
    assert_eq!(bench.resp.ask(&["GET", bench.trust.as_str()])?, None);
    Ok(())
}

#[tokio::test]
async fn a_generation_is_never_lowered() -> Result<()> {
    let mut bench = Bench::start().await?;
    let (keys, home) = settled(&bench).await?;
    bench.trusted(CacheGeneration(10));
    let zombie = vec![ours(&keys[1], 1, &home), ours(&keys[0], 9, &home)];
    let renewed = bench.writer.renew(async |_| confirmed(zombie)).await?;
    let superseded = vec![keys[0].clone()];
    assert_eq!(renewed, Renewed { renewed: 1, superseded, ..Renewed::default() });
    assert_eq!(bench.resp.text(&["GET", bench.trust.as_str()])?, "10");
    let owner = vec![ours(&keys[0], 11, &home)];
    assert_eq!(bench.writer.renew(async |_| confirmed(owner)).await?.renewed, 1);
    assert_eq!(bench.resp.text(&["GET", bench.trust.as_str()])?, "11");
    Ok(())
}

#[tokio::test]
async fn only_the_home_of_a_generation_is_given_trust() -> Result<()> {
    let mut bench = Bench::start().await?;
    let (keys, home) = settled(&bench).await?;
    let mut homes = vec![home.clone(); 3];
    homes[0].identity.run_id = "0".repeat(40);
    homes[1].identity.replication_id = "0".repeat(40);
    homes[2].mark = "0".repeat(32);
    let mut trusts: Vec<_> = homes.iter().map(|home| ours(&keys[0], 7, home)).collect();
    trusts.push(Trust { home: None, ..ours(&keys[0], 7, &home) });
    for trust in trusts {
        let renewed = bench.writer.renew(async |_| confirmed(vec![trust])).await?;
        let elsewhere = vec![keys[0].clone()];
        assert_eq!(renewed, Renewed { elsewhere, ..Renewed::default() });
        assert_eq!(bench.resp.ask(&["GET", bench.trust.as_str()])?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_home_that_was_emptied_is_told_and_settled_again() -> Result<()> {
    let mut bench = Bench::alone().await?;
    let (keys, home) = settled(&bench).await?;
    bench.resp.text(&["FLUSHALL"])?;
    let trust = vec![ours(&keys[0], 7, &home)];
    let renewed = bench.writer.renew(async |_| confirmed(trust)).await?;
    assert_eq!(renewed.elsewhere, [keys[0].clone()]);
    let home = bench.writer.settle(&renewed.elsewhere).await?;
    let trust = vec![ours(&keys[0], 8, &home)];
    assert_eq!(bench.writer.renew(async |_| confirmed(trust)).await?.renewed, 1);
    assert_eq!(bench.resp.text(&["GET", bench.trust.as_str()])?, "8");
    Ok(())
}

#[tokio::test]
async fn a_data_set_that_became_another_s_between_the_steps_is_given_no_trust() -> Result<()> {
    let mut bench = Bench::alone().await?;
    let (keys, home) = settled(&bench).await?;
    let resp = &mut bench.resp;
    let renewed = bench.writer.renew(async |_| {
        // A replica that is made a primary takes a new replication id; so does this.
        resp.text(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
        resp.text(&["REPLICAOF", "NO", "ONE"]).unwrap();
        confirmed(vec![ours(&keys[0], GENERATION.0, &home)])
    });
    assert_eq!(renewed.await?.elsewhere, [keys[0].clone()]);
    assert_ne!(bench.writer.identity().await?, home.identity);
    assert_eq!(bench.resp.ask(&["GET", bench.trust.as_str()])?, None);
    Ok(())
}
