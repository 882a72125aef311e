//! The buckets of callers in a real Redis.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rate_limit::{APP, Class, LimitKey, Limiter, Limits, Moment, Rated, SharedBuckets as _};
use read_cache::{Buckets, CacheConfig};
use settings::{Settings, table};
use test_support::{RedisServer, eventually};

const ANN: LimitKey = LimitKey(7);

/// Limiters are told the time, and here none goes by but in Redis.
const NOW: Moment = Moment(0);

fn config(server: &RedisServer) -> Result<CacheConfig> {
    let url = server.url();
    let pairs = [
        (table::REDIS_URL.name, &*url),
        (table::PREFIX.name, "acme"),
        (table::CACHE_READ_TIMEOUT.name, "1000"),
    ];
    let mut settings = Settings::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
    let config = CacheConfig::from_settings(&mut settings);
    Ok(settings.finish(config)?)
}

fn limiter() -> Limiter {
    Limiter::new(Limits { profile: &APP, factor: 1, instances: 2, callers: 64 }, true)
}

fn ask(limiter: &Limiter, requests: usize) -> usize {
    let decide = |_: &usize| limiter.decide(ANN, Rated::READ, NOW).is_admitted;
    (0..requests).filter(decide).count()
}

async fn settle(buckets: &Buckets, limiter: &Limiter) -> Result<()> {
    let charges = limiter.take(100, NOW);
    match buckets.charge(&charges).await {
        Ok(debts) => limiter.charged(&charges, &debts, NOW),
        Err(error) => {
            limiter.not_charged(&charges);
            return Err(error.into());
        }
    }
    Ok(())
}

#[tokio::test]
async fn processes_are_charged_together_and_told_what_is_left() -> Result<()> {
    let server = RedisServer::start(&[]).await?;
    let config = config(&server)?;
    let (one, other) = (Buckets::start(&config), Buckets::start(&config));
    let (mine, theirs) = (limiter(), limiter());
    assert_eq!((ask(&mine, 1), ask(&theirs, 1)), (1, 1));
    eventually("one process charges", async || settle(&one, &mine).await).await?;
    eventually("another process charges", async || settle(&other, &theirs).await).await?;
    for _ in 0..6 {
        assert_eq!(ask(&mine, 8), 8);
        settle(&one, &mine).await?;
    }
    assert_eq!(ask(&theirs, 1), 1);
    settle(&other, &theirs).await?;
    // 100, less 51, less this one; and what flowed in meanwhile, one in 600 ms.
    let told = theirs.decide(ANN, Rated::READ, NOW).told;
    assert_eq!(told.quota.name, "short");
    assert!((48..=70).contains(&told.left), "{told:?}");
    let mut resp = server.resp()?;
    let key = format!("acme:limit:general:{ANN}");
    let held = resp.text(&["GET", &key])?;
    let quotas = mine.quotas(Class::General).count();
    assert_eq!(held.split(' ').count(), quotas, "{held}");
    let lapses: u64 = resp.text(&["PTTL", &key])?.parse().context("PTTL")?;
    // Of 2,000 in an hour 52 are used.
    assert!((50_000..=52 * 1_800 + 2).contains(&lapses), "{lapses}");
    assert_eq!(resp.text(&["DBSIZE"])?, "1");
    Ok(())
}

#[tokio::test]
async fn who_has_used_up_a_quota_in_one_process_is_refused_by_another() -> Result<()> {
    let server = RedisServer::start(&[]).await?;
    let config = config(&server)?;
    let (one, other) = (Buckets::start(&config), Buckets::start(&config));
    let (mine, theirs) = (limiter(), limiter());
    ask(&mine, 1);
    eventually("one process charges", async || settle(&one, &mine).await).await?;
    while ask(&mine, 1) == 1 {
        settle(&one, &mine).await?;
    }
    assert_eq!(ask(&theirs, 1), 1, "what it has not heard of");
    eventually("another process charges", async || settle(&other, &theirs).await).await?;
    let refused = theirs.decide(ANN, Rated::READ, NOW);
    assert!(!refused.is_admitted && refused.told.left == 0, "{refused:?}");
    assert!(refused.told.after <= Duration::from_millis(2_000), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn without_redis_nothing_is_charged_and_afterwards_all_of_it_is() -> Result<()> {
    let server = RedisServer::start(&[]).await?;
    let config = config(&server)?;
    let (buckets, limiter) = (Buckets::start(&config), limiter());
    ask(&limiter, 1);
    eventually("it charges", async || settle(&buckets, &limiter).await).await?;
    server.kill9()?;
    assert_eq!(ask(&limiter, 3), 3);
    assert!(settle(&buckets, &limiter).await.is_err());
    assert!(limiter.is_alone());
    assert_eq!(ask(&limiter, 100), 46, "the share is 50");
    server.start_again().await?;
    eventually("it charges again", async || settle(&buckets, &limiter).await).await?;
    assert!(!limiter.is_alone());
    // What that Redis has forgotten is forgotten: 49 of 100 are used.
    let told = limiter.decide(ANN, Rated::READ, NOW).told;
    assert_eq!((told.quota.name, told.left), ("short", 50));
    Ok(())
}
