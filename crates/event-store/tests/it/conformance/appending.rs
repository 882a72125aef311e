//! Appending at the version that a decision was made on.

use anyhow::{Context as _, Result, ensure};
use event_store::{AppendError, EventStore as _, Outbox as _, State};
use futures_util::future::join_all;
use uuid::Uuid;

use super::{Home, of_every_store, open};
use crate::samples::{decision, first, next};

of_every_store! {
    what_was_appended_is_read_back
    only_the_version_that_was_read_takes_a_decision
    of_many_decisions_on_one_version_one_is_appended
    a_state_is_replaced_only_by_one_of_a_later_revision_and_the_same_version
    unpublished_events_come_in_the_order_of_their_stream
}

async fn what_was_appended_is_read_back(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    ensure!(
        store.load("user-a", None).await?.stream.is_none()
            && store.history("user-a").await?.is_empty()
    );
    let append = decision("user-a", 0, None, 2);
    store.append(append.clone()).await?;
    let stream = store.load("user-a", None).await?.stream.context("there is none")?;
    ensure!(stream.version == 2 && stream.state == append.state, "{stream:?}");
    ensure!(stream.last_event_id == append.events[1].event_id);
    ensure!(store.history("user-a").await? == append.events);
    ensure!(store.event(append.events[0].event_id).await?.as_ref() == Some(&append.events[0]));
    ensure!(store.event(Uuid::now_v7()).await?.is_none());
    let asked = [("user-a".to_owned(), 1), ("user-b".to_owned(), 1)];
    ensure!(store.places(&asked).await? == [None, None]);
    Ok(())
}

async fn only_the_version_that_was_read_takes_a_decision(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let one = first("user-a");
    store.append(one.clone()).await?;
    for wrong in
        [first("user-a"), next(&next(&one)), decision("user-b", 1, Some(Uuid::now_v7()), 1)]
    {
        let refused = store.append(wrong).await;
        ensure!(matches!(refused, Err(AppendError::VersionMismatch)), "{refused:?}");
    }
    store.append(next(&one)).await?;
    ensure!(store.history("user-a").await?.len() == 2);
    Ok(())
}

async fn of_many_decisions_on_one_version_one_is_appended(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let one = first("user-a");
    store.append(one.clone()).await?;
    let racing = join_all((0..16).map(|_| store.append(next(&one)))).await;
    ensure!(racing.iter().filter(|appended| appended.is_ok()).count() == 1, "{racing:?}");
    let mismatched = |appended: &&_| matches!(appended, Err(AppendError::VersionMismatch));
    ensure!(racing.iter().filter(mismatched).count() == 15, "{racing:?}");
    let creating = join_all((0..16).map(|_| store.append(first("user-b")))).await;
    ensure!(creating.iter().filter(|appended| appended.is_ok()).count() == 1, "{creating:?}");
    ensure!(store.history("user-b").await?.len() == 1);
    Ok(())
}

async fn a_state_is_replaced_only_by_one_of_a_later_revision_and_the_same_version(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let one = first("user-a");
    store.append(one.clone()).await?;
    let of = |revision, json: &str| State { json: json.to_owned(), revision };
    ensure!(one.state.revision == 1, "{one:?}");
    for (stream_id, version, state) in [
        ("user-a", 1, of(0, "of an older revision")),
        ("user-a", 1, of(1, "of the same one")),
        ("user-a", 2, of(2, "of a version to come")),
        ("user-b", 1, of(2, "of nobody")),
    ] {
        ensure!(!store.replace_state(stream_id, version, &state).await?, "{state:?} is kept");
    }
    let before = store.load("user-a", None).await?.stream.context("there is none")?;
    ensure!(before.state == one.state, "{before:?}");
    let anew = of(2, "folded anew");
    ensure!(store.replace_state("user-a", 1, &anew).await?);
    let after = store.load("user-a", None).await?.stream.context("there is none")?;
    ensure!(after.state == anew, "{after:?}");
    ensure!((after.version, after.last_event_id) == (before.version, before.last_event_id));
    ensure!(store.history("user-a").await? == one.events);
    // It is no decision: the next one is made on the same version.
    store.append(next(&one)).await?;
    ensure!(!store.replace_state("user-a", 1, &of(3, "of a version that is over")).await?);
    let last = store.load("user-a", None).await?.stream.context("there is none")?;
    ensure!((last.version, last.state) == (2, next(&one).state));
    Ok(())
}

async fn unpublished_events_come_in_the_order_of_their_stream(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let (a, b) = (decision("user-a", 0, None, 2), first("user-b"));
    for append in [&a, &b, &next(&a)] {
        store.append(append.clone()).await?;
    }
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    ensure!(store.own_outbox().await?.is_none(), "two own the outbox");
    let events = outbox.unpublished(10, &[]).await?;
    let names: Vec<_> = events.iter().map(|e| (e.stream_id.as_str(), e.version)).collect();
    ensure!(names == [("user-a", 1), ("user-a", 2), ("user-b", 1), ("user-a", 3)], "{names:?}");
    let place = event_store::LogPlace { partition: 3, offset: 17 };
    outbox.mark(&[(events[0].clone(), place)]).await?;
    ensure!(outbox.unpublished(10, &[]).await?.len() == 3);
    ensure!(store.places(&[("user-a".to_owned(), 1)]).await? == [Some(place)]);
    ensure!(outbox.published_to().await?[&("identity.user".to_owned(), 3)] == 18);
    Ok(())
}
