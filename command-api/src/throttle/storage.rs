//! Failures in Postgres, in the table `login_failures`: by the database's clock, which all processes share.

use std::time::Duration;

use event_store::claim::Digest;
use futures_util::future::BoxFuture;
use sqlx::PgPool;

use super::rule::{MOST_DOUBLINGS, Rule};
use super::{Attempt, Before, FailuresUnknown, KNOWN_FOR, LoginFailures, NOTED_FOR};

/// Rows that are forgotten together: whoever forgets holds nothing up.
const FORGOTTEN_AT_ONCE: i64 = 1_000;

/// Failures in Postgres.
#[derive(Debug, Clone)]
pub struct PostgresFailures {
    pool: PgPool,
}

/// What holds back those of the name, what holds strangers back, whether the name is known there and whether that need
/// not be noted.
const READ: &str = "
    SELECT coalesce(extract(epoch FROM max(f.blocked_until) FILTER (WHERE f.key = $1) - now()), 0)::float8,
           coalesce(extract(epoch FROM max(f.blocked_until) FILTER (WHERE f.key <> $1) - now()), 0)::float8,
           coalesce(bool_or(f.key = $1 AND f.let_in_at > now() - $5 * interval '1 second'), false),
           coalesce(bool_or(f.key = $1 AND f.failures = 0
                            AND f.let_in_at > now() - $6 * interval '1 second'), false)
    FROM login_failures f WHERE f.key IN ($1, $2, $3, $4)";

/// One failure more of each key by its rule, as [`Rule::after_one_more`] and [`Rule::wait_after`] say it. In the
/// order of the keys, so that two who count never wait for each other. `now()` is when a transaction began: of two
/// at once the later one may have failed earlier.
const COUNT: &str = "
    WITH rules AS (
        SELECT * FROM unnest($1::bytea[], $2::integer[], $3::float8[], $4::float8[], $5::integer[],
                             $6::float8[])
            AS r(key, first_wait_at, longest_wait, forgets_every, forgotten, kept_for)
    )
    INSERT INTO login_failures AS f (key, failures, last_failed_at, kept_until)
    SELECT r.key, 1, now(), now() + r.kept_for * interval '1 second' FROM rules r ORDER BY r.key
    ON CONFLICT (key) DO UPDATE SET (failures, last_failed_at, blocked_until, kept_until) = (
        SELECT counted.failures,
               greatest(now(), f.last_failed_at),
               CASE WHEN counted.failures >= r.first_wait_at THEN
                   now() + interval '1 second' * least(r.longest_wait,
                       power(2, least(counted.failures - r.first_wait_at, $7::integer))) END,
               greatest(f.kept_until, now() + r.kept_for * interval '1 second')
        FROM rules r,
             LATERAL (SELECT greatest(extract(epoch FROM now() - f.last_failed_at)::float8, 0)
                 AS seconds) AS since,
             LATERAL (SELECT floor(since.seconds / r.forgets_every) AS times) AS past,
             LATERAL (SELECT least(CASE
                 WHEN past.times < 1 THEN f.failures::float8
                 WHEN r.forgotten IS NULL OR since.seconds >= r.kept_for THEN 0
                 ELSE greatest(f.failures - r.forgotten * least(past.times, 1000000), 0)
                 END, 1000000)::integer + 1 AS failures) AS counted
        WHERE r.key = f.key)";

/// By the index over its time; rows that another process is about to forget are its.
const FORGET: &str = "
    DELETE FROM login_failures WHERE key IN (
        SELECT key FROM login_failures WHERE kept_until < now()
        ORDER BY kept_until LIMIT $1 FOR UPDATE SKIP LOCKED)";

/// As [`Rule::after_let_in`] says it. Where failures are left, somebody else may have failed meanwhile.
const LET_IN: &str = "
    INSERT INTO login_failures AS f (key, failures, let_in_at, kept_until)
    VALUES ($1, 0, now(), now() + $2 * interval '1 second')
    ON CONFLICT (key) DO UPDATE SET
        failures = greatest(f.failures - $3::integer, 0),
        blocked_until = CASE WHEN f.failures > $3::integer THEN f.blocked_until END,
        let_in_at = excluded.let_in_at,
        kept_until = greatest(f.kept_until, excluded.kept_until)";

impl PostgresFailures {
    /// Over sessions that find the table by their search path.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Forgets some failures that count no more. Returns how many, 0 once there are no more.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn forget(&self) -> Result<u64, sqlx::Error> {
        let forgotten = sqlx::query(FORGET).bind(FORGOTTEN_AT_ONCE).execute(&self.pool).await?;
        Ok(forgotten.rows_affected())
    }

    async fn read(&self, attempt: &Attempt) -> Result<Before, sqlx::Error> {
        let mut reading =
            sqlx::query_as::<_, (f64, f64, bool, bool)>(READ).bind(&attempt.of_name[..]);
        for digest in attempt.of_strangers() {
            reading = reading.bind(digest.map(|digest| digest.to_vec()));
        }
        let reading = reading.bind(KNOWN_FOR.as_secs_f64()).bind(NOTED_FOR.as_secs_f64());
        let (of_name, of_strangers, is_known, is_noted) = reading.fetch_one(&self.pool).await?;
        let left = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
        let (of_name, of_strangers) = (left(of_name), left(of_strangers));
        Ok(Before { of_name, of_strangers, is_known, is_noted })
    }

    async fn add(&self, attempt: &Attempt) -> Result<(), sqlx::Error> {
        let (keys, rules): (Vec<Digest>, Vec<Rule>) = attempt.counts().unzip();
        sqlx::query(COUNT)
            .bind(column(&keys, |key| key.to_vec()))
            .bind(column(&rules, |rule| number(rule.first_wait_at)))
            .bind(column(&rules, |rule| rule.longest_wait.as_secs_f64()))
            .bind(column(&rules, |rule| rule.forgets_every.as_secs_f64()))
            .bind(column(&rules, |rule| rule.forgotten.map(number)))
            .bind(column(&rules, |rule| rule.kept_for.as_secs_f64()))
            .bind(number(MOST_DOUBLINGS))
            .execute(&self.pool)
            .await
            .map(drop)
    }

    async fn note(&self, attempt: &Attempt) -> Result<(), sqlx::Error> {
        sqlx::query(LET_IN)
            .bind(&attempt.of_name[..])
            .bind(KNOWN_FOR.as_secs_f64())
            .bind(attempt.rule.forgotten_when_let_in.map_or(i32::MAX, number))
            .execute(&self.pool)
            .await
            .map(drop)
    }
}

fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// One column of rows.
fn column<T, C>(rows: &[T], of: impl Fn(&T) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}

impl LoginFailures for PostgresFailures {
    fn before<'a>(
        &'a self,
        attempt: &'a Attempt,
    ) -> BoxFuture<'a, Result<Before, FailuresUnknown>> {
        Box::pin(async move { self.read(attempt).await.map_err(FailuresUnknown) })
    }

    fn count<'a>(&'a self, attempt: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
        Box::pin(async move { self.add(attempt).await.map_err(FailuresUnknown) })
    }

    fn let_in<'a>(&'a self, attempt: &'a Attempt) -> BoxFuture<'a, Result<(), FailuresUnknown>> {
        Box::pin(async move { self.note(attempt).await.map_err(FailuresUnknown) })
    }
}
