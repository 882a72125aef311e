//! Failures to log in, on a deployment of their own: what of them is forgotten.

mod conformance;

use anyhow::{Result, ensure};
use test_support::{World, eventually};

#[tokio::test]
async fn what_is_kept_of_logging_in_is_forgotten_when_it_says_nothing_any_more() -> Result<()> {
    let world = World::start("login_failures").await?;
    let kept = "INSERT INTO {identity}.login_failures (key, failures, last_failed_at, kept_until)
                SELECT decode(repeat(n.key, 32), 'hex'), 3, now() - interval '3 hours',
                       now() + n.kept * interval '1 hour'
                FROM (VALUES ('01', -1), ('02', 1), ('03', 700), ('04', -25)) AS n(key, kept)";
    world.execute(kept).await?;
    let _process = world.command_api()?.start().await?;
    eventually("the process forgets those that say nothing any more", async || {
        let left = "SELECT string_agg(get_byte(key, 0)::text, ' ' ORDER BY key)
                    FROM {identity}.login_failures";
        let left = world.text_of(left).await?;
        ensure!(left == "2 3", "{left} are left");
        Ok(())
    })
    .await
}
