//! Exports: all rows of a query as NDJSON, one line each, of one moment.
//!
//! A server-side cursor gives the rows as the client takes them, so an export holds a few chunks,
//! one connection and one snapshot, whatever its size. How many run at once and for how long is
//! bounded. The last line of a whole export says so; one that fails ends in an aborted answer and
//! has no such line, so it is never taken for a short one.

mod accept;
mod occurrence;
mod pieces;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse as _, Response};
use futures_util::TryStreamExt as _;
use lifecycle::Shutdown;
use problem_details::{Problem, ProblemType};
use read_models::database::{DatabaseConfig, SessionLimits};
use settings::{Settings, table};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Executor as _, FromRow as _, QueryBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::consistency::{OpenLetters, find_letters};
use crate::listing::{Listed, ONE_MOMENT};
use crate::lookups::{LookupError, read_only};
use crate::positions::map::Need;
use crate::refused::{Refused, SOON};

pub(crate) use accept::is_asked_for;
use occurrence::{ExportEnded, UnderWay};
use pieces::{Piece, Pieces};

/// The media type.
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Asks the front door to pass the bytes on as they come, and to stop when the client does.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Rows that the cursor is asked for at a time.
const FETCH: &str = "FETCH 500 FROM export";
const FETCHED: u64 = 500;

/// Bytes of a chunk, and chunks that wait for the client.
const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 2;

/// How many exports run, for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExportLimits {
    pub(crate) at_once: usize,
    /// From the first row to the last byte.
    pub(crate) time: Duration,
    /// Until the first row.
    pub(crate) patience: Duration,
}

impl ExportLimits {
    /// Reads the settings; faults are noted there.
    pub(crate) fn from_settings(settings: &mut Settings) -> Self {
        Self {
            at_once: settings.size(&table::QUERY_API_MAX_EXPORTS),
            time: settings.millis(&table::QUERY_API_EXPORT_TIMEOUT),
            patience: settings.millis(&table::QUERY_API_READ_TIMEOUT),
        }
    }
}

/// The exports of this process.
pub(crate) struct Exports {
    limits: ExportLimits,
    places: Arc<Semaphore>,
    options: PgConnectOptions,
    tasks: TaskTracker,
    shutdown: Shutdown,
}

/// What is exported, and how a row is written.
pub(crate) struct Export<L, F> {
    pub(crate) listed: L,
    /// One row as JSON; it may hold line breaks, which are replaced.
    pub(crate) line: F,
}

/// An export whose snapshot is taken.
pub(crate) struct Begun<'a, L: Listed, F> {
    /// Open letters that keep the reader's needs from being shown.
    pub(crate) letters: Vec<OpenLetters>,
    /// `None` where there is nothing that the rows could be of.
    pub(crate) rows: Option<Rows<'a, L, F>>,
}

/// Rows that wait behind a cursor.
pub(crate) struct Rows<'a, L: Listed, F> {
    exports: &'a Exports,
    run: Run<L, F>,
}

impl Exports {
    pub(crate) fn new(
        database: &DatabaseConfig,
        limits: ExportLimits,
        tasks: TaskTracker,
        shutdown: Shutdown,
    ) -> Self {
        let session = SessionLimits {
            idle_in_transaction: limits.time,
            transaction: limits.time,
            lock: limits.patience,
            statement: limits.time,
        };
        let options = read_only(database.session("query-api-export", session));
        // The first row counts: rows come in the order of an index, never after a sort of all.
        let options = options.options([("cursor_tuple_fraction", "0.001")]);
        let places = Arc::new(Semaphore::new(limits.at_once));
        Self { limits, places, options, tasks, shutdown }
    }

    /// Takes a place, a connection and a snapshot, in which letters are looked for as well.
    pub(crate) async fn begin<L: Listed, F>(
        &self,
        export: Export<L, F>,
        needs: &[Need],
    ) -> Result<Begun<'_, L, F>, Refused> {
        let place = self.place()?;
        let opened = timeout(self.limits.patience, self.open(&export.listed, needs)).await;
        let opened = opened.map_err(|_| LookupError::Unavailable)?;
        let (connection, letters, exists) = opened.map_err(|error| {
            let error = &error as &(dyn std::error::Error + 'static);
            tracing::debug!(error, "an export could not be begun");
            LookupError::Unavailable
        })?;
        let until = Instant::now() + self.limits.time;
        let run = Run { export, connection, until, rows: 0, chunk: Vec::new(), _place: place };
        Ok(Begun { letters, rows: exists.then_some(Rows { exports: self, run }) })
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let detail = format!(
                "as many exports are under way as {} allows; come back later",
                table::QUERY_API_MAX_EXPORTS.name
            );
            Problem::new(ProblemType::NotReady, detail).with_retry_after(10 * SOON)
        })
    }

    async fn open<L: Listed>(
        &self,
        listed: &L,
        needs: &[Need],
    ) -> Result<(PgConnection, Vec<OpenLetters>, bool), sqlx::Error> {
        let mut connection = self.options.connect().await?;
        connection.execute(ONE_MOMENT).await?;
        let letters = match needs {
            [] => Vec::new(),
            _ => find_letters(&mut connection, L::PROJECTION, listed.whose(), needs).await?,
        };
        let exists = listed.exists(&mut connection).await?;
        let mut declare = QueryBuilder::new("DECLARE export NO SCROLL CURSOR FOR ");
        listed.push_rows(&mut declare, None);
        declare.build().persistent(false).execute(&mut connection).await?;
        Ok((connection, letters, exists))
    }
}

impl<L, F> Rows<'_, L, F>
where
    L: Listed,
    F: Fn(L::Columns) -> String + Send + Sync + 'static,
{
    /// The answer. Rows are sent as it is taken; none for HEAD.
    pub(crate) fn answer(self, method: &Method) -> Response {
        let body = if *method == Method::HEAD { Body::empty() } else { self.begin_sending() };
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, NDJSON);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
        let vary = "accept, authorization, consistency-token, prefer";
        headers.insert(VARY, HeaderValue::from_static(vary));
        response
    }

    fn begin_sending(self) -> Body {
        let (client, pieces) = mpsc::channel(CHUNKS);
        let Self { exports, run } = self;
        let shutdown = exports.shutdown.clone();
        exports.tasks.spawn(async move {
            tokio::select! {
                // The body ends in an error, since nobody says that it is whole.
                () = shutdown.begun() => {}
                () = run.send_all(client) => {}
            }
        });
        Body::from_stream(Pieces::new(pieces))
    }
}

/// An export under way.
struct Run<L, F> {
    export: Export<L, F>,
    connection: PgConnection,
    until: Instant,
    rows: u64,
    /// Lines that have not been sent.
    chunk: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

/// Why an export is not whole.
enum Broken {
    /// The client has gone away.
    Abandoned,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Broken {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl<L, F> Run<L, F>
where
    L: Listed,
    F: Fn(L::Columns) -> String + Send + Sync,
{
    async fn send_all(mut self, client: mpsc::Sender<Piece>) {
        let _under_way = UnderWay::enter();
        let began = Instant::now();
        let sent = timeout_at(self.until, self.send_rows(&client)).await;
        let outcome = match &sent {
            Ok(Ok(())) => "complete",
            Ok(Err(Broken::Abandoned)) => "abandoned",
            Ok(Err(Broken::Database(_))) => "failed",
            Err(_) => "overdue",
        };
        let error = match &sent {
            Ok(Err(Broken::Database(error))) => Some(error),
            _ => None,
        };
        let (projection, rows, took) = (L::PROJECTION, self.rows, began.elapsed());
        ExportEnded { projection, outcome, rows, took, error }.emit();
    }

    async fn send_rows(&mut self, client: &mpsc::Sender<Piece>) -> Result<(), Broken> {
        loop {
            let fetched = self.fetch(client).await?;
            self.rows += fetched;
            if fetched < FETCHED {
                break;
            }
        }
        self.connection.execute("COMMIT").await?;
        let whole = format!("{{\"complete\":true,\"rows\":{}}}\n", self.rows);
        self.chunk.extend_from_slice(whole.as_bytes());
        self.send_chunk(client).await?;
        client.send(Piece::Whole).await.map_err(|_| Broken::Abandoned)
    }

    /// Sends the next rows; returns how many there were.
    async fn fetch(&mut self, client: &mpsc::Sender<Piece>) -> Result<u64, Broken> {
        let Self { export, connection, chunk, .. } = self;
        let mut rows = sqlx::query(FETCH).persistent(false).fetch(connection);
        let mut fetched = 0;
        while let Some(row) = rows.try_next().await? {
            push_line(chunk, &(export.line)(L::Columns::from_row(&row)?));
            fetched += 1;
            if chunk.len() >= CHUNK {
                send(chunk, client).await?;
            }
        }
        Ok(fetched)
    }

    async fn send_chunk(&mut self, client: &mpsc::Sender<Piece>) -> Result<(), Broken> {
        send(&mut self.chunk, client).await
    }
}

/// Waits until the client has taken what was sent before.
async fn send(chunk: &mut Vec<u8>, client: &mpsc::Sender<Piece>) -> Result<(), Broken> {
    let bytes = std::mem::replace(chunk, Vec::with_capacity(CHUNK + CHUNK / 4));
    client.send(Piece::Bytes(bytes.into())).await.map_err(|_| Broken::Abandoned)
}

/// A row in one line: a break in JSON is white space between its parts, since texts have none.
fn push_line(chunk: &mut Vec<u8>, json: &str) {
    let start = chunk.len();
    chunk.extend_from_slice(json.as_bytes());
    for byte in &mut chunk[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    chunk.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_several_lines_is_one_line() {
        let mut chunk = Vec::new();
        push_line(&mut chunk, "{\"a\":\r\n[1,\n\"x\\ny\"]}");
        push_line(&mut chunk, "{}");
        assert_eq!(chunk, b"{\"a\":  [1, \"x\\ny\"]}\n{}\n");
    }
}
