//! What writers, readers and judges of one test share, and the single steps that they take.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::checker::{Begun, Checker, Key, Shown};
use super::connection::{Connection, Reply};
use super::deployment::Deployment;
use super::tally::{Tally, count};

/// A pause after what was no answer.
pub(super) const LONG_PAUSE: Duration = Duration::from_millis(20);

/// What all of them share.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) checker: Checker,
    pub(super) tally: Tally,
    pub(super) began: Instant,
    bearer: String,
    /// How many of the keys, the first ones, are written all the time.
    hot: usize,
    /// The key after the hot ones that is written now.
    pub(super) late: AtomicUsize,
    pub(super) stop: AtomicBool,
    /// What goes wrong at the moment, for the story of a fault.
    under_way: Mutex<String>,
}

impl Scene {
    /// Nothing is known of the keys; the first `hot` of them are those written all the time.
    pub(super) fn new(
        deployment: &Deployment,
        names: impl IntoIterator<Item = String>,
        hot: usize,
    ) -> Result<Self> {
        Ok(Self {
            checker: Checker::new(names),
            tally: Tally::default(),
            began: Instant::now(),
            bearer: deployment.world.token().sign()?,
            hot,
            late: AtomicUsize::new(hot),
            stop: AtomicBool::new(false),
            under_way: Mutex::default(),
        })
    }

    /// Names what goes wrong from now on.
    pub(super) fn set_under_way(&self, what: &str) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        what.clone_into(&mut under_way);
    }

    /// The keys that are written all the time.
    pub(super) fn hot(&self) -> &[Key] {
        &self.checker.keys[..self.hot]
    }

    /// Keys that have been written.
    pub(super) fn written(&self) -> impl Iterator<Item = &Key> {
        self.checker.keys.iter().filter(|key| key.sent.load(Ordering::Relaxed) > 0)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Writes the key's next event until it is accepted.
    pub(super) async fn write(&self, connection: &mut Connection, key: &Key) {
        let number = key.accepted.load(Ordering::Relaxed) + 1;
        key.sent.store(number, Ordering::Release);
        let body = format!(r#"{{"device_id":"{}","payload":{}}}"#, key.name, key.payload(number));
        let request = format!(
            "POST /api/v1/events HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\nidempotency-key: \"{}-{number}\"\r\n\
             content-length: {}\r\n\r\n{body}",
            self.bearer,
            key.name,
            body.len()
        );
        loop {
            if let Ok(reply) = connection.ask(request.as_bytes()).await
                && reply.status == 202
                && let Some(token) = reply.header("consistency-token")
            {
                key.accepted.store(number, Ordering::Release);
                key.promised(number, token);
                return count(&self.tally.written);
            }
            count(&self.tally.rewritten);
            tokio::time::sleep(LONG_PAUSE).await;
        }
    }

    /// Reads a key; whether the answer was one that it may be given. `headers` are further lines.
    pub(super) async fn read(
        &self,
        connection: &mut Connection,
        key: &Key,
        begun: &Begun,
        headers: &str,
    ) -> bool {
        let request = self.get(key, begun, headers);
        let is_answered = match connection.ask(request.as_bytes()).await {
            Ok(reply) => self.take(key, begun, &reply),
            Err(_) => false,
        };
        if !is_answered {
            count(&self.tally.errors);
        }
        is_answered
    }

    /// A request for a key, with its token and further header lines.
    pub(super) fn get(&self, key: &Key, begun: &Begun, headers: &str) -> String {
        let token = match &begun.promise {
            Some(promise) => format!("consistency-token: {}\r\n", promise.token),
            None => String::new(),
        };
        format!(
            "GET /api/v1/resources/{} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n\
             {token}{headers}\r\n",
            key.name, self.bearer
        )
    }

    /// Judges an answer and counts it; whether it was one that the key may be given.
    pub(super) fn take(&self, key: &Key, begun: &Begun, reply: &Reply<'_>) -> bool {
        let tally = &self.tally;
        let (version, body) = match (reply.status, reply.tagged_version()) {
            (200, Some(version)) => (version, Some(reply.body)),
            (304, Some(version)) => (version, None),
            (404, _) => (0, None),
            (503, _) if is_honest(reply.body) => {
                count(&tally.behind);
                return true;
            }
            _ => return false,
        };
        let status = reply.header("cache-status").unwrap_or_default();
        self.checker.judge(key, begun, Shown { version, body }, || {
            let id = reply.header("x-request-id").unwrap_or_default();
            self.story(&format!("{status}, request {id}"))
        });
        if let Some(token) = reply.header("consistency-token").filter(|_| version > 0) {
            key.promised(version, token);
        }
        count(&tally.reads);
        for (is_it, counter) in [
            (begun.promise.is_some(), &tally.with_token),
            (reply.status == 304, &tally.unchanged),
            (reply.status == 404, &tally.missing),
            (status == "millrace; hit", &tally.hits),
            (status.contains("collapsed"), &tally.collapsed),
            (status.contains("fwd=stale"), &tally.outdated),
            (status.contains("fwd=bypass"), &tally.bypassed),
        ] {
            if is_it {
                count(counter);
            }
        }
        true
    }

    /// Looks at rows as nobody else does: what has been seen there has been shown.
    pub(super) async fn look(&self, pool: &sqlx::PgPool, keys: &[&Key]) -> Result<()> {
        let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        let begun: Vec<Begun> = keys.iter().map(|key| key.begin(false)).collect();
        let rows: Vec<(String, i64, String)> =
            sqlx::query_as("SELECT id, version, payload::text FROM resources WHERE id = ANY($1)")
                .bind(names)
                .fetch_all(pool)
                .await?;
        for (key, begun) in keys.iter().zip(begun) {
            let row = rows.iter().find(|(id, ..)| *id == key.name);
            let version = row.map_or(0, |(_, version, _)| version.unsigned_abs());
            if let Some((.., payload)) = row {
                ensure!(*payload == key.payload(version), "Postgres shows {row:?}");
            }
            let shown = Shown { version, body: None };
            self.checker.judge(key, &begun, shown, || self.story("in Postgres"));
            key.row.store(version, Ordering::Release);
        }
        count(&self.tally.looks);
        Ok(())
    }

    fn story(&self, what: &str) -> String {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        let since = self.began.elapsed();
        format!("{what}, {since:.3?} after the start ({now} ms), {under_way}")
    }
}

/// Whether a 503 says that the view has not come so far.
fn is_honest(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    ["projection-behind", "projection-paused"].iter().any(|problem| text.contains(problem))
}
