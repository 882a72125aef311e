//! Secrets stay where they belong: something that stands nowhere else is planted in every setting that is a secret
//! and in every part of every request, and then everything is searched that anybody may read who is not meant by
//! it: log lines, spans, metrics, problems, headers, mails, letters and the log itself.

mod asker;
mod configured;
mod environment;
mod journey;
mod operations;
mod planted;
mod printed;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use kafka_io::topic::Topic;
use settings::table::{PROJECTOR_PROJECTIONS, REGISTRATION_REVEALS_ACCOUNTS};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use test_support::{AccessToken, Launch, RedisServer, Running, Spine, World, eventually};

use super::api_description::said;
use super::front_door::FrontDoor;
use super::telemetry::sink::{Conduct, Sink};
use asker::{Asker, Wish};
use environment::{Told, secrets, set, valid};
use operations::{Cast, ask_for_all};
use planted::{Kind, Planted, Search};

/// Where Cargo lists the crates of ours.
const WORKSPACE: &str = include_str!("../../Cargo.toml");

/// The tool that takes a password as a setting.
const CREATE_ADMIN: [&str; 5] =
    ["create-admin", "--username", "root", "--email", "root@example.org"];

/// The crates of ours, each of which says all that it ever says.
fn ours() -> impl Iterator<Item = String> {
    let listed = WORKSPACE.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let paths = listed.map_or("", |(paths, _)| paths).split('"').skip(1).step_by(2);
    paths.map(|path| path.rsplit('/').next().unwrap_or(path).replace('-', "_"))
}

/// Everything that is ever said, by foreign crates as far as anybody would ask them.
fn talkative(launch: Launch) -> Launch {
    let ours: String = ours().map(|name| format!(",{name}=trace")).collect();
    launch.setting("MILLRACE_LOG", format!("debug{ours}"))
}

/// Everything that runs, with what it was told.
struct Stage {
    planted: Planted,
    sink: Sink,
    _redis: RedisServer,
    spine: Spine,
    /// A command-api beside that of the spine, where registering tells nobody who has an account.
    silent: Running,
    front_door: FrontDoor,
    /// The settings of command-api, for its tools.
    command_api: Launch,
    dlq_replayer: Launch,
    jwt_secret: String,
    world: World,
}

/// A role like this one, whose password is planted.
async fn role_of(world: &World, planted: &Planted, role: &str) -> Result<String> {
    let (name, password) = (format!("{}_{role}", world.prefix()), planted.secret("DATABASE_URL"));
    let mut superuser = PgConnection::connect(&world.database_url("postgres")?).await?;
    let create = format!("CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {role}");
    sqlx::query(AssertSqlSafe(create)).execute(&mut superuser).await.context("making a role")?;
    let url = world.database_url(role)?;
    Ok(url.replace(&format!("{role}:{role}@"), &format!("{name}:{password}@")))
}

/// What a process is told of this world beside what all are told: each secret of the table is planted that a
/// process may have which reaches everything. Kafka's is not: the brokers ask for none here.
async fn variables(
    world: &World,
    planted: &Planted,
    redis: &RedisServer,
    sink: &Sink,
    role: &str,
) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for setting in secrets().filter(|it| it.name != "MILLRACE_KAFKA_SASL_PASSWORD") {
        let text = planted.secret(setting.name);
        variables.insert(setting.name.to_owned(), valid(setting, &text));
    }
    let redis_url = format!("redis://ann:{}@{}", planted.secret("REDIS_URL"), redis.address());
    for (name, value) in [
        ("DATABASE_URL", role_of(world, planted, role).await?),
        ("REDIS_URL", redis_url),
        ("MILLRACE_SCHEMA_REGISTRY_USERNAME", "ann".to_owned()),
        ("MILLRACE_OTLP_ENDPOINT", sink.url()),
        ("MILLRACE_TRACE_PER_MILLE", "1000".to_owned()),
        ("MILLRACE_TRACE_QUEUE_SPANS", "65536".to_owned()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

impl Stage {
    async fn set() -> Result<Self> {
        let (world, planted) = (World::start("planted").await?, Planted::default());
        let (redis, sink) = (RedisServer::start(&[]).await?, Sink::start(Conduct::Take).await?);
        let password = format!(">{}", planted.secret("REDIS_URL"));
        let rights = ["ACL", "SETUSER", "ann", "on", &password, "~*", "&*", "+@all"];
        redis.resp()?.text(&rights).context("making a user of Redis")?;
        let launch = async |launch: Launch, role: &str| {
            let variables = variables(&world, &planted, &redis, &sink, role).await?;
            set(talkative(launch), &variables, Told::ByFiles, world.dir())
        };
        let projector = world.projector()?.without(PROJECTOR_PROJECTIONS.name);
        let command_api = launch(world.command_api()?, "command_api").await?;
        let projector = launch(projector, "projector").await?;
        let query_api = launch(world.query_api()?, "query_api").await?;
        let dlq_replayer = launch(world.dlq_replayer()?, "dlq_replayer").await?;
        let spine = Spine::start_with(command_api.clone(), projector, query_api).await?;
        let silent = command_api.clone().setting(REGISTRATION_REVEALS_ACCOUNTS.name, "false");
        let silent = silent.start().await?;
        silent.ready().await?;
        let front_door = FrontDoor::start(&world, &spine).await?;
        let jwt_secret = planted.secret("JWT_SECRET");
        let _redis = redis;
        Ok(Self {
            planted,
            sink,
            _redis,
            spine,
            silent,
            front_door,
            command_api,
            dlq_replayer,
            jwt_secret,
            world,
        })
    }

    /// An access token of an identity provider.
    fn signed(&self, place: &str, token: &AccessToken) -> Result<String> {
        let token = token.sign_with(&self.jwt_secret)?;
        self.planted.given(place, &token);
        Ok(token)
    }

    fn processes(&self) -> [(&Running, &'static str); 4] {
        [
            (&self.spine.command_api, "command-api"),
            (&self.silent, "the silent command-api"),
            (&self.spine.projector, "projector"),
            (&self.spine.query_api, "query-api"),
        ]
    }

    /// What processes say of themselves: in no way anything that was planted.
    async fn search_processes(&self, search: &mut Search<'_>) -> Result<()> {
        for (process, name) in self.processes() {
            search.look(&format!("the log of {name}"), &process.log()?, Kind::ALL);
            for path in ["/metrics", "/health/ready", "/health/live"] {
                let page = process.get(path).await?.text;
                search.look(&format!("{path} of {name}"), &page, Kind::ALL);
            }
        }
        for span in self.sink.spans() {
            search.look(
                &format!("the span {} of {}", span.name, span.service),
                &span.raw,
                Kind::ALL,
            );
        }
        Ok(())
    }

    /// What the front door says of requests: their paths, and nothing else.
    async fn search_front_door(&self, search: &mut Search<'_>) -> Result<()> {
        let dir = self.world.dir().join("front-door");
        let read =
            |name: &str| std::fs::read_to_string(dir.join(name)).with_context(|| name.to_owned());
        let kinds = [Kind::Secret, Kind::Given, Kind::Private];
        let last = "/api/v1/resources/the-last-one";
        let requests = eventually("the last request is logged", async || {
            let requests = read("nginx.log")?;
            ensure!(requests.contains(last), "it is not");
            Ok(requests)
        })
        .await?;
        search.look("the front door's log of requests", &requests, &kinds);
        search.look("the front door's log of errors", &read("nginx-errors.log")?, &kinds);
        Ok(())
    }

    /// Mails tell whom they are for, and one token.
    fn search_mails(&self, search: &mut Search<'_>) -> Result<usize> {
        let entries = std::fs::read_dir(self.world.outbox()).context("reading the outbox")?;
        let mut mails = 0;
        for entry in entries.flatten() {
            let mail = std::fs::read_to_string(entry.path())?;
            search.look("a mail", &mail.replace("=\r\n", ""), &[Kind::Secret]);
            mails += 1;
        }
        Ok(mails)
    }

    /// Events of devices hold what these have reported, and no credential; of persons the log holds nothing
    /// that anybody can read.
    async fn search_the_log(&self, search: &mut Search<'_>) -> Result<usize> {
        let mut records = 0;
        for topic in Topic::ALL {
            let name = topic.name(self.world.prefix());
            let of_persons = name.contains("identity");
            let kinds = if of_persons { Kind::ALL } else { Kind::CREDENTIALS };
            for record in self.world.log_of(*topic)?.read().await? {
                let headers = record.headers.into_iter().flat_map(|(_, value)| value);
                let parts = record.key.into_iter().chain(record.value).chain(headers);
                for part in parts {
                    search.look(
                        &format!("a record of {name}"),
                        &String::from_utf8_lossy(&part),
                        kinds,
                    );
                }
                records += 1;
            }
        }
        Ok(records)
    }

    /// What operators are shown: of a letter its record, and no credential.
    async fn search_tools(&self, search: &mut Search<'_>, somebody: &str) -> Result<()> {
        let letters = eventually("a letter is parked", async || {
            let letters = self.world.letters().await?;
            ensure!(letters.iter().any(|letter| letter.state == "parked"), "{letters:?}");
            Ok(letters)
        })
        .await?;
        let id = letters[0].id.to_string();
        for letter in &letters {
            for part in [&letter.key, &letter.value].into_iter().flatten() {
                search.look("a letter", &String::from_utf8_lossy(part), Kind::CREDENTIALS);
            }
        }
        for (tool, arguments) in [
            (&self.dlq_replayer, &["list", "--json"][..]),
            (&self.dlq_replayer, &["show", id.as_str()][..]),
            (&self.command_api, &CREATE_ADMIN[..]),
            (&self.command_api, &["remove-second-factor", somebody][..]),
            (&self.command_api, &["repair", "--dry-run"][..]),
            (&self.command_api, &["repair"][..]),
            (&self.command_api, &["keys", "rotate"][..]),
        ] {
            search_tool(search, tool, arguments).await?;
        }
        let keys = search_tool(search, &self.command_api, &["keys", "list"]).await?;
        // The last one is new, and signs nothing yet.
        let last = keys.lines().next_back().and_then(|line| line.split_whitespace().next());
        let kid = last.context("no key is listed")?;
        search_tool(search, &self.command_api, &["keys", "revoke", kid]).await?;
        Ok(())
    }
}

/// What a tool prints, in which no credential is told, nor where it says what went wrong.
async fn search_tool(search: &mut Search<'_>, tool: &Launch, arguments: &[&str]) -> Result<String> {
    let ended = tool.run(arguments).await?;
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    let said = format!("{printed}{}", String::from_utf8_lossy(&ended.stderr));
    ensure!(ended.status.success(), "{arguments:?}: {said}");
    search.look(&format!("{} {arguments:?}", tool.name()), &said, Kind::CREDENTIALS);
    Ok(printed)
}

/// Roles are the server's, and outlive the database.
async fn drop_roles(world: &World) -> Result<()> {
    let mut superuser = PgConnection::connect(&world.database_url("postgres")?).await?;
    for role in ["command_api", "projector", "query_api", "dlq_replayer"] {
        let name = format!("{}_{role}", world.prefix());
        // It may have made partitions of tables.
        for drop in [format!("DROP OWNED BY {name}"), format!("DROP ROLE {name}")] {
            let dropped = sqlx::query(AssertSqlSafe(drop)).execute(&mut superuser).await;
            dropped.with_context(|| format!("dropping {name}"))?;
        }
    }
    Ok(())
}

#[test]
fn the_crates_of_ours_are_those_of_the_workspace() {
    let ours: Vec<String> = ours().collect();
    for name in ["access", "command_api", "dlq_replayer", "projector", "query_api", "telemetry"] {
        assert!(ours.iter().any(|it| it == name), "{name} is not among {ours:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_planted_is_told_to_anybody_whom_it_is_not_for() -> Result<()> {
    let stage = Stage::set().await?;
    let mut asker = Asker::new(stage.front_door.url(""), &stage.planted)?;
    let admin = stage.signed("an admin's access token", &AccessToken::admin())?;
    // Of identity providers somebody's name may come.
    let tester =
        AccessToken::tester().claim("sub", stage.planted.private("the subject of a token"));
    let tester = stage.signed("a tester's access token", &tester)?;

    let scapegoat = journey::a_scapegoat(&mut asker).await?;
    let somebody = journey::of_a_person(&mut asker, &stage.world, &admin).await?;
    journey::of_a_device(&mut asker, &tester).await?;
    let mut stranger = Asker::new(stage.silent.url(""), &stage.planted)?;
    journey::of_registrations_that_wait(&mut stranger, &stage.world).await?;
    let cast = Cast { admin, scapegoat };
    let operations = ask_for_all(&mut asker, &said(), &cast).await?;
    let last = Wish::new("GET", "/api/v1/resources/the-last-one").by(&tester);
    asker.must(404, last.header("x-request-id", "the-last-request")).await?;
    stage.world.level().await?;

    let mut search = Search::of(&stage.planted);
    for asker in [&asker, &stranger] {
        asker.search(&mut search);
    }
    stage.search_tools(&mut search, &somebody).await?;
    stage.search_front_door(&mut search).await?;
    let (mails, records) =
        (stage.search_mails(&mut search)?, stage.search_the_log(&mut search).await?);
    stage.search_processes(&mut search).await?;
    let (spans, places) = (stage.sink.spans().len(), search.end()?);
    println!(
        "{operations} operations; looked into {places} places, among them {spans} spans, {records} records and \
         {mails} mails"
    );

    // The silence is not that of places in which nothing ever stands.
    ensure!(operations > 40 && mails > 2 && records > 10 && spans > operations);
    let log = stage.spine.query_api.log()?;
    ensure!(log.contains("the-last-request"), "requests are not logged: {log}");
    let Stage { world, spine, silent, .. } = stage;
    drop((spine, silent));
    drop_roles(&world).await
}
