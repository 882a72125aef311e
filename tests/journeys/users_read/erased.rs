//! Whoever is erased is shown to nobody, also where the view cannot fold it yet.

use anyhow::{Context as _, Result, ensure};
use domain::user::{ProfileChange, UserEvent};
use serde_json::json;
use sqlx::Executor as _;

use super::stage::{Logged, Person, Stage, admin, stranger};
use super::{ann, redis_get};

/// Nothing of Ann in the row, in lists, under her name, in answers, in the cache.
async fn must_be_gone(stage: &Stage, ann: &Person, version: i64) -> Result<()> {
    let (row, erased, found): (String, bool, i64) =
        sqlx::query_as("SELECT to_json(u)::text, erased, version FROM users u WHERE id = $1")
            .bind(ann.id.0)
            .fetch_one(stage.world.pool())
            .await?;
    ensure!(erased && !row.contains("nn") && !row.contains("Smith"), "{row}");
    ensure!(found == version, "{row}");
    for who in [stranger(), ann.token(), admin()] {
        let answer = stage.get(&who, &ann.path(), &[]).await?;
        ensure!((answer.status, answer.problem().as_str()) == (410, "erased"), "{answer}");
        ensure!(!answer.text.contains("nn@"), "{answer}");
    }
    let by_name = stage.get(&admin(), "/api/v1/users/by-username/ann", &[]).await?;
    ensure!(by_name.status == 404, "{by_name}");
    let listed = stage.get(&admin(), "/api/v1/users", &[]).await?;
    ensure!(listed.json()? == json!({"items": []}), "{listed}");
    let cached = redis_get(&stage.world, &format!("user:{}", ann.id))?;
    ensure!(!cached.contains("nn"), "of somebody erased is cached {cached}");
    Ok(())
}

/// Ann, whom everybody reads, with a change of hers that the view refuses.
async fn with_a_letter(stage: &Stage) -> Result<Person> {
    let (mut ann, logged) = ann(stage).await?;
    stage.get_after(logged, &stranger(), &ann.path()).await?;
    let refuse = "ALTER TABLE user_rows ADD CONSTRAINT no_two CHECK (version <> 2)";
    stage.world.pool().execute(refuse).await?;
    let change = ProfileChange { full_name: None, bio: Some(Some("I am Ann")), image: None };
    stage.say(&mut ann, UserEvent::ProfileUpdated { change }).await?;
    stage.world.letters_in("parked", 1).await?;
    stage.hit(&stranger(), &ann.path()).await?;
    let cached = redis_get(&stage.world, &format!("user:{}", ann.id))?;
    ensure!(cached.contains("ann@example.org"), "nothing is cached");
    Ok(ann)
}

async fn erase(stage: &Stage, ann: &mut Person) -> Result<Logged> {
    stage.destroy_key(ann).await?;
    let logged = stage.say(ann, UserEvent::Erased).await?;
    stage.world.letters_in("blocked", 1).await?;
    Ok(logged)
}

#[tokio::test]
async fn who_is_erased_is_shown_to_nobody_while_their_stream_waits_behind_a_letter() -> Result<()> {
    let stage = Stage::set("users_erased_waiting").await?;
    let mut ann = with_a_letter(&stage).await?;
    let logged = erase(&stage, &mut ann).await?;
    must_be_gone(&stage, &ann, 1).await?;
    // The view does not show the erasure yet, whoever asks for it.
    let answer = stage.get_after(logged, &admin(), &ann.path()).await?;
    ensure!(answer.problem() == "projection-parked", "{answer}");
    for who in [stranger(), admin()] {
        ensure!(stage.hit(&who, &ann.path()).await?.status == 410, "a hit shows who is erased");
    }

    let mend = "ALTER TABLE user_rows DROP CONSTRAINT no_two";
    stage.world.pool().execute(mend).await?;
    let letters = stage.world.letters().await?;
    let parked = letters.iter().find(|letter| letter.state == "parked").context("no head")?;
    let replay = ["replay", &parked.id.to_string(), "--yes", "--reason", "mended"];
    let replayed = stage.world.dlq_replayer()?.run(&replay).await?;
    ensure!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    stage.world.letters_in("applied", 2).await?;
    let answer = stage.get_after(logged, &admin(), &ann.path()).await?;
    ensure!((answer.status, answer.problem().as_str()) == (410, "erased"), "{answer}");
    must_be_gone(&stage, &ann, 3).await
}
