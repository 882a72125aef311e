//! `resume`: the brake of a projection is released.

use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use crate::audit::{self, Action, Actor, Entry};
use crate::console::Console;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// A build of the projection and why it stopped itself.
#[derive(Debug, sqlx::FromRow)]
struct Build {
    generation: i32,
    brake: Option<String>,
}

/// Releases the brake of every build of the projection that is folded.
pub(crate) async fn run(
    connection: &mut PgConnection,
    console: &mut Console<'_>,
    projection: &str,
    actor: Actor<'_>,
    as_json: bool,
) -> Result<Exit, Trouble> {
    let Some(released) = release(connection, projection, actor).await? else {
        console.note(format!("there is no projection {projection}; `stats` lists them"));
        if as_json {
            console
                .document(&json!({"action": "resume", "projection": projection, "resumed": []}))?;
        }
        return Ok(Exit::NothingMatched);
    };
    if as_json {
        let resumed: Vec<_> = released
            .iter()
            .map(|build| json!({"generation": build.generation, "brake": build.brake}))
            .collect();
        console.document(&json!({
            "action": "resume", "projection": projection, "resumed": resumed,
        }))?;
    } else if released.is_empty() {
        console.line(format!("{projection} has not stopped itself"))?;
    }
    for build in released.iter().filter(|_| !as_json) {
        let brake = build.brake.as_deref().unwrap_or_default();
        console.line(format!(
            "{projection}, generation {}, goes on; it had stopped: {brake}",
            build.generation
        ))?;
    }
    Ok(if released.is_empty() { Exit::NothingMatched } else { Exit::Done })
}

/// The builds that were released; `None` where there is no such projection.
async fn release(
    connection: &mut PgConnection,
    projection: &str,
    actor: Actor<'_>,
) -> Result<Option<Vec<Build>>, Trouble> {
    let doing = "releasing the brake";
    let mut transaction = connection.begin().await.map_err(Trouble::database(doing))?;
    let builds: Vec<Build> = sqlx::query_as(
        "SELECT generation, brake FROM generations
         WHERE projection = $1 AND state <> 'retired' ORDER BY generation FOR UPDATE",
    )
    .bind(projection)
    .fetch_all(&mut *transaction)
    .await
    .map_err(Trouble::database(doing))?;
    if builds.is_empty() {
        return Ok(None);
    }
    let braked: Vec<Build> = builds.into_iter().filter(|build| build.brake.is_some()).collect();
    sqlx::query(
        "UPDATE generations SET brake = NULL, braked_at = NULL
         WHERE projection = $1 AND generation = ANY($2)",
    )
    .bind(projection)
    .bind(braked.iter().map(|build| build.generation).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await
    .map_err(Trouble::database(doing))?;
    let outcome = if braked.is_empty() { "not braked" } else { "resumed" };
    let entry = Entry { actor, action: Action::Resume, projection, letter: None, outcome };
    audit::write(&mut transaction, entry).await.map_err(Trouble::database("writing the audit"))?;
    transaction.commit().await.map_err(Trouble::database(doing))?;
    Ok(Some(braked))
}
