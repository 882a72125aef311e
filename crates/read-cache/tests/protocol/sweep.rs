//! Looking at everything that a deployment keeps.

use std::collections::BTreeMap;

use anyhow::Result;
use read_cache::{CacheConfig, State, SweepError};
use settings::{Settings, table};
use test_support::RedisServer;

/// The deployment `acme` in this Redis.
fn config(url: &str) -> Result<CacheConfig> {
    let pairs = [(table::REDIS_URL.name, url), (table::PREFIX.name, "acme")];
    let mut settings = Settings::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
    let config = CacheConfig::from_settings(&mut settings);
    Ok(settings.finish(config)?)
}

#[tokio::test]
async fn every_key_of_the_deployment_is_shown_and_no_other_deployment_s() -> Result<()> {
    let server = RedisServer::start(&[]).await?;
    let mut resp = server.resp()?;
    // More than one page of them.
    for number in 0..2_000 {
        resp.text(&["SET", &format!("acme:resource:{number}"), &number.to_string()])?;
    }
    resp.text(&["HSET", "acme:foreign", "field", "value"])?;
    resp.text(&["SET", "acme-not", "another's"])?;
    resp.text(&["SET", "resource:1", "another's"])?;
    let config = config(&server.url())?;
    let sweep = config.sweep().await?;
    let mut shown = BTreeMap::new();
    let each = |key: &[u8], text: Option<&[u8]>| {
        shown.insert(key.to_vec(), text.map(<[u8]>::to_vec));
    };
    sweep.entries(each).await?;
    assert_eq!(shown.len(), 2_001);
    assert_eq!(shown[&b"acme:resource:7"[..]].as_deref(), Some(&b"7"[..]));
    assert_eq!(shown[&b"acme:foreign"[..]], None);
    let state = sweep.state(&config.keys.of("resource", "7")).await?;
    assert_eq!(state, State::Foreign);
    assert_eq!(sweep.state(&config.keys.of("resource", "none")).await?, State::Absent);
    sweep.close().await;
    assert_eq!(resp.text(&["DBSIZE"])?, "2003");
    Ok(())
}

#[tokio::test]
async fn a_redis_that_is_away_is_not_waited_for() -> Result<()> {
    let refused = config("redis://127.0.0.1:1")?.sweep().await.err();
    assert!(matches!(refused, Some(SweepError::Redis(_))), "{refused:?}");
    Ok(())
}
