//! The operators' tools that erase a user and look for what is left, on deployments of their own.

mod planted;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use test_support::{Launch, People, Resp, World, eventually, id_of};

use planted::{clear_value, plant_texts};

/// What the person was called, in their name and their address.
const NAME: &str = "marked-ann";

/// A world in which somebody has registered and was erased.
struct Erased {
    world: World,
    user: String,
}

/// How the tool ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Erased {
    async fn start(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let mut command_api = world.command_api()?.start().await?;
        command_api.ready().await?;
        let user = id_of(&People::new(&[&command_api], None)?.register(NAME).await?)?;
        eventually("a mail is sent", async || {
            ensure!(files(&world.outbox()) == 1, "there is none");
            Ok(())
        })
        .await?;
        let erased = Self { world, user };
        let ended = erased.run(erased.world.command_api()?, &["erase", &erased.user]).await?;
        ensure!(ended.code == Some(0) && ended.out.contains("is erased"), "{}", ended.err);
        eventually("everything is published", async || {
            let unpublished = "SELECT count(*) FROM {store}.events WHERE published_offset IS NULL";
            ensure!(erased.world.counted(unpublished).await? == 0, "something is not");
            Ok(())
        })
        .await?;
        command_api.terminate().await?;
        // As a projector makes it of these events.
        erased
            .execute(
                "INSERT INTO user_rows
             VALUES (1, '{user}', NULL, NULL, NULL, NULL, NULL, '{}', false, false, true, 3, now(),
                     now(), 1, 2)",
            )
            .await?;
        Ok(erased)
    }

    /// Executes a statement in which `{user}` is the person's id.
    async fn execute(&self, statement: &str) -> Result<()> {
        self.world.execute(&statement.replace("{user}", &self.user)).await
    }

    /// The tool with the rights of the database's owner.
    fn operator(&self) -> Result<Launch> {
        let url = self.world.database_url("appuser")?;
        Ok(self.world.command_api()?.setting("DATABASE_URL", url))
    }

    async fn run(&self, tool: Launch, arguments: &[&str]) -> Result<Ended> {
        let output = tool.run(arguments).await?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).context("what it prints is no text");
        Ok(Ended {
            code: output.status.code(),
            out: text(output.stdout)?,
            err: text(output.stderr)?,
        })
    }

    /// Verifies as the operator, with these arguments besides.
    async fn verify(&self, arguments: &[&str]) -> Result<Ended> {
        let arguments = [&["erase-verify", &self.user][..], arguments].concat();
        self.run(self.operator()?, &arguments).await
    }

    /// What the document says was found in each place, where something was.
    async fn found(&self, arguments: &[&str]) -> Result<Vec<(String, u64)>> {
        let ended = self.verify(&[&["--json"][..], arguments].concat()).await?;
        ensure!(ended.code == Some(1), "{:?}: {}{}", ended.code, ended.out, ended.err);
        let report: Value = serde_json::from_str(&ended.out).context("no JSON")?;
        ensure!(report["verdict"] == "found" && report["not_looked_at"] == 0, "{report:#}");
        let places = report["places"].as_array().context("no places")?;
        let found = places.iter().map(|place| {
            let found = place["found"].as_array().into_iter().flatten();
            let count = found.filter_map(|found| found["count"].as_u64()).sum();
            (place["place"].as_str().unwrap_or_default().to_owned(), count)
        });
        let prefix = self.world.prefix().to_string();
        let found = found.filter(|(_, count)| *count > 0);
        // Names that everybody who reads this test can know.
        Ok(found
            .map(|(place, count)| (place.replace(&prefix, "t").replace(&self.user, "USER"), count))
            .collect())
    }

    fn redis(&self) -> Result<Resp> {
        let url = self.world.stack().redis_url()?;
        let address = url.strip_prefix("redis://").context("no plain address of Redis")?;
        Resp::connect(address.parse().context("no address of Redis")?)
    }

    fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.world.prefix())
    }
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

fn places(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(place, count)| ((*place).to_owned(), *count)).collect()
}

#[tokio::test]
async fn of_an_erased_user_nothing_is_left_but_the_mails_that_were_written() -> Result<()> {
    let erased = Erased::start("erase-verify").await?;
    let (logs, outbox) = (erased.world.dir().display().to_string(), erased.world.outbox());
    let sweep = ["--contains", NAME, "--contains", "Marked-Ann@Example.org", "--logs", &logs];
    let ended = erased.verify(&sweep).await?;
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
    let both = "FOUND 2 (1 with marker 1, 1 with marker 2)";
    for place in ["the outbox of mails: 1 file: ", "the files of --logs 1: 2 files: "] {
        let line = format!("looked at {place}{both}");
        assert!(ended.out.lines().any(|found| found == line), "{line} is not in\n{}", ended.out);
    }
    assert!(ended.out.contains(" in 2 of "), "{}", ended.out);

    std::fs::remove_dir_all(&outbox)?;
    std::fs::create_dir(&outbox)?;
    let ended = erased.verify(&sweep).await?;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    for told in [
        "_identity.subject_keys of the user: 1 row: nothing",
        "_identity.credentials of the user: 0 rows: nothing",
        "_identity.second_factors of the user: 0 rows: nothing",
        "_identity.pending_registrations of the user: 0 rows: nothing",
        "_event_store.streams of the user: 1 row: nothing",
        "_event_store.events of the user: 3 events: nothing",
        "_event_store.events: 3 rows: nothing",
        "_read_models.user_rows of the user: 1 row: nothing",
        "_read_models.user_rows_1: 1 row: nothing",
        ".identity.user: 3 records: nothing",
        "what Redis holds of the user: 0 keys: nothing",
        "the files of --logs 1: 1 file: nothing",
    ] {
        let found =
            ended.out.lines().any(|line| line.starts_with("looked at ") && line.ends_with(told));
        assert!(found, "{told} is not in\n{}", ended.out);
    }
    let verdict = format!("clean: nothing is left of user {} in ", erased.user);
    assert!(ended.out.lines().last().unwrap_or_default().starts_with(&verdict), "{}", ended.out);

    // Erasing again changes nothing.
    let again = erased.run(erased.world.command_api()?, &["erase", &erased.user]).await?;
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert_eq!(erased.verify(&[]).await?.code, Some(0));
    Ok(())
}

#[tokio::test]
async fn texts_are_found_wherever_they_were_planted_and_never_told() -> Result<()> {
    let erased = Erased::start("erase-verify-texts").await?;
    plant_texts(&erased).await?;
    let logs = erased.world.dir().join("planted-logs").display().to_string();
    let sweep = ["--contains", "planted \"märker\"", "--logs", &logs];
    let found = erased.found(&sweep).await?;
    let expected = [
        ("the keys of Redis", 2),
        ("t_event_store.events", 1),
        ("t_event_store.requests", 1),
        ("t_read_models.letters", 2),
        ("t_read_models.seen", 1),
        ("samples of columns that ANALYZE took (pg_stats)", 1),
        ("topic t.events-input", 1),
        ("topic t.events-dlq", 1),
        ("topic t.identity.user", 1),
        ("the files of --logs 1", 2),
    ];
    assert_eq!(found, places(&expected));
    let ended = erased.verify(&sweep).await?;
    let told = format!("{}{}", ended.out, ended.err).to_lowercase();
    assert!(told.contains("with marker 1") && !told.contains("märker"), "{told}");
    Ok(())
}

#[tokio::test]
async fn what_must_not_be_there_is_found_without_knowing_what_it_says() -> Result<()> {
    let erased = Erased::start("erase-verify-kinds").await?;
    let clear = clear_value(&erased).await?;
    let hex: String = clear.iter().map(|byte| format!("{byte:02x}")).collect();
    for statement in [
        "UPDATE {identity}.subject_keys SET key = decode(repeat('07', 32), 'hex'), destroyed_at = NULL",
        "INSERT INTO {identity}.credentials VALUES ('{user}', 'a hash')",
        "INSERT INTO {identity}.second_factors VALUES ('{user}', '\\x07', 0, '{}')",
        "INSERT INTO {identity}.pending_registrations
         VALUES ('{user}', decode(repeat('07', 32), 'hex'), '\\x07', now(), now())",
        "INSERT INTO {store}.claims VALUES ('email', '\\x07', 'user-{user}', now())",
        "INSERT INTO {store}.requests (principal, key, route, body_hash, subject, answer)
         VALUES ('p', 'hash', 'r', '\\x07', '{user}', NULL), ('p', 'answer', 'r', NULL, '{user}', '\\x07'),
                ('p', 'neither', 'r', NULL, '{user}', NULL)",
        "INSERT INTO {store}.mails (id, kind, stream_id, stream_version)
         VALUES (gen_random_uuid(), 'verify-email', 'user-{user}', 1),
                ('{user}', 'confirm-registration', 'registration-07', 0)",
        "UPDATE {store}.streams SET state = (state::jsonb || jsonb_build_object('erased', false,
             'bio', jsonb_build_object('event_id', gen_random_uuid(), 'bytes', 'AQ==')))::text",
        "UPDATE {store}.events SET published_offset = NULL, published_partition = NULL
         WHERE stream_version = 3",
        &format!("UPDATE {{store}}.events SET value = '\\x{hex}' WHERE stream_version = 2"),
        "UPDATE user_rows SET erased = false, bio = 'hello'",
        &format!(
            "INSERT INTO letters (id, projection, generation, topic, epoch, partition, log_offset, log_time,
                 stream_id, value, state, error_class, error_code, error_message)
             VALUES (gen_random_uuid(), 'user', 1, 'identity.user', 1, 0, 0, now(), 'user-{{user}}',
                 '\\x{hex}', 'parked', 'poison', 'made-up', 'made up')"
        ),
    ] {
        erased.execute(statement).await?;
    }
    let body = r#"7 3 {"generation":1,"row":{"public":{"username":"x"},"private":{}}}"#;
    let key = erased.key(&format!("user:{}", erased.user));
    erased.redis()?.text(&["SET", &key, body, "EX", "600"])?;
    planted::log_value(&erased, clear).await?;
    let expected = [
        ("t_identity.subject_keys of the user", 1),
        ("t_identity.credentials of the user", 1),
        ("t_identity.second_factors of the user", 1),
        ("t_identity.pending_registrations of the user", 1),
        ("t_event_store.claims of the user", 1),
        ("t_event_store.requests of the user", 2),
        ("t_event_store.mails of the user", 2),
        ("t_read_models.user_rows of the user", 1),
        ("t_event_store.streams of the user", 2),
        ("the last of t_event_store.events of the user", 1),
        ("t_event_store.events of the user", 1),
        ("t_read_models.letters of the user", 1),
        ("stream user-USER in topic t.identity.user", 1),
        ("what Redis holds of the user", 1),
    ];
    assert_eq!(erased.found(&[]).await?, places(&expected));
    Ok(())
}

#[tokio::test]
async fn what_could_not_be_looked_at_is_told_and_never_passed_over() -> Result<()> {
    let erased = Erased::start("erase-verify-rights").await?;
    let verify = ["erase-verify", erased.user.as_str()];
    let unfinished = async |tool: Launch, arguments: &[&str], told: &[&str]| -> Result<()> {
        let ended = erased.run(tool, arguments).await?;
        assert_eq!(ended.code, Some(5), "{}{}", ended.out, ended.err);
        for told in told {
            let is_told =
                |line: &str| line.starts_with("could not look at ") && line.contains(told);
            assert!(ended.out.lines().any(is_told), "{told} is not in\n{}", ended.out);
        }
        Ok(())
    };
    let without_rights = erased.world.command_api()?;
    let hidden = [
        "_read_models.user_rows of the user: permission denied",
        "_read_models.letters of the user: permission denied",
    ];
    unfinished(without_rights.clone(), &verify, &hidden).await?;
    let hidden = ["_read_models.letters: permission denied", "(pg_stats): "];
    let sweep = [&verify[..], &["--contains", "nobody-is-called-so"]].concat();
    std::fs::remove_dir_all(erased.world.outbox())?;
    unfinished(without_rights, &sweep, &[&hidden[..], &["the outbox of mails: "]].concat()).await?;
    let operator = || erased.operator();
    let no_redis = ["what Redis holds of the user: REDIS_URL is not set"];
    unfinished(operator()?.without("REDIS_URL"), &verify, &no_redis).await?;
    let away = operator()?.setting("REDIS_URL", "redis://127.0.0.1:1");
    unfinished(away, &verify, &["what Redis holds of the user: Redis does not"]).await?;
    let away = operator()?.setting("DATABASE_URL", "postgres://u:p@127.0.0.1:1/none");
    unfinished(away, &verify, &["Postgres: ", "stream user-"]).await?;
    let nobody = "00000000-0000-7000-8000-000000000000";
    let unknown =
        ["subject_keys of the user: nobody of this id", "streams of the user: there is no"];
    unfinished(operator()?, &["erase-verify", nobody], &unknown).await?;

    for (arguments, code) in [
        (&["erase-verify", "ann"][..], 2),
        (&["erase-verify", nobody, "--logs", "/tmp"], 2),
        (&["erase-verify", nobody, "--contains", ""], 2),
        (&["erase", nobody], 1),
    ] {
        let ended = erased.run(operator()?, arguments).await?;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}{}", ended.out, ended.err);
    }
    let misset = operator()?.setting("DATABASE_URL", "nowhere");
    assert_eq!(erased.run(misset, &verify).await?.code, Some(78));
    Ok(())
}
