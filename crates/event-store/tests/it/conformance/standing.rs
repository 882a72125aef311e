//! Whether the store takes decisions, and what the log tells it.

use anyhow::{Context as _, Result, ensure};
use event_store::{
    Append, AppendError, Closed, Ends, Event, EventStore as _, LogPlace, Outbox as _,
};

use super::{Home, of_every_store, open};
use crate::samples::{TOPIC, decision, event, first, next};

of_every_store! {
    nothing_is_decided_before_the_log_was_compared
    nothing_is_decided_while_the_log_is_ahead
    what_the_log_holds_is_known_by_version_and_identity
    what_the_store_lacks_is_taken_from_the_log
    what_was_found_or_taken_back_hides_nothing_before_it
    a_record_that_is_passed_over_is_not_lacking
}

async fn nothing_is_decided_before_the_log_was_compared(home: &impl Home) -> Result<()> {
    let store = home.store();
    let refused = store.append(first("user-a")).await;
    ensure!(matches!(refused, Err(AppendError::Closed(Closed::NotCompared))), "{refused:?}");
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    ensure!(outbox.uncompared().await?.is_some());
    outbox.compared(0, &Ends::new()).await?;
    ensure!(outbox.uncompared().await?.is_none());
    store.append(first("user-a")).await?;
    Ok(())
}

async fn nothing_is_decided_while_the_log_is_ahead(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let one = first("user-a");
    store.append(one.clone()).await?;
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    outbox.compared(3, &Ends::new()).await?;
    for append in [first("user-b"), next(&one)] {
        let refused = store.append(append).await;
        ensure!(matches!(refused, Err(AppendError::Closed(Closed::LogAhead(3)))), "{refused:?}");
    }
    outbox.compared(0, &Ends::new()).await?;
    store.append(next(&one)).await?;
    Ok(())
}

fn at(event: &Event, offset: i64) -> Event {
    Event { place: Some(LogPlace { partition: 0, offset }), ..event.clone() }
}

async fn what_the_log_holds_is_known_by_version_and_identity(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let append = decision("user-a", 0, None, 2);
    store.append(append.clone()).await?;
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    let log = [
        at(&append.events[0], 4),
        at(&event("user-a", 2, Some(append.events[0].event_id)), 5),
        at(&event("user-a", 3, None), 6),
        at(&event("user-b", 1, None), 7),
    ];
    // What has another identity here is somebody else's, and nothing that the store has lost.
    ensure!(outbox.lacking(&log).await? == [2, 3]);
    let places = store.places(&[("user-a".to_owned(), 1), ("user-a".to_owned(), 2)]).await?;
    ensure!(places == [Some(LogPlace { partition: 0, offset: 4 }), None], "{places:?}");
    Ok(())
}

async fn what_the_store_lacks_is_taken_from_the_log(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let one = first("user-a");
    store.append(one.clone()).await?;
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    outbox.compared(1, &Ends::new()).await?;
    let mut lost = next(&one);
    lost.events[0].place = Some(LogPlace { partition: 2, offset: 9 });
    outbox.absorb(lost.clone()).await?;
    ensure!(store.history("user-a").await?[1] == lost.events[0]);
    let again = outbox.absorb(lost.clone()).await;
    ensure!(matches!(again, Err(AppendError::VersionMismatch)), "{again:?}");
    outbox.compared(0, &Ends::new()).await?;
    store.append(next(&lost)).await?;
    Ok(())
}

async fn what_was_found_or_taken_back_hides_nothing_before_it(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let (one, other) = (first("user-a"), first("user-b"));
    store.append(one.clone()).await?;
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    let log = [at(&other.events[0], 3), at(&one.events[0], 4)];
    for _ in 0..2 {
        ensure!(outbox.lacking(&log).await? == [0]);
        outbox.compared(1, &ends(5)).await?;
        ensure!(outbox.published_to().await?.is_empty(), "what is lacking is behind the end");
    }
    let lost = Append { events: vec![log[0].clone()], ..other };
    outbox.absorb(lost).await?;
    ensure!(outbox.published_to().await?.is_empty(), "others may be lacking");
    ensure!(outbox.lacking(&log).await?.is_empty());
    outbox.compared(0, &ends(5)).await?;
    ensure!(outbox.published_to().await? == ends(5));
    Ok(())
}

async fn a_record_that_is_passed_over_is_not_lacking(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    let log = [at(&event("user-a", 9, None), 3), at(&event("user-a", 9, None), 4)];
    outbox.pass_over(&log[0].topic, LogPlace { partition: 0, offset: 3 }).await?;
    outbox.pass_over(&log[0].topic, LogPlace { partition: 0, offset: 3 }).await?;
    ensure!(outbox.lacking(&log).await? == [1]);
    Ok(())
}

fn ends(next: i64) -> Ends {
    Ends::from([((TOPIC.to_owned(), 0), next)])
}
