//! A deployment of a test's own on the shared stack.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use event_schema::schema::Schema;
use kafka_io::topic::Topic;
use settings::Prefix;
use sqlx::PgPool;
use xtask::deploy::Target;
use xtask::stack::local_dir::LocalDir;

use crate::oracle::stored_rows;
use crate::{AccessToken, Launch, Log, Oracle, Stack, StoredRow, cluster, database, eventually};

/// A deployment under its own prefix: topics, schemas, a database with tables. Dropped, it is
/// removed, unless the test panics: then it is kept for inspection. Logs of its processes stay in
/// `.local/worlds`.
#[derive(Debug)]
pub struct World {
    name: String,
    stack: Stack,
    prefix: Prefix,
    database: String,
    pool: PgPool,
    schema_id: u32,
    partitions: u32,
    dir: PathBuf,
}

impl World {
    /// Deploys on the stack that the environment names. `name` is for people who read names of
    /// databases and log files.
    ///
    /// # Errors
    /// There is no stack, or a deploy step fails.
    pub async fn start(name: &str) -> Result<Self> {
        Self::start_on(Stack::from_env()?, name).await
    }

    /// Deploys on the stack that the environment names, with so many partitions of each topic.
    ///
    /// # Errors
    /// There is no stack, or a deploy step fails.
    pub async fn start_with_partitions(name: &str, partitions: i32) -> Result<Self> {
        Self::deploy(Stack::from_env()?, name, partitions).await
    }

    /// Deploys on a stack.
    ///
    /// # Errors
    /// A deploy step fails.
    pub async fn start_on(stack: Stack, name: &str) -> Result<Self> {
        Self::deploy(stack, name, Topic::PARTITIONS).await
    }

    async fn deploy(stack: Stack, name: &str, partitions: i32) -> Result<Self> {
        let prefix_text = unique_prefix();
        let prefix = Prefix::parse(&prefix_text).context("a prefix that is none")?;
        let database = format!("{prefix_text}_{}", name.replace('-', "_"));
        let dir = fresh_dir(&database)?;
        database::create(&stack, &database).await?;
        give_rights(&stack, &prefix).await?;
        let target = target(&stack, &prefix, &database)?;
        Target { partitions, ..target }.deploy().await?;
        let schema = read_models::database::schema(&prefix);
        let pool = database::pool(&stack, &database, &schema)?;
        let schema_id = written_schema_id(&pool).await?;
        let partitions = u32::try_from(partitions).context("partitions below zero")?;
        let name = name.to_owned();
        Ok(Self { name, stack, prefix, database, pool, schema_id, partitions, dir })
    }

    /// The stack it lives on.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The prefix of everything it owns.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The name of its database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Sessions of the database's owner, in which unqualified names mean the read models.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The URL under which a role reaches its database.
    ///
    /// # Errors
    /// The stack's address is not readable.
    pub fn database_url(&self, role: &str) -> Result<String> {
        self.stack.database_url(role, &self.database)
    }

    /// Where mails of the world are put.
    pub fn outbox(&self) -> PathBuf {
        self.dir.join("outbox")
    }

    /// Where files of the test may be written.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The topic of device events.
    ///
    /// # Errors
    /// The stack names no brokers.
    pub fn log(&self) -> Result<Log> {
        Ok(Log {
            brokers: self.stack.brokers()?.to_owned(),
            topic: Topic::EventsInput.name(&self.prefix),
            schema_id: self.schema_id,
            partitions: self.partitions,
        })
    }

    /// Another topic, to be written and read as it is.
    ///
    /// # Errors
    /// The stack names no brokers.
    pub fn log_of(&self, topic: Topic) -> Result<Log> {
        Ok(Log { topic: topic.name(&self.prefix), ..self.log()? })
    }

    /// The topic of what is decided about users.
    ///
    /// # Errors
    /// The stack names no brokers.
    pub fn users_log(&self) -> Result<Log> {
        Ok(Log { topic: Topic::IdentityUser.name(&self.prefix), ..self.log()? })
    }

    /// An access token of the requirement documents' tester.
    pub fn token(&self) -> AccessToken {
        AccessToken::tester()
    }

    /// A projector of `resource`, to be set up further and started.
    ///
    /// # Errors
    /// The stack's addresses are not readable.
    pub fn projector(&self) -> Result<Launch> {
        self.projector_of("resource")
    }

    /// A projector of these projections, to be set up further and started.
    ///
    /// # Errors
    /// The stack's addresses are not readable.
    pub fn projector_of(&self, projections: &str) -> Result<Launch> {
        Ok(self
            .launch("projector", "projector")?
            .setting("MILLRACE_PROJECTOR_PROJECTIONS", projections)
            .setting("MILLRACE_PROJECTOR_BIND", "127.0.0.1:0")
            .setting("MILLRACE_INSTANCE", "projector-1")
            .setting("MILLRACE_PROJECTOR_SESSION_TIMEOUT_MS", 6000)
            .setting("MILLRACE_PROJECTOR_PROCESSED_LINES_PER_SECOND", 5))
    }

    /// A command-api, to be set up further and started.
    ///
    /// # Errors
    /// The stack's addresses are not readable.
    pub fn command_api(&self) -> Result<Launch> {
        Ok(self
            .launch("command-api", "command_api")?
            .setting("MILLRACE_COMMAND_API_BIND", "127.0.0.1:0")
            // A machine that is busy with something else is slow, and no reason to answer 202.
            .setting("MILLRACE_DECISION_WAIT_MS", 20_000)
            .setting("MILLRACE_MAIL_OUTBOX", self.outbox().display()))
    }

    /// A query-api, to be set up further and started.
    ///
    /// # Errors
    /// The stack's addresses are not readable.
    pub fn query_api(&self) -> Result<Launch> {
        Ok(self.launch("query-api", "query_api")?.setting("MILLRACE_QUERY_API_BIND", "127.0.0.1:0"))
    }

    /// The operators' tool for dead letters, to be run with arguments.
    ///
    /// # Errors
    /// The stack's addresses are not readable.
    pub fn dlq_replayer(&self) -> Result<Launch> {
        Ok(self.launch("dlq-replayer", "dlq_replayer")?.setting("USER", "an-operator"))
    }

    /// The same process, but it reaches the whole stack over TLS and under its name.
    ///
    /// # Errors
    /// The stack's secured addresses are not readable.
    pub fn secured(&self, launch: Launch) -> Result<Launch> {
        let role = launch.name().replace('-', "_");
        Ok(launch.settings_of(self.secured_settings(&role)?))
    }

    /// What somebody of this name is told of the stack, to reach all of it over TLS.
    ///
    /// # Errors
    /// The stack's secured addresses are not readable.
    pub fn secured_settings(&self, name: &str) -> Result<BTreeMap<String, String>> {
        self.stack.secured(name, name, &self.database)
    }

    fn launch(&self, process: &'static str, role: &str) -> Result<Launch> {
        let launch = Launch::new(process, self.dir.clone())
            .setting("MILLRACE_PROFILE", "dev")
            // Most tests ask for more in a second than a user in a minute.
            .setting("MILLRACE_RATE_LIMIT_PROFILE", "off")
            .setting("MILLRACE_PREFIX", &self.prefix);
        if self.stack.is_to_be_secured() {
            return self.secured(launch);
        }
        Ok(launch.settings_of(self.stack.plain(role, &self.database)?))
    }

    /// Every row that readers of `resources` see, by device.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn rows(&self) -> Result<BTreeMap<String, StoredRow>> {
        stored_rows(&self.pool).await
    }

    /// The next offset of every partition of device events.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn positions(&self) -> Result<BTreeMap<i32, i64>> {
        let rows: Vec<(i32, i64)> =
            sqlx::query_as("SELECT partition, next_offset FROM positions WHERE topic = $1")
                .bind(Topic::EventsInput.name(&self.prefix))
                .fetch_all(&self.pool)
                .await
                .context("reading positions")?;
        Ok(rows.into_iter().collect())
    }

    /// Who moved each position of device events last.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn owners(&self) -> Result<BTreeMap<i32, String>> {
        let rows: Vec<(i32, String)> =
            sqlx::query_as("SELECT partition, coalesce(owner, '') FROM positions WHERE topic = $1")
                .bind(Topic::EventsInput.name(&self.prefix))
                .fetch_all(&self.pool)
                .await
                .context("reading owners")?;
        Ok(rows.into_iter().collect())
    }

    /// Sets every position to 0, as an operator who wants everything folded again.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn set_positions_back(&self) -> Result<()> {
        sqlx::query("UPDATE positions SET next_offset = 0")
            .execute(&self.pool)
            .await
            .context("setting positions back")
            .map(drop)
    }

    /// The sum of all positions: how far the projection is in a log that was never cut.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn folded(&self) -> Result<i64> {
        Ok(self.positions().await?.values().sum())
    }

    /// Waits until everything that the log holds now is folded.
    ///
    /// # Errors
    /// It is not in time.
    pub async fn level(&self) -> Result<()> {
        let ends = self.log()?.ends().await?;
        eventually("everything logged is folded", async || {
            let positions = self.positions().await?;
            let behind: Vec<_> = ends
                .iter()
                .map(|(partition, end)| (partition, positions.get(partition).unwrap_or(&0), end))
                .filter(|(_, position, end)| position < end)
                .collect();
            ensure!(behind.is_empty(), "(partition, position, log end) are {behind:?}");
            Ok(())
        })
        .await
    }

    /// Refuses a view that is not the log folded in memory, row for row.
    ///
    /// # Errors
    /// It differs, or log or database cannot be read.
    pub async fn must_equal_the_log(&self) -> Result<Oracle> {
        let oracle = Oracle::of(&self.log()?).await?;
        oracle.must_equal(&self.rows().await?)?;
        let positions = self.positions().await?;
        for (partition, next) in &oracle.positions {
            let found = positions.get(partition);
            ensure!(found == Some(next), "partition {partition} stands at {found:?}, not {next}");
        }
        Ok(oracle)
    }
}

/// Lets processes that say who they are do their work here.
async fn give_rights(stack: &Stack, prefix: &Prefix) -> Result<()> {
    let (givers, prefix) = (stack.givers()?, prefix.clone());
    let given = tokio::task::spawn_blocking(move || xtask::stack::rights::give(givers, &prefix));
    given.await.context("giving rights")?
}

/// What is deployed to, reached as the processes reach it.
fn target(stack: &Stack, prefix: &Prefix, database: &str) -> Result<Target> {
    let mut settings = if stack.is_to_be_secured() {
        stack.secured("deploy", database::OWNER, database)?
    } else {
        stack.plain(database::OWNER, database)?
    };
    settings.insert("MILLRACE_PREFIX".to_owned(), prefix.to_string());
    Target::from_variables(settings)
}

/// How long files of earlier runs are kept for whoever looks into a failure.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// A directory for the logs of a world's processes, in `.local/worlds`. What is old there goes.
fn fresh_dir(name: &str) -> Result<PathBuf> {
    let worlds = LocalDir::find(Path::new(".local/worlds"))?.path;
    let dir = worlds.join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    for entry in std::fs::read_dir(&worlds).context("reading the worlds' directory")?.flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).map(|at| at.elapsed());
        if age.is_ok_and(|age| age.is_ok_and(|age| age > KEPT)) {
            // Another test may be removing it too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(dir)
}

/// The id that the registry gave the schema of new events.
async fn written_schema_id(pool: &PgPool) -> Result<u32> {
    let written: Schema = event_schema::device::WRITTEN;
    let schemas = read_models::deployment::schemas(pool).await.context("reading schema ids")?;
    schemas
        .into_iter()
        .find(|known| {
            known.record_name == written.record_name() && known.version == written.version()
        })
        .map(|known| known.schema_id)
        .context("the deploy step recorded no id of the schema")
}

/// Differs for every world of every process on one machine, for longer than a stack lives.
fn unique_prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since_epoch.as_secs() % 100_000_000;
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("t{seconds}_{}_{number}", std::process::id() % 100_000)
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the world {} is kept: database {}, prefix {}, logs in {}",
                self.name,
                self.database,
                self.prefix,
                self.dir.display()
            );
            return;
        }
        let (stack, database, prefix) =
            (self.stack.clone(), self.database.clone(), self.prefix.clone());
        // A thread of its own, since a runtime cannot be entered twice. What cannot be removed, say
        // of a stack that is gone, does no harm.
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(remove(&stack, &database, &prefix))
        });
        let _ = removed.join();
    }
}

async fn remove(stack: &Stack, database: &str, prefix: &Prefix) -> Result<()> {
    database::drop_database(stack, database).await?;
    let topics: Vec<String> = Topic::ALL.iter().map(|topic| topic.name(prefix)).collect();
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    cluster::delete_topics(stack.brokers()?, &names).await
}
