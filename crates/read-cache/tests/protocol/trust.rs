//! Trust keys: who may let them live, and until when.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Result;
use read_cache::{CacheGeneration, Identity, RenewError, Renewed, Trust, TrustKey, times};

use crate::bench::{Bench, GENERATION};

fn ours(key: &TrustKey, generation: u64) -> Trust {
    Trust { key: key.clone(), generation: CacheGeneration(generation) }
}

fn confirmed(trust: Vec<Trust>) -> Result<Vec<Trust>, Infallible> {
    Ok(trust)
}

#[tokio::test]
async fn trust_lives_until_two_seconds_after_redis_told_its_time() -> Result<()> {
    let mut bench = Bench::start().await?;
    let identity = bench.writer.identity().await?;
    let keys = [bench.trust.clone(), bench.config.keys.trust("thing", 1)];
    let trusts = vec![ours(&keys[0], 7), ours(&keys[1], 9)];
    let renewed = bench.writer.renew(&identity, async |_| confirmed(trusts)).await?;
    assert_eq!(renewed, Renewed { renewed: 2, superseded: vec![] });
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
    let identity = bench.writer.identity().await?;
    let trust = vec![ours(&bench.trust, 7)];
    let held_up = times::TRUST + Duration::from_millis(100);
    let renewal = bench.writer.renew(&identity, async |_| {
        tokio::time::sleep(held_up).await;
        confirmed(trust)
    });
    renewal.await?;
    assert_eq!(bench.resp.ask(&["GET", bench.trust.as_str()])?, None);
    Ok(())
}

#[tokio::test]
async fn what_is_not_confirmed_is_not_renewed() -> Result<()> {
    let mut bench = Bench::start().await?;
    let identity = bench.writer.identity().await?;
    let refused = bench.writer.renew(&identity, async |_| Err("not the owner")).await;
    assert!(matches!(refused, Err(RenewError::NotConfirmed("not the owner"))));
    let none = bench.writer.renew(&identity, async |_| confirmed(vec![])).await?;
    assert_eq!(none.renewed, 0);
    assert_eq!(bench.resp.ask(&["GET", bench.trust.as_str()])?, None);
    Ok(())
}

#[tokio::test]
async fn a_generation_is_never_lowered() -> Result<()> {
    let mut bench = Bench::start().await?;
    let identity = bench.writer.identity().await?;
    bench.trusted(CacheGeneration(10));
    let other = bench.config.keys.trust("thing", 1);
    let zombie = vec![ours(&other, 1), ours(&bench.trust, 9)];
    let renewed = bench.writer.renew(&identity, async |_| confirmed(zombie)).await?;
    assert_eq!(renewed, Renewed { renewed: 1, superseded: vec![bench.trust.clone()] });
    assert_eq!(bench.resp.text(&["GET", bench.trust.as_str()])?, "10");
    let owner = vec![ours(&bench.trust, 11)];
    assert_eq!(bench.writer.renew(&identity, async |_| confirmed(owner)).await?.renewed, 1);
    assert_eq!(bench.resp.text(&["GET", bench.trust.as_str()])?, "11");
    Ok(())
}

#[tokio::test]
async fn another_redis_is_given_no_trust() -> Result<()> {
    let mut bench = Bench::start().await?;
    let identity = bench.writer.identity().await?;
    for other in [
        Identity { run_id: "0".repeat(40), ..identity.clone() },
        Identity { replication_id: "0".repeat(40), ..identity.clone() },
    ] {
        let trust = vec![ours(&bench.trust, 7)];
        let refused = bench.writer.renew(&other, async |_| confirmed(trust)).await;
        assert!(matches!(refused, Err(RenewError::AnotherRedis(now)) if now == identity));
    }
    assert_eq!(bench.resp.ask(&["GET", bench.trust.as_str()])?, None);
    Ok(())
}

#[tokio::test]
async fn a_data_set_that_became_another_s_between_the_two_steps_is_given_no_trust() -> Result<()> {
    let mut bench = Bench::alone().await?;
    let identity = bench.writer.identity().await?;
    let trust = vec![ours(&bench.trust, GENERATION.0)];
    let resp = &mut bench.resp;
    let refused = bench.writer.renew(&identity, async |_| {
        // A replica that is made a primary takes a new replication id; so does this.
        resp.text(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
        resp.text(&["REPLICAOF", "NO", "ONE"]).unwrap();
        confirmed(trust)
    });
    assert!(matches!(refused.await, Err(RenewError::AnotherRedis(now)) if now != identity));
    assert_eq!(bench.resp.ask(&["GET", bench.trust.as_str()])?, None);
    Ok(())
}
