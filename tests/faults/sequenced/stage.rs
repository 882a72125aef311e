//! A projection of a test's own, run on a topic as a real one is.

use std::marker::PhantomData;

use anyhow::{Context as _, Result, ensure};
use event_schema::decode::{Decoder, KnownId};
use event_schema::registry::Registry;
use projector::letters::replay::{By, Mode, Outcome, Replay};
use projector::runner::{Projection, Runner, RunnerConfig};
use settings::Settings;
use sqlx::postgres::PgHasArrayType;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Decode, Executor as _, Postgres, Type};
use test_support::{World, eventually};

/// A projection that keeps what it folds of each stream, in the order in which it was folded.
pub(super) trait Staged: Projection + Default {
    /// The projection whose settings it is run with; it has the same topic.
    const LIKE: &'static str;
    /// Its table: `generation`, the stream's `id`, and an array, `kept`.
    const TABLE: &'static str;
    /// Other columns and constraints, each with a comma before it.
    const MORE: &'static str = "";
    /// What it keeps of each event.
    type Kept: PgHasArrayType
        + Type<Postgres>
        + for<'r> Decode<'r, Postgres>
        + std::fmt::Debug
        + Send
        + Unpin
        + 'static;
    /// That as Postgres calls it.
    const TYPE: &'static str;
}

/// A world in which one such projection is run.
pub(super) struct Stage<P> {
    pub(super) world: World,
    of: PhantomData<P>,
}

impl<P: Staged> Stage<P> {
    pub(super) async fn set(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let table = format!(
            "CREATE TABLE {} (generation integer, id text, kept {}[] NOT NULL,
                              PRIMARY KEY (generation, id){});
             INSERT INTO generations (projection, generation, state) VALUES ('{}', 1, 'active');
             GRANT ALL ON {} TO projector, dlq_replayer",
            P::TABLE,
            P::TYPE,
            P::MORE,
            P::NAME,
            P::TABLE,
        );
        world.pool().execute(AssertSqlSafe(table)).await?;
        Ok(Self { world, of: PhantomData })
    }

    fn config(&self) -> Result<RunnerConfig> {
        // Members without a name of their own: any number may join.
        let launch = self.world.projector_of(P::LIKE)?.without("MILLRACE_INSTANCE");
        let mut settings = Settings::new(launch.settings());
        let projections = projector::Config::from_settings(&mut settings).projections;
        let config = projections.resource.or(projections.user);
        settings.finish(()).context("the settings of the projector")?;
        config.with_context(|| format!("{} is not run", P::LIKE))
    }

    pub(super) fn run(&self) -> Result<Runner> {
        Ok(Runner::start(self.config()?, P::default()))
    }

    pub(super) async fn known_ids(&self) -> Result<Vec<KnownId>> {
        let schemas = read_models::deployment::schemas(self.world.pool()).await?;
        let known = schemas.into_iter().map(|known| KnownId {
            schema_id: known.schema_id,
            record_name: known.record_name,
            version: known.version,
        });
        Ok(known.collect())
    }

    /// What was folded of a stream.
    pub(super) async fn kept(&self, stream_id: &str) -> Result<Vec<P::Kept>> {
        let statement = format!("SELECT kept FROM {} WHERE id = $1", P::TABLE);
        let kept: Option<Vec<P::Kept>> = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(stream_id)
            .fetch_optional(self.world.pool())
            .await?;
        Ok(kept.unwrap_or_default())
    }

    /// Waits until this was folded of a stream, and no more.
    pub(super) async fn kept_is<T>(&self, stream_id: &str, expected: &[T]) -> Result<()>
    where
        T: std::fmt::Debug,
        P::Kept: PartialEq<T>,
    {
        eventually(&format!("{expected:?} is kept of {stream_id}"), async || {
            let kept = self.kept(stream_id).await?;
            ensure!(kept == expected, "it is {kept:?}");
            Ok(())
        })
        .await
    }

    /// How many streams wait behind a letter, as both who counts them and who names them say.
    pub(super) async fn parked_keys(&self) -> Result<i64> {
        let (counted, named): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT coalesce(sum(parked_keys), 0)::bigint FROM positions),
                    (SELECT count(*) FROM parked_keys)",
        )
        .fetch_one(self.world.pool())
        .await?;
        ensure!(counted == named, "positions count {counted} parked keys of {named}");
        Ok(counted)
    }

    pub(super) async fn nothing_waits(&self) -> Result<()> {
        let waiting = self.parked_keys().await?;
        ensure!(waiting == 0, "{waiting} streams wait");
        Ok(())
    }

    /// Replays the stream of the letter as an operator.
    pub(super) async fn replay(&self, letter: Uuid, mode: Mode) -> Result<Vec<Outcome>> {
        let decoder = Decoder::new(self.known_ids().await?);
        let registry = Registry::new(&self.config()?.registry)?;
        let projection = &P::default();
        let replay = Replay { projection, decoder: &decoder, registry: &registry, announcer: None };
        let mut connection = self.world.pool().acquire().await?;
        let by = By::Operator { who: "an-operator", reason: Some("mended") };
        let report = replay.letter(&mut connection, letter, by, mode).await?;
        Ok(report.letters.into_iter().map(|replayed| replayed.outcome).collect())
    }

    pub(super) async fn discard(&self, letter: Uuid) -> Result<()> {
        let discard = ["discard", &letter.to_string(), "--reason", "a test", "--yes"];
        let output = self.world.dlq_replayer()?.run(&discard).await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Has the table refuse what breaks a constraint, until it is dropped.
    pub(super) async fn refuse(&self, name: &str, check: &str) -> Result<()> {
        let table = P::TABLE;
        let refuse = format!("ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({check})");
        self.world.pool().execute(AssertSqlSafe(refuse)).await?;
        Ok(())
    }

    pub(super) async fn take_again(&self, name: &str) -> Result<()> {
        let take = format!("ALTER TABLE {} DROP CONSTRAINT {name}", P::TABLE);
        self.world.pool().execute(AssertSqlSafe(take)).await?;
        Ok(())
    }
}
