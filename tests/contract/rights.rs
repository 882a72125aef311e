//! Each process has a name of its own with the rights that it needs, which the journeys over the secured
//! listeners show to be enough. Here: that there are no more.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use event_schema::registry::RegistryConfig;
use kafka_io::topic::Topic;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode::{self, GroupAuthorizationFailed, TopicAuthorizationFailed};
use rdkafka::producer::{FutureProducer, FutureRecord};
use read_models::database::DatabaseConfig;
use settings::Settings;
use sqlx::{Connection as _, Executor as _, PgConnection};
use test_support::World;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);

/// How a name of the world reaches the brokers.
fn brokers(world: &World, name: &str) -> Result<ClientConfig> {
    let settings = world.secured_settings(name)?;
    let value = |setting: &str| settings.get(setting).with_context(|| format!("no {setting}"));
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", value("KAFKA_BROKERS")?)
        .set("security.protocol", "SASL_SSL")
        .set("ssl.ca.location", value("MILLRACE_TLS_CA_PATH")?)
        .set("sasl.mechanism", value("MILLRACE_KAFKA_SASL_MECHANISM")?)
        .set("sasl.username", value("MILLRACE_KAFKA_SASL_USERNAME")?)
        .set("sasl.password", value("MILLRACE_KAFKA_SASL_PASSWORD")?);
    Ok(client)
}

/// What the brokers say to a record of this name.
async fn written(world: &World, name: &str, topic: &str) -> Result<Option<RDKafkaErrorCode>> {
    let mut client = brokers(world, name)?;
    client.set("message.timeout.ms", PATIENCE.as_millis().to_string());
    let producer: FutureProducer = client.create()?;
    let record = FutureRecord::to(topic).key("device-1").payload("junk");
    let sent = producer.send(record, PATIENCE).await;
    Ok(sent.err().and_then(|(error, _)| error.rdkafka_error_code()))
}

/// What the brokers say to a reader of this name in a group.
async fn read(
    world: &World,
    name: &str,
    topic: String,
    group: String,
) -> Result<Option<RDKafkaErrorCode>> {
    let mut client = brokers(world, name)?;
    client.set("group.id", group).set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = client.create()?;
    tokio::task::spawn_blocking(move || {
        consumer.subscribe(&[&topic])?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            // A rebalance ends a poll too.
            match consumer.poll(PATIENCE) {
                None => {}
                Some(Ok(_)) => return Ok(None),
                Some(Err(error)) => return Ok(error.rdkafka_error_code()),
            }
        }
        bail!("{topic}: nothing happens")
    })
    .await
    .context("reading")?
}

#[tokio::test]
async fn who_writes_events_may_not_read_them_and_who_reads_them_may_not_write_any() -> Result<()> {
    let world = World::start("kafka_rights").await?;
    let (events, letters) =
        (Topic::EventsInput.name(world.prefix()), Topic::EventsDlq.name(world.prefix()));
    ensure!(written(&world, "command_api", &events).await?.is_none(), "command_api cannot write");
    ensure!(written(&world, "projector", &letters).await?.is_none(), "projector cannot write");
    for (name, topic) in [
        ("command_api", &letters),
        ("projector", &events),
        ("deploy", &events),
        ("deploy", &letters),
    ] {
        let said = written(&world, name, topic).await?;
        ensure!(said == Some(TopicAuthorizationFailed), "{name} writes {topic}: {said:?}");
    }
    let group = |name: &str| world.prefix().dotted(name);
    let ours = group("events-processor.test");
    let said = read(&world, "projector", events.clone(), ours.clone()).await?;
    ensure!(said.is_none(), "projector cannot read: {said:?}");
    let said = read(&world, "projector", letters, ours.clone()).await?;
    ensure!(said == Some(TopicAuthorizationFailed), "projector reads letters: {said:?}");
    let said = read(&world, "projector", events.clone(), group("another")).await?;
    ensure!(said == Some(GroupAuthorizationFailed), "projector joins another group: {said:?}");
    let said = read(&world, "command_api", events, ours).await?;
    ensure!(said == Some(GroupAuthorizationFailed), "command_api reads: {said:?}");
    Ok(())
}

#[tokio::test]
async fn topics_are_deleted_by_nobody_and_deploy_makes_its_own_alone() -> Result<()> {
    let world = World::start("topic_rights").await?;
    let topic = Topic::EventsInput.name(world.prefix());
    for name in ["command_api", "projector", "deploy"] {
        let admin: AdminClient<DefaultClientContext> = brokers(&world, name)?.create()?;
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let answers = admin.delete_topics(&[&topic], &options).await?;
        let [Err((_, said))] = &answers[..] else { bail!("{name} deletes {topic}: {answers:?}") };
        ensure!(*said == TopicAuthorizationFailed, "{name} deletes {topic}: {said}");
    }
    let admin: AdminClient<DefaultClientContext> = brokers(&world, "deploy")?.create()?;
    let another = NewTopic::new("somebody-else.events-input", 1, TopicReplication::Fixed(1));
    let answers = admin.create_topics([&another], &AdminOptions::new()).await?;
    ensure!(
        matches!(&answers[..], [Err((_, TopicAuthorizationFailed))]),
        "deploy makes topics for others: {answers:?}"
    );
    Ok(())
}

/// What Redis answers to commands under a name; an array by its first line.
async fn redis(world: &World, name: &str, command: &str) -> Result<String> {
    let url = world.stack().redis_url()?;
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut stream = BufReader::new(TcpStream::connect(address).await.context("connecting")?);
    let mut answers = Vec::new();
    for line in [format!("AUTH {name} {name}"), command.to_owned()] {
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        answers.push(answer.trim_end().to_owned());
    }
    ensure!(answers[0] == "+OK", "AUTH {name}: {}", answers[0]);
    Ok(answers.swap_remove(1))
}

#[tokio::test]
async fn users_of_redis_touch_the_keys_of_their_deployment_with_the_commands_they_need()
-> Result<()> {
    let world = World::start("redis_rights").await?;
    let prefix = world.prefix();
    let own = |key: &str| format!("{prefix}:{key}");
    let body = own("resource:device-1");
    for name in ["query_api", "projector", "dlq_replayer"] {
        let said = redis(&world, name, &format!("SET {body} body")).await?;
        ensure!(said == "+OK", "{name} cannot do its work: {said}");
        for command in [
            "FLUSHALL".to_owned(),
            "KEYS *".to_owned(),
            "CONFIG GET *".to_owned(),
            "ACL LIST".to_owned(),
            "EVAL return(1) 0".to_owned(),
            "SCRIPT FLUSH".to_owned(),
            "CLIENT KILL ID 1".to_owned(),
            "SHUTDOWN NOSAVE".to_owned(),
            format!("RENAME {body} {}", own("resource:device-2")),
            "SET somebody-else:resource:device-1 body".to_owned(),
            "GET somebody-else:resource:device-1".to_owned(),
            format!("SET {} body", own("else")),
        ] {
            let said = redis(&world, name, &command).await?;
            ensure!(said.starts_with("-NOPERM"), "{name}: {command} is answered {said}");
        }
    }
    let mark = format!("SET {} 1", own("mark:resource:0"));
    let said = redis(&world, "query_api", &mark).await?;
    ensure!(said.starts_with("-NOPERM"), "query_api sets marks: {said}");
    let bucket = format!("SET {} 1", own("limit:general:0"));
    for name in ["command_api", "query_api"] {
        let said = redis(&world, name, &bucket).await?;
        ensure!(said == "+OK", "{name} cannot share quotas: {said}");
    }
    for (name, command) in [
        ("projector", bucket),
        ("command_api", format!("GET {body}")),
        ("command_api", format!("SET {body} body")),
        ("command_api", "SET somebody-else:limit:general:0 1".to_owned()),
        ("command_api", "KEYS *".to_owned()),
        ("command_api", "FLUSHALL".to_owned()),
    ] {
        let said = redis(&world, name, &command).await?;
        ensure!(said.starts_with("-NOPERM"), "{name}: {command} is answered {said}");
    }
    Ok(())
}

#[tokio::test]
async fn the_registry_answers_those_it_knows_and_lets_none_of_them_write_but_deploy() -> Result<()>
{
    let world = World::start("registry_rights").await?;
    let mut settings = Settings::new(world.secured_settings("projector")?);
    let registry = RegistryConfig::from_settings(&mut settings);
    let client = registry.client()?.no_proxy().build()?;
    let url = format!("{}/subjects", registry.url);
    for (name, password, status) in [
        ("projector", "projector", 200),
        ("deploy", "deploy", 200),
        ("dlq_replayer", "dlq_replayer", 200),
        ("projector", "deploy", 401),
        ("command_api", "command_api", 401),
        ("query_api", "query_api", 401),
    ] {
        let answer = client.get(&url).basic_auth(name, Some(password)).send().await?;
        ensure!(answer.status() == status, "{name}: {}", answer.status());
    }
    let answer = client.get(&url).send().await?;
    ensure!(answer.status() == 401, "nobody: {}", answer.status());
    for name in ["projector", "dlq_replayer"] {
        let request = client.put(format!("{}/config/any", registry.url));
        let answer = request.basic_auth(name, Some(name)).send().await?;
        ensure!(answer.status() == 403, "{name} writes: {}", answer.status());
    }
    Ok(())
}

#[tokio::test]
async fn roles_of_the_database_come_over_tls_and_change_what_is_theirs() -> Result<()> {
    let world = World::start("database_rights").await?;
    for (name, refused) in [
        ("command_api", ["SELECT FROM resource_rows", "INSERT INTO topics VALUES ('a', 1, 1)"]),
        ("query_api", ["DELETE FROM resource_rows", "UPDATE positions SET next_offset = 0"]),
        ("projector", ["DELETE FROM topics", "UPDATE letter_actions SET acted_by = 'nobody'"]),
        ("dlq_replayer", ["DELETE FROM letters", "UPDATE positions SET next_offset = 0"]),
    ] {
        let mut settings = Settings::new(world.secured_settings(name)?);
        let database = DatabaseConfig::from_settings(&mut settings, world.prefix());
        let schema = read_models::database::schema(world.prefix());
        let options = database.connect.options([("search_path", schema)]);
        let mut session = PgConnection::connect_with(&options).await?;
        let is_tls: bool =
            sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                .fetch_one(&mut session)
                .await?;
        ensure!(is_tls, "{name} comes without TLS");
        for statement in refused.into_iter().chain(["CREATE TABLE another ()", "DROP TABLE topics"])
        {
            must_be_refused(&mut session, name, statement).await?;
        }
    }
    Ok(())
}

async fn must_be_refused(
    session: &mut PgConnection,
    name: &str,
    statement: &'static str,
) -> Result<()> {
    let said = session.execute(statement).await.err();
    let said = said.context("no error").with_context(|| format!("{name}: {statement}"))?;
    let code = said.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    ensure!(code == "42501", "{name}: {statement}: {said}");
    Ok(())
}

#[tokio::test]
async fn of_secrets_query_api_reads_what_access_tokens_are_checked_by_and_nothing_else()
-> Result<()> {
    let world = World::start("identity_rights").await?;
    let mut settings = Settings::new(world.secured_settings("query_api")?);
    let database = DatabaseConfig::from_settings(&mut settings, world.prefix());
    let schema = read_models::database::identity_schema(world.prefix());
    let options = database.connect.options([("search_path", schema)]);
    let mut session = PgConnection::connect_with(&options).await?;
    for statement in ["SELECT * FROM revocations", "SELECT kid, public_key FROM signing_keys"] {
        session.execute(statement).await.with_context(|| format!("query_api: {statement}"))?;
    }
    for statement in [
        "SELECT sealed_private_key FROM signing_keys",
        "SELECT signs_from FROM signing_keys",
        "SELECT key FROM subject_keys",
        "SELECT password_hash FROM credentials",
        "SELECT sealed_secret FROM second_factors",
        "SELECT sealed_content FROM pending_registrations",
        "SELECT key FROM login_failures",
        "INSERT INTO revocations (session_id, expires_at) VALUES (gen_random_uuid(), now())",
        "DELETE FROM revocations",
        "DELETE FROM signing_keys",
    ] {
        must_be_refused(&mut session, "query_api", statement).await?;
    }
    Ok(())
}
