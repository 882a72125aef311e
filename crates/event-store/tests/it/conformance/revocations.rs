//! Access tokens that are taken no more.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use event_store::beside::{Beside, Revoked};
use event_store::{Append, AppendError, EventStore as _, Outbox as _};
use sqlx::postgres::PgListener;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Home, InPostgres, of_every_store, open};
use crate::samples::{first, next};

of_every_store! {
    what_is_revoked_is_written_with_its_decision_and_not_without
    what_the_log_says_was_revoked_is_written_too
    erasing_a_person_leaves_what_was_revoked
    a_revocation_is_forgotten_once_no_access_token_can_be_left
}

const HOUR: Duration = Duration::from_secs(3_600);

const PATIENCE: Duration = Duration::from_secs(20);

fn revoking(append: Append, revoked: &[Revoked], holds_for: Duration) -> Append {
    let revocation = |what: &Revoked| Beside::Revocation { what: *what, holds_for };
    let beside = append.beside.iter().cloned().chain(revoked.iter().map(revocation)).collect();
    Append { beside, ..append }
}

fn a_session() -> Revoked {
    Revoked::Session(Uuid::now_v7())
}

fn a_user() -> Revoked {
    Revoked::User { id: Uuid::now_v7(), below_version: 7 }
}

async fn must_be(home: &impl Home, revoked: &[Revoked]) -> Result<()> {
    let are = home.revocations().await?;
    ensure!(are == revoked, "{are:?} are not {revoked:?}");
    Ok(())
}

async fn what_is_revoked_is_written_with_its_decision_and_not_without(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let revoked = [a_session(), a_user(), a_session()];
    store.append(first("user-a")).await?;
    must_be(home, &[]).await?;
    store.append(revoking(first("user-b"), &revoked, HOUR)).await?;
    must_be(home, &revoked).await?;
    let refused = store.append(revoking(first("user-a"), &[a_user()], HOUR)).await;
    ensure!(matches!(refused, Err(AppendError::VersionMismatch)), "{refused:?}");
    must_be(home, &revoked).await
}

async fn what_the_log_says_was_revoked_is_written_too(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    let revoked = [a_session()];
    outbox.absorb(revoking(first("session-a"), &revoked, HOUR)).await?;
    must_be(home, &revoked).await
}

async fn erasing_a_person_leaves_what_was_revoked(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let id = Uuid::now_v7();
    let (subject, stream_id) = (id.to_string(), format!("user-{id}"));
    let revoked = [2, 3].map(|below_version| Revoked::User { id, below_version });
    let key = Beside::SubjectKey { subject: subject.clone(), key: [7; 32] };
    let one = Append { beside: vec![key], ..first(&stream_id) };
    let one = revoking(one, &revoked[..1], HOUR);
    store.append(one.clone()).await?;
    let erasure = Beside::Erasure { subject, stream_id };
    let two = Append { beside: vec![erasure], ..next(&one) };
    store.append(revoking(two, &revoked[1..], HOUR)).await?;
    must_be(home, &revoked).await
}

async fn a_revocation_is_forgotten_once_no_access_token_can_be_left(
    home: &impl Home,
) -> Result<()> {
    let store = open(home).await?;
    let (over, holds) = ([a_session(), a_user()], [a_user(), a_session()]);
    store.append(revoking(first("user-a"), &over, Duration::ZERO)).await?;
    store.append(revoking(first("user-b"), &holds, HOUR)).await?;
    ensure!(store.forget(HOUR).await? == 2);
    must_be(home, &holds).await?;
    ensure!(store.forget(HOUR).await? == 0);
    Ok(())
}

#[tokio::test]
async fn whoever_listens_is_told_of_what_is_revoked_and_then_finds_it() -> Result<()> {
    let home = InPostgres::new("told_of_revocations").await?;
    let store = open(&home).await?;
    let channel = settings::changed_channel(&home.identity_schema());
    let mut listener = PgListener::connect_with(&home.pool).await?;
    listener.listen(&channel).await?;
    let decided = [a_session(), a_user()];
    store.append(first("user-a")).await?;
    store.append(revoking(first("user-b"), &decided, HOUR)).await?;
    let notice = timeout(PATIENCE, listener.recv()).await.context("nothing is told")??;
    ensure!(notice.channel() == channel && notice.payload().is_empty(), "{notice:?}");
    must_be(&home, &decided).await?;

    let mut outbox = store.own_outbox().await?.context("somebody owns it")?;
    outbox.absorb(revoking(first("user-c"), &[a_session()], HOUR)).await?;
    let notice = timeout(PATIENCE, listener.recv()).await.context("nothing is told")??;
    ensure!(notice.payload().is_empty(), "{notice:?}");

    // Nothing was told beside that.
    sqlx::query("SELECT pg_notify($1, 'the end')").bind(&channel).execute(&home.pool).await?;
    let notice = timeout(PATIENCE, listener.recv()).await.context("nothing is told")??;
    ensure!(notice.payload() == "the end", "{notice:?}");
    Ok(())
}
