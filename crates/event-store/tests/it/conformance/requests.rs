//! Requests that their client named.

use anyhow::{Context as _, Result, ensure};
use event_store::{Append, AppendError, EventStore as _};
use futures_util::future::join_all;

use super::{Home, of_every_store, open};
use crate::samples::{first, request, take};

of_every_store! {
    an_answer_is_kept_with_its_decision_and_not_without
    of_many_equal_requests_one_has_an_effect
    an_answer_without_a_decision_is_kept_too
}

async fn an_answer_is_kept_with_its_decision_and_not_without(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let request = request("one", Some("a"));
    ensure!(store.answered(&request.key).await?.is_none());
    let append = Append { request: Some(request.clone()), ..first("user-a") };
    store.append(append.clone()).await?;
    let answered = store.answered(&request.key).await?.context("there is none")?;
    ensure!(answered.answer.as_deref() == Some(b"an answer"), "{answered:?}");
    ensure!(answered.body_hash == Some(request.body_hash) && answered.route == request.route);
    ensure!(answered.event == Some(("user-a".to_owned(), 1)));
    let other = crate::samples::request("another", None);
    let refused = store.append(Append { request: Some(other.clone()), ..first("user-a") }).await;
    ensure!(matches!(refused, Err(AppendError::VersionMismatch)), "{refused:?}");
    ensure!(store.answered(&other.key).await?.is_none());
    Ok(())
}

async fn of_many_equal_requests_one_has_an_effect(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let append = |n: u32| Append {
        request: Some(request("one", None)),
        claims: vec![take("email", "ann@x.org", 1, None)],
        ..first(&format!("user-{n}"))
    };
    let racing = join_all((0..16).map(|n| store.append(append(n)))).await;
    ensure!(racing.iter().filter(|appended| appended.is_ok()).count() == 1, "{racing:?}");
    let answered = |appended: &&_| matches!(appended, Err(AppendError::Answered));
    ensure!(racing.iter().filter(answered).count() == 15, "{racing:?}");
    Ok(())
}

async fn an_answer_without_a_decision_is_kept_too(home: &impl Home) -> Result<()> {
    let store = open(home).await?;
    let request = request("one", None);
    store.answer(request.clone()).await?;
    let again = store.answer(request.clone()).await;
    ensure!(matches!(again, Err(AppendError::Answered)), "{again:?}");
    let append = Append { request: Some(request.clone()), ..first("user-a") };
    ensure!(matches!(store.append(append).await, Err(AppendError::Answered)));
    ensure!(store.answered(&request.key).await?.context("there is none")?.event.is_none());
    Ok(())
}
