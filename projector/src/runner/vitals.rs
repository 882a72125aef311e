//! What only the database knows of a projection: its letters, the copies that wait, and itself.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::time::{MissedTickBehavior, interval};

use super::occurrence::database_reachable;
use super::positions::Scope;
use super::{Failure, Order, STREAM_FORK, VERSION_GAP};
use telemetry::Metric;

/// How often.
const EVERY: Duration = Duration::from_secs(5);

/// Of so many rounds one also asks what takes the server more time.
const SELDOM: u32 = 6;

/// The states of open letters.
const STATES: [&str; 3] = ["retrying", "parked", "blocked"];

/// What may be wrong with the order of a stream, by the codes of letters.
const OUT_OF_SEQUENCE: [&str; 2] = [VERSION_GAP, STREAM_FORK];

/// Open letters in one state, or with one code.
#[derive(Debug, sqlx::FromRow)]
struct Open {
    kind: String,
    letters: i64,
    oldest_seconds: f64,
}

/// The server.
#[derive(Debug, sqlx::FromRow)]
struct Server {
    bytes: i64,
    sessions: i64,
    sessions_limit: i64,
}

/// Tells metrics, now and then, for as long as it is polled. What fails says that the database cannot
/// be reached, which is what somebody wants to know.
pub(super) async fn tell(pool: PgPool, scope: Arc<Scope>, order: Order) {
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0_u32.. {
        rounds.tick().await;
        let asked = async {
            let mut connection = pool.acquire().await?;
            letters(&mut connection, &scope).await?;
            if order == Order::Sequenced {
                out_of_sequence(&mut connection, &scope).await?;
            }
            copies(&mut connection, &scope).await?;
            if round.is_multiple_of(SELDOM) {
                server(&mut connection).await?;
            }
            Ok::<(), sqlx::Error>(())
        };
        let answered = asked.await;
        database_reachable(scope.projection, answered.as_ref().map_or_else(is_there, |()| true));
        if let Err(error) = answered {
            let failure = Failure::of_database(&error, "counting letters").without_record();
            tracing::debug!(
                projection = scope.projection,
                error.class = failure.class.label(),
                error.code = failure.code,
                "metrics are told later: {}",
                failure.message
            );
        }
    }
}

/// Whether it was a database at work that refused the statement: for want of a right or of time, not
/// because it ends (SQLSTATE 57P01 to 57P05) or has no more sessions (53).
fn is_there(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| !code.starts_with("57P") && !code.starts_with("53"))
}

async fn letters(connection: &mut PgConnection, scope: &Scope) -> Result<(), sqlx::Error> {
    let open: Vec<Open> = sqlx::query_as(
        "SELECT state AS kind, count(*) AS letters,
                extract(epoch FROM now() - min(first_failed_at))::float8 AS oldest_seconds
         FROM letters WHERE projection = $1 AND generation = $2 AND settled_at IS NULL
         GROUP BY state",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .fetch_all(connection)
    .await?;
    for state in STATES {
        let labels = [scope.projection, state];
        open_in(&open, state, Metric::LettersOpen, Metric::LetterOldest, &labels);
    }
    Ok(())
}

async fn out_of_sequence(connection: &mut PgConnection, scope: &Scope) -> Result<(), sqlx::Error> {
    let open: Vec<Open> = sqlx::query_as(
        "SELECT error_code AS kind, count(*) AS letters,
                extract(epoch FROM now() - min(first_failed_at))::float8 AS oldest_seconds
         FROM letters WHERE projection = $1 AND generation = $2 AND settled_at IS NULL
           AND error_code = ANY($3)
         GROUP BY error_code",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(OUT_OF_SEQUENCE)
    .fetch_all(connection)
    .await?;
    let (letters, oldest) = (Metric::LettersOutOfSequence, Metric::LetterOutOfSequenceOldest);
    for code in OUT_OF_SEQUENCE {
        open_in(&open, code, letters, oldest, &[scope.projection, code]);
    }
    Ok(())
}

/// Tells how many letters are of a kind, and how old the oldest is.
fn open_in(open: &[Open], kind: &str, letters: Metric, oldest: Metric, labels: &[&str]) {
    let found = open.iter().find(|open| open.kind == kind);
    letters.gauge(labels).set(found.map_or(0.0, |open| open.letters as f64));
    oldest.gauge(labels).set(found.map_or(0.0, |open| open.oldest_seconds));
}

async fn copies(connection: &mut PgConnection, scope: &Scope) -> Result<(), sqlx::Error> {
    let oldest: Option<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM now() - min(n.created_at))::float8
         FROM letter_notices n JOIN letters l ON l.id = n.letter_id
         WHERE n.published_at IS NULL AND l.projection = $1",
    )
    .bind(scope.projection)
    .fetch_one(connection)
    .await?;
    Metric::LetterNoticeOldest.gauge(&[scope.projection]).set(oldest.unwrap_or(0.0));
    Ok(())
}

async fn server(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let server: Server = sqlx::query_as(
        "SELECT pg_database_size(current_database()) AS bytes,
                (SELECT sum(numbackends) FROM pg_stat_database)::bigint AS sessions,
                current_setting('max_connections')::bigint AS sessions_limit",
    )
    .fetch_one(connection)
    .await?;
    Metric::DatabaseBytes.gauge(&[]).set(server.bytes as f64);
    Metric::DatabaseConnections.gauge(&[]).set(server.sessions as f64);
    Metric::DatabaseConnectionsLimit.gauge(&[]).set(server.sessions_limit as f64);
    Ok(())
}
