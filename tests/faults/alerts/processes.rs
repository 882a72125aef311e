//! Processes that are gone or frozen.

use anyhow::Result;
use test_support::{Spine, World};

use super::{Scraped, must_be_quiet, scraped};

#[tokio::test]
async fn a_projector_that_is_frozen_or_gone_is_told_of_until_one_folds_again() -> Result<()> {
    const ALERTS: [&str; 3] = ["ProcessDown", "ProcessMissing", "ProjectionMissing"];
    let world = World::start("alerts_projector").await?;
    let mut spine = Spine::start_whole(&world).await?;
    let prometheus = scraped(&spine).await?;
    world.level().await?;
    must_be_quiet(&prometheus, &ALERTS).await?;

    spine.projector.sigstop()?;
    for alert in ALERTS {
        prometheus.fires(alert).await?;
    }
    spine.projector.sigcont()?;
    must_be_quiet(&prometheus, &ALERTS).await?;

    // One that folds only one of the two is not enough.
    spine.projector.terminate().await?;
    let projector = world.projector()?.start().await?;
    let Spine { command_api, query_api, .. } = &spine;
    let all = Scraped { command_api, query_api, projector: &projector };
    prometheus.scrape(&all.targets()).await?;
    projector.ready().await?;
    must_be_quiet(&prometheus, &["ProcessDown", "ProcessMissing"]).await?;
    let missing = prometheus.fires("ProjectionMissing").await?;
    anyhow::ensure!(
        missing.iter().all(|sample| sample.labels["projection"] != "resource"),
        "these are missed: {missing:?}"
    );
    let others = world.projector_of("device_history,user,session")?;
    let others = others.setting("MILLRACE_INSTANCE", "second").start().await?;
    let second = [("projector", others.address())];
    prometheus.scrape(&[&all.targets()[..], &second].concat()).await?;
    prometheus.clears("ProjectionMissing").await
}
