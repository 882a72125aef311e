//! What processes tell each other of what they append.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use event_store::publications::Publications;
use event_store::{EventStore as _, Outbox as _};
use tokio::time::timeout;

use super::{Home as _, InPostgres, open};
use crate::samples::{first, key};

const PATIENCE: Duration = Duration::from_secs(30);

/// Within that time nothing is told that nobody tells.
const QUIET: Duration = Duration::from_millis(200);

#[tokio::test]
async fn whoever_publishes_what_it_appends_itself_tells_no_other_process_of_it() -> Result<()> {
    let home = InPostgres::new("who_tells_of_appends").await?;
    open(&home).await?;
    let (ours, theirs) = (home.store(), home.store_under(&key())?);
    let (tells, hears) = (ours.clone(), theirs.clone());
    let telling = tokio::spawn(async move { tells.tell_appended().await });
    let hearing = tokio::spawn(async move { hears.hear(&Publications::default()).await });
    let woken = theirs.wake();
    timeout(PATIENCE, woken.notified()).await.context("it does not listen")?;

    ours.append(first("user-a")).await?;
    timeout(PATIENCE, woken.notified()).await.context("the first is not told")?;
    let outbox = ours.own_outbox().await?.context("somebody owns it")?;
    ours.append(first("user-b")).await?;
    ensure!(timeout(QUIET, woken.notified()).await.is_err(), "the owner tells others");
    outbox.rest().await?;
    ours.append(first("user-c")).await?;
    timeout(PATIENCE, woken.notified()).await.context("who owns it no more tells nobody")?;
    telling.abort();
    hearing.abort();
    Ok(())
}
