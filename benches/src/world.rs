//! A place of its own on the running stack for one benchmark.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use settings::Prefix;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::sleep;
use xtask::deploy::Target;

/// Sessions that were ended, and as many users who were put out: as they are found where a lot goes on, and none of
/// them is who asks.
const REVOKED: u32 = 2_500;

/// Topics, schema ids and a database of one benchmark, on the stack whose directory is given.
pub(crate) struct World {
    /// The stack's directory.
    pub(crate) directory: PathBuf,
    /// Brokers.
    pub(crate) brokers: String,
    /// The schema registry.
    pub(crate) registry_url: String,
    /// The cache.
    pub(crate) redis_url: String,
    /// The benchmark's database, as its owner.
    pub(crate) database_url: String,
    /// Prefix of topics and schemas.
    pub(crate) prefix: Prefix,
    /// Prefix as text.
    pub(crate) prefix_text: String,
    /// The topic of device events.
    pub(crate) topic: String,
    /// Id of the schema that new events are written with.
    pub(crate) schema_id: u32,
    admin_url: String,
    database: String,
}

impl World {
    /// Makes topics, schemas and tables under a fresh prefix, in a fresh database.
    pub(crate) async fn start(directory: &Path, name: &str) -> Result<Self> {
        let variable = |name: &str| {
            std::env::var(name)
                .with_context(|| format!("{name} is not set: source the stack's env"))
        };
        let moment = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % 100_000_000;
        let prefix_text = format!("b_{name}_{moment}");
        let prefix = Prefix::parse(&prefix_text).context("the benchmark's name is no prefix")?;
        let (admin_url, brokers) = (variable("DATABASE_URL")?, variable("KAFKA_BROKERS")?);
        let registry_url = variable("SCHEMA_REGISTRY_URL")?;
        let redis_url = variable("REDIS_URL")?;
        let mut admin = PgConnection::connect(&admin_url).await?;
        admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {prefix_text}"))).await?;
        let (base, _) = admin_url.rsplit_once('/').context("DATABASE_URL names no database")?;
        let database_url = format!("{base}/{prefix_text}?sslmode=disable");
        let target = Target::open(&database_url, &brokers, &registry_url, &prefix)?;
        target.deploy().await?;
        revoke_others(&database_url, &prefix).await?;
        let topic = prefix.dotted("events-input");
        let mut world = Self {
            directory: directory.to_owned(),
            brokers,
            registry_url,
            redis_url,
            database_url,
            topic,
            schema_id: 0,
            admin_url,
            database: prefix_text.clone(),
            prefix,
            prefix_text,
        };
        let id: i32 = sqlx::query_scalar("SELECT schema_id FROM schema_ids WHERE subject LIKE $1")
            .bind(format!("{}-%", world.topic))
            .fetch_one(&mut world.connect().await?)
            .await?;
        world.schema_id = id.cast_unsigned();
        Ok(world)
    }

    /// A connection to the benchmark's database.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        let mut connection = PgConnection::connect(&self.database_url).await?;
        let schema = read_models::database::schema(&self.prefix);
        connection.execute(sqlx::AssertSqlSafe(format!("SET search_path = {schema}"))).await?;
        Ok(connection)
    }

    /// Pid of one of the stack's processes.
    pub(crate) fn pid(&self, process: &str) -> Result<u32> {
        let path = self.directory.join("run").join(format!("{process}.pid"));
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        text.split_whitespace()
            .next()
            .unwrap_or_default()
            .parse()
            .context("the pid file holds no pid")
    }

    /// Settings that every process of ours needs here.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        [
            ("MILLRACE_PROFILE", "dev"),
            ("MILLRACE_PREFIX", &self.prefix_text),
            // Quotas are kept as they are for users, and are large enough for a bench.
            ("MILLRACE_RATE_LIMIT_FACTOR", "100000"),
            // What is projected is not told line by line; the APIs write their audit all the same.
            ("MILLRACE_LOG", "warn"),
            ("KAFKA_BROKERS", &self.brokers),
            ("SCHEMA_REGISTRY_URL", &self.registry_url),
            ("DATABASE_URL", &self.database_url),
            ("REDIS_URL", &self.redis_url),
            // What is measured is one projection.
            ("MILLRACE_PROJECTOR_PROJECTIONS", "resource"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Drops the database; topics stay until the stack is reset.
    pub(crate) async fn end(self) -> Result<()> {
        let mut admin = PgConnection::connect(&self.admin_url).await?;
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.database);
        let deadline = Instant::now() + Duration::from_secs(60);
        // A vacuum may be at work there, which no owner of a database may end.
        while let Err(error) = admin.execute(sqlx::AssertSqlSafe(drop.as_str())).await {
            if Instant::now() >= deadline {
                return Err(error).context("dropping the benchmark's database");
            }
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

async fn revoke_others(database_url: &str, prefix: &Prefix) -> Result<()> {
    let statement = format!(
        "INSERT INTO {}.revocations (session_id, user_id, below_version, expires_at)
         SELECT gen_random_uuid(), NULL, NULL, now() + interval '1 day'
         FROM generate_series(1, {REVOKED})
         UNION ALL
         SELECT NULL, gen_random_uuid(), 2, now() + interval '1 day'
         FROM generate_series(1, {REVOKED})",
        read_models::database::identity_schema(prefix)
    );
    let mut database = PgConnection::connect(database_url).await?;
    database.execute(sqlx::AssertSqlSafe(statement)).await.context("revoking access tokens")?;
    Ok(())
}
