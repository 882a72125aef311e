//! Somebody who is erased: what they were known by is nowhere any more, also after everything was folded
//! anew from the log, and with a letter of theirs and an event that comes late.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use test_support::{
    AccessToken, Answer, Launch, LogRecord, Outgoing, PASSWORD, People, Running, World, eventually,
    id_of, with_json,
};
use uuid::Uuid;

use super::{path_of, store_is_open};

/// What each field of the person holds somewhere.
const MARKER: &str = "quillfeather";

/// The processes, whose logs are searched too.
struct Stage {
    world: World,
    command_api: Launch,
    query_api: Running,
    people: People,
}

impl Stage {
    async fn set() -> Result<(Self, Running, Running)> {
        let world = World::start("users_erasure").await?;
        // A mail that left cannot be called back.
        let command_api = world.command_api()?.setting("MILLRACE_MAIL", "off");
        let (writes, projector) = (command_api.start().await?, Self::projector(&world).await?);
        let query_api = world.query_api()?.start().await?;
        tokio::try_join!(writes.ready(), query_api.ready())?;
        let people = People::new(&[&writes], Some(&query_api))?;
        store_is_open(&people).await?;
        Ok((Self { world, command_api, query_api, people }, writes, projector))
    }

    async fn projector(world: &World) -> Result<Running> {
        let projector = world.projector_of("user")?.start().await?;
        projector.ready().await?;
        Ok(projector)
    }

    /// A request under a key, so that its answer is kept.
    async fn ask(
        &self,
        who: &AccessToken,
        method: &str,
        path: &str,
        body: serde_json::Value,
    ) -> Result<Answer> {
        let request = self.people.request_as(who, method, path, Some(body))?;
        let key = Uuid::now_v7().to_string();
        self.people.send(request.header("idempotency-key", key)).await
    }

    /// Searches every store and log for the marker. Nothing is found, and everything was looked at.
    async fn nothing_is_left_of(&self, id: &str) -> Result<()> {
        let owner = self.world.database_url("appuser")?;
        let tool = self.command_api.clone().setting("DATABASE_URL", owner);
        let logs = self.world.dir().display().to_string();
        let verify = ["erase-verify", id, "--contains", MARKER, "--logs", &logs];
        eventually("nothing is left", async || {
            let ended = tool.run(&verify).await?;
            let told = String::from_utf8_lossy(&ended.stdout).into_owned();
            ensure!(ended.status.code() == Some(0), "{told}");
            for place in
                ["requests", "letters", "user_rows", "identity.user", "events-dlq", "Redis"]
            {
                ensure!(told.contains(place), "{place} was not looked at: {told}");
            }
            Ok(())
        })
        .await
    }

    /// They are shown as erased, and to whoever looks for their name as nobody.
    async fn is_erased(&self, id: &str) -> Result<()> {
        let admin = AccessToken::admin();
        eventually("they are shown as erased", async || {
            let gone = self.people.read(&admin, &path_of(id)).await?;
            ensure!(gone.status == 410 && gone.problem() == "erased", "{gone}");
            let path = format!("/api/v1/users/by-username/{MARKER}");
            let nobody = self.people.read(&admin, &path).await?;
            ensure!(nobody.status == 404, "{nobody}");
            let listed = self.people.read(&admin, "/api/v1/users").await?;
            ensure!(listed.status == 200 && !listed.text.contains(MARKER), "{listed}");
            Ok(())
        })
        .await
    }

    async fn records_of(&self, id: &str) -> Result<Vec<LogRecord>> {
        let key = format!("user-{id}").into_bytes();
        let records = self.world.users_log()?.read().await?;
        Ok(records.into_iter().filter(|record| record.key.as_ref() == Some(&key)).collect())
    }

    async fn append(&self, record: &LogRecord) -> Result<()> {
        let headers = record.headers.iter().cloned();
        let again = Outgoing {
            partition: Some(record.partition),
            key: record.key.clone(),
            value: record.value.clone(),
            timestamp_ms: None,
            headers: headers.map(|(name, value)| (name, value.unwrap_or_default())).collect(),
        };
        self.world.users_log()?.append_raw(vec![again]).await
    }
}

/// The record under another identity, as somebody would write it who decides beside the store.
fn forked(record: &LogRecord) -> Result<LogRecord> {
    let id = record.headers.iter().find(|(name, _)| name == "ce_id").context("no id")?;
    let id = id.1.clone().context("an empty id")?;
    let other = Uuid::now_v7().to_string().into_bytes();
    let value = record.value.clone().context("no value")?;
    let at = value.windows(id.len()).position(|text| text == id).context("no id in the value")?;
    let value = [&value[..at], &other, &value[at + id.len()..]].concat();
    let headers = record.headers.iter().map(|(name, value)| match name.as_str() {
        "ce_id" => (name.clone(), Some(other.clone())),
        _ => (name.clone(), value.clone()),
    });
    Ok(LogRecord { value: Some(value), headers: headers.collect(), ..record.clone() })
}

#[tokio::test]
async fn of_whoever_is_erased_nothing_is_left_also_after_everything_is_folded_anew() -> Result<()> {
    let (stage, _command_api, mut projector) = Stage::set().await?;
    let registration = json!({
        "username": MARKER, "email": format!("{MARKER}@example.org"), "password": PASSWORD,
        "full_name": format!("Ann {MARKER}"), "bio": format!("I am {MARKER}"),
        "image": format!("https://example.org/{MARKER}.png"),
    });
    let register = stage.people.request(0, "POST", "/api/v1/auth/register")?;
    let register = with_json(register, &registration).header("idempotency-key", "register");
    let registered = stage.people.send(register).await?;
    ensure!(registered.status == 201, "{registered}");
    let id = id_of(&registered)?;
    let (own, path) = (AccessToken::user(&id), path_of(&id));
    let changed =
        stage.ask(&own, "PATCH", &path, json!({"bio": format!("{MARKER} again")})).await?;
    ensure!(changed.status == 200 && changed.text.contains(MARKER), "{changed}");
    // Something refused is kept, too.
    let taken = json!({"username": MARKER, "email": "else@example.org", "password": PASSWORD});
    let refused = stage.ask(&own, "POST", "/api/v1/auth/register", taken).await?;
    ensure!(refused.status == 409, "{refused}");
    // Into the cache, by every way to it.
    for path in
        [&path, &format!("/api/v1/users/by-username/{MARKER}"), "/api/v1/users?prefix=quill"]
    {
        let seen = stage.people.read_after(&AccessToken::admin(), &changed, path).await?;
        ensure!(seen.status == 200 && seen.text.contains(MARKER), "{path}: {seen}");
    }
    // A letter of theirs: another event in the place of the last.
    let last = stage.records_of(&id).await?.pop().context("nothing is logged")?;
    stage.append(&forked(&last)?).await?;
    let letters = stage.world.letters_in("parked", 1).await?;
    ensure!(letters[0].error_code == "stream-fork", "{letters:?}");

    let erased = stage.people.send(stage.people.request_as(&own, "DELETE", &path, None)?).await?;
    ensure!(erased.status == 204, "{erased}");
    // Also while the letter holds up what comes behind it, as the erasure does.
    stage.is_erased(&id).await?;
    stage.nothing_is_left_of(&id).await?;
    let repeated = stage.people.request(0, "POST", "/api/v1/auth/register")?;
    let repeated = with_json(repeated, &registration).header("idempotency-key", "register");
    let repeated = stage.people.send(repeated).await?;
    ensure!(repeated.status == 410 && repeated.problem() == "erased", "{repeated}");

    stage.discard_the_letter(&id).await?;
    projector.terminate().await?;
    for statement in [
        "DELETE FROM user_rows",
        "DELETE FROM stream_events",
        "TRUNCATE letters CASCADE",
        "UPDATE positions SET next_offset = 0, folded_to = 0, last_letter = -1, parked_keys = 0",
    ] {
        stage.world.execute(statement).await?;
    }
    let projector = Stage::projector(&stage.world).await?;
    stage.world.letters_in("parked", 1).await?;
    stage.is_erased(&id).await?;
    stage.nothing_is_left_of(&id).await?;
    stage.discard_the_letter(&id).await?;
    stage.is_erased(&id).await?;
    // What they changed once comes late, and again.
    stage.append(&last).await?;
    let level = stage.world.users_log()?.len().await?;
    eventually("the late event is folded", async || {
        let folded = "SELECT sum(next_offset)::bigint FROM positions WHERE projection = 'user'";
        let folded = stage.world.counted(folded).await?;
        ensure!(folded == level, "{folded} of {level} records");
        Ok(())
    })
    .await?;
    stage.is_erased(&id).await?;
    stage.nothing_is_left_of(&id).await?;
    drop((projector, stage.query_api));
    Ok(())
}

impl Stage {
    /// An operator decides that the fork is none of ours; what waits behind it is folded then.
    async fn discard_the_letter(&self, id: &str) -> Result<()> {
        let letters = self.world.letters_in("parked", 1).await?;
        let parked = letters.iter().find(|letter| letter.state == "parked");
        let letter = parked.context("there is no letter")?.id.to_string();
        let discard = ["discard", &letter, "--reason", "a fork made by hand", "--yes"];
        let discarded = self.world.dlq_replayer()?.run(&discard).await?;
        ensure!(discarded.status.success(), "{discarded:?}");
        self.is_folded(id, 4).await
    }

    /// The view has folded so many of their events.
    async fn is_folded(&self, id: &str, version: i64) -> Result<()> {
        let statement = format!("SELECT coalesce(max(version), 0) FROM users WHERE id = '{id}'");
        eventually("their events are folded", async || {
            let folded = self.world.counted(&statement).await?;
            ensure!(folded == version, "up to version {folded} of {version}");
            Ok(())
        })
        .await
    }
}
