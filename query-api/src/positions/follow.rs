//! The task that keeps [`Positions`]: it listens to notices and asks the database now and again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::Timestamp;
use lifecycle::{Component, Heartbeat};
use read_models::database::{DatabaseConfig, SessionLimits};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use telemetry::Metric;
use tokio::time::Instant;

use super::map::{ActiveBuild, Advance, LogPartition, Position, PositionMap};
use super::{Positions, notice};

/// How often the database is asked while a read waits.
const BUSY: Duration = Duration::from_millis(250);

/// How often it is asked otherwise.
const QUIET: Duration = Duration::from_secs(2);

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pause before a lost listener is set up again; answers stand in meanwhile.
const RELISTEN: Duration = Duration::from_millis(500);

impl Positions {
    /// Takes an answer of the database, and the notices that came while it was asked.
    pub(super) fn answered(&self, answer: Answer, meanwhile: &[Advance]) {
        self.0.known.send_modify(|known| {
            known.map.replace(answer.map, meanwhile);
            known.answers += 1;
            let now = Instant::now();
            known.answered_at = Some(now);
            known.database_time = Some((answer.time, now));
        });
    }

    /// Takes a notice.
    pub(super) fn noticed(&self, advance: &Advance) {
        self.0.known.send_if_modified(|known| known.map.advance(advance));
    }

    /// Age of the last answer.
    fn age(&self) -> Option<Duration> {
        self.0.known.borrow().answered_at.map(|at| at.elapsed())
    }
}

/// Follows for as long as it is polled. `database` becomes ready with the first answer and is not
/// ready while answers fail; `heartbeat` beats with every one of them, good or bad.
pub(crate) async fn follow(
    config: DatabaseConfig,
    positions: Positions,
    database: Component,
    heartbeat: Heartbeat,
) {
    let limits = SessionLimits {
        idle_in_transaction: PATIENCE,
        transaction: PATIENCE,
        lock: PATIENCE,
        statement: PATIENCE,
    };
    // One connection listens, one asks.
    let pool = config.pool("query-api-positions", limits, 2, PATIENCE);
    let mut ears = Ears::new(&pool, &config.schema);
    loop {
        let asked_at = Instant::now();
        match ask_and_listen(&pool, &mut ears, &positions).await {
            Ok(()) => database.ready(),
            Err(AskError::TooSlow) => database.not_ready("the database does not answer in time"),
            Err(AskError::Database(error)) => {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::debug!(error, "the database did not say where the views stand");
                database.not_ready("the database does not answer");
            }
        }
        heartbeat.beat();
        if let Some(age) = positions.age() {
            Metric::QueryApiPositionsAge.gauge(&[]).set(age.as_secs_f64());
        }
        listen_until_due(&mut ears, &positions, asked_at).await;
    }
}

/// Why an answer did not come; the next question may have one.
enum AskError {
    TooSlow,
    Database(sqlx::Error),
}

/// Asks, and takes the notices that come meanwhile before and after the answer.
async fn ask_and_listen(
    pool: &PgPool,
    ears: &mut Ears<'_>,
    positions: &Positions,
) -> Result<(), AskError> {
    let mut meanwhile = Vec::new();
    let asking = tokio::time::timeout(PATIENCE, ask(pool));
    tokio::pin!(asking);
    let answer = loop {
        tokio::select! {
            answer = &mut asking => break answer,
            advance = ears.hear() => {
                positions.noticed(&advance);
                meanwhile.push(advance);
            }
        }
    };
    let answer = answer.map_err(|_| AskError::TooSlow)?.map_err(AskError::Database)?;
    positions.answered(answer, &meanwhile);
    Ok(())
}

/// Takes notices until it is time to ask again.
async fn listen_until_due(ears: &mut Ears<'_>, positions: &Positions, asked_at: Instant) {
    loop {
        let pause = if positions.has_waiting() { BUSY } else { QUIET };
        tokio::select! {
            () = tokio::time::sleep_until(asked_at + pause) => return,
            () = positions.0.demand.notified() => {}
            advance = ears.hear() => positions.noticed(&advance),
        }
    }
}

/// Hears notices, and sets the listener up again where it was lost.
struct Ears<'a> {
    pool: &'a PgPool,
    schema: &'a str,
    listener: Option<PgListener>,
    /// Not before this is a lost listener set up again.
    not_before: Instant,
}

impl<'a> Ears<'a> {
    fn new(pool: &'a PgPool, schema: &'a str) -> Self {
        Self { pool, schema, listener: None, not_before: Instant::now() }
    }

    /// The next notice. Safe to drop: a notice is not lost, at worst a connection is.
    async fn hear(&mut self) -> Advance {
        loop {
            match self.next_payload().await {
                Ok(payload) => match notice::read(&payload, self.schema) {
                    Ok(Some(advance)) => return advance,
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, "a notice of positions is not readable"),
                },
                Err(error) => {
                    tracing::debug!(
                        error = &error as &(dyn std::error::Error + 'static),
                        "notices of positions are not heard"
                    );
                    self.listener = None;
                    self.not_before = Instant::now() + RELISTEN;
                }
            }
        }
    }

    async fn next_payload(&mut self) -> Result<String, sqlx::Error> {
        let listener = match &mut self.listener {
            Some(listener) => listener,
            None => {
                tokio::time::sleep_until(self.not_before).await;
                let mut listener = PgListener::connect_with(self.pool).await?;
                listener.listen(notice::CHANNEL).await?;
                self.listener.insert(listener)
            }
        };
        Ok(listener.recv().await?.payload().to_owned())
    }
}

/// What the database said.
pub(super) struct Answer {
    pub(super) map: PositionMap,
    /// Its clock.
    pub(super) time: Timestamp,
}

/// Its clock comes last, when all else is read.
const ASK_TIME: &str = "SELECT clock_timestamp()";

/// Everything in one statement, so that it is of one moment.
const ASK: &str = "
    SELECT t.topic, t.epoch, t.partitions, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM topics t
    UNION ALL
    SELECT p.topic, p.epoch, NULL, g.projection, g.generation, g.brake, p.partition, p.next_offset,
           extract(epoch FROM clock_timestamp() - p.last_log_time)::float8,
           EXISTS (SELECT FROM letters l
                   WHERE l.projection = p.projection AND l.generation = p.generation
                     AND l.topic = p.topic AND l.epoch = p.epoch AND l.partition = p.partition
                     AND l.settled_at IS NULL)
    FROM generations g
    LEFT JOIN positions p USING (projection, generation)
    WHERE g.state = 'active'";

type Row = (
    Option<String>,
    Option<i32>,
    Option<i32>,
    Option<String>,
    Option<i32>,
    Option<String>,
    Option<i32>,
    Option<i64>,
    Option<f64>,
    Option<bool>,
);

async fn ask(pool: &PgPool) -> Result<Answer, sqlx::Error> {
    let map = ask_positions(pool).await?;
    let time: DateTime<Utc> = sqlx::query_scalar(ASK_TIME).fetch_one(pool).await?;
    Ok(Answer { map, time: Timestamp(time.timestamp_micros()) })
}

async fn ask_positions(pool: &PgPool) -> Result<PositionMap, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(ASK).fetch_all(pool).await?;
    let mut map = PositionMap::default();
    for row in rows {
        match row {
            (Some(topic), Some(epoch), Some(partitions), ..) => {
                map.topics.insert((topic, number(epoch)), number(partitions));
            }
            (
                log,
                epoch,
                None,
                Some(projection),
                Some(generation),
                brake,
                partition,
                next,
                age,
                letters,
            ) => {
                let build = map.active.entry(projection).or_insert_with(|| ActiveBuild {
                    generation,
                    brake,
                    ..ActiveBuild::default()
                });
                let log = log.zip(epoch).zip(partition).map(|((topic, epoch), partition)| {
                    LogPartition { topic, epoch: number(epoch), partition: number(partition) }
                });
                let next_offset =
                    next.and_then(|next| u64::try_from(next).ok()).unwrap_or_default();
                // A clock of the broker that is ahead makes no negative age.
                let age = age.and_then(|age| Duration::try_from_secs_f64(age.max(0.0)).ok());
                if let Some(log) = log {
                    if letters == Some(false) {
                        build.clear_below.insert(log.clone(), next_offset);
                    }
                    build.positions.insert(log, Position { next_offset, age });
                }
            }
            _ => {}
        }
    }
    Ok(map)
}

/// The database's numbers are signed; none of these is ever below zero.
fn number(signed: i32) -> u32 {
    u32::try_from(signed).unwrap_or_default()
}
