//! Many at once over two processes: one wins, and the others are told.

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use test_support::{AccessToken, Answer, World, id_of};

use super::{Stage, new_streams, path_of};

/// Where a user leaves something behind.
const LEFT: [(&str, &str); 5] = [
    ("streams", "SELECT count(*) FROM {store}.streams"),
    ("names", "SELECT count(*) FROM {store}.claims WHERE kind = 'username'"),
    ("addresses", "SELECT count(*) FROM {store}.claims WHERE kind = 'email'"),
    ("keys", "SELECT count(*) FROM {identity}.subject_keys"),
    ("passwords", "SELECT count(*) FROM {identity}.credentials"),
];

async fn left(world: &World) -> Result<Vec<i64>> {
    let mut counts = Vec::new();
    for (_, counted) in LEFT {
        counts.push(world.counted(counted).await?);
    }
    Ok(counts)
}

fn of_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test]
async fn of_many_registrations_of_one_address_one_wins() -> Result<()> {
    let stage = Stage::set("races").await?;
    let (people, before) = (&stage.people, left(&stage.world).await?);
    let racing = (0..64).map(|n| async move {
        let name = format!("racer-{n}");
        people.send(people.registration(n, &name, "Racer@Example.org")?).await
    });
    let answers = try_join_all(racing).await?;
    ensure!(of_status(&answers, 201) == 1, "{} registered", of_status(&answers, 201));
    ensure!(of_status(&answers, 409) == 63, "{} were told", of_status(&answers, 409));
    let told = answers.iter().filter(|answer| answer.status == 409);
    for answer in told {
        let is_told = answer.problem() == "already-taken" && answer.text.contains("\"/email\"");
        ensure!(is_told, "{answer}");
    }
    // Nobody else left a stream, a name or an address behind.
    let after = left(&stage.world).await?;
    for ((what, _), (before, after)) in LEFT.iter().zip(before.iter().zip(&after)) {
        ensure!(*after == before + 1, "there were {before} {what} and are {after}");
    }
    Ok(())
}

#[tokio::test]
async fn the_same_request_many_times_at_once_has_one_effect_and_one_answer() -> Result<()> {
    let stage = Stage::set("same_request").await?;
    let (people, before) = (&stage.people, stage.world.stored_streams().await?);
    let same = (0..50).map(|n| async move {
        let request = people.registration(n, "ann", "ann@example.org")?;
        people.send(request.header("idempotency-key", "\"one\"")).await
    });
    let answers = try_join_all(same).await?;
    let first = &answers[0];
    ensure!(first.status == 201, "{first}");
    for answer in &answers {
        let is_same = answer.status == first.status
            && answer.text == first.text
            && ["location", "etag", "consistency-token"]
                .iter()
                .all(|name| answer.header(name) == first.header(name));
        ensure!(is_same, "{answer} is not {first}");
    }
    let new = new_streams(&stage.world, &before).await?;
    ensure!(new == 1, "{new} streams are logged");
    let other = people.registration(1, "ann", "other@example.org")?;
    let other = people.send(other.header("idempotency-key", "\"one\"")).await?;
    ensure!(other.status == 422 && other.problem() == "idempotency-key-reused", "{other}");
    Ok(())
}

#[tokio::test]
async fn of_two_updates_of_one_version_one_wins_and_the_other_is_told() -> Result<()> {
    let stage = Stage::set("racing_updates").await?;
    let people = &stage.people;
    let registered = people.register("ann").await?;
    let id = id_of(&registered)?;
    let own = AccessToken::user(&id);
    let mut etag = registered.header("etag").context("no ETag")?.to_owned();
    for round in 0..20 {
        let update = async |instance: usize| {
            let body = serde_json::json!({ "bio": format!("{round} by {instance}") });
            let request = people.request(instance, "PATCH", &path_of(&id))?;
            let request = request.bearer_auth(own.sign()?).header("if-match", &etag);
            people.send(test_support::with_json(request, &body)).await
        };
        let (one, other) = tokio::try_join!(update(0), update(1))?;
        let answers = [one, other];
        let told = answers.iter().find(|a| a.status == 412).context("both won")?;
        let won = answers.iter().find(|a| a.status == 200).context("nobody won")?;
        ensure!(told.header("etag") == won.header("etag"), "told {:?}", told.headers);
        etag = won.header("etag").context("no ETag")?.to_owned();
    }
    Ok(())
}
