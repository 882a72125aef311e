//! What the deployment's database says of access tokens: which were revoked, and by which keys its own
//! are verified.
//!
//! One task ([`watch`]) over one connection of its own brings both to the [`Verifier`]. It listens for
//! notices, so that what is revoked is known here within a moment, and looks twice a second whether it
//! heard all. A request never waits for it: if it is slow, dead or cut off, what it brought last holds,
//! and after two seconds that is known to be old.

mod connection;

use std::convert::Infallible;
use std::time::Duration;

use lifecycle::{Component, Heartbeat};
use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, sleep_until, timeout};

use crate::occurrence::{OwnKeysChanged, RevocationsNotRead, RevocationsRead};
use crate::{KeySet, Verifier, WhenUnknown};

pub(crate) use connection::LookError;

use connection::WatchConnection;

/// The longest time between two rounds of [`watch`], for its heartbeat.
pub const WATCH_DEADLINE: Duration = Duration::from_secs(15);

/// Between two looks where no notice comes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Between two looks at the keys where no notice comes.
const KEYS_EVERY: Duration = Duration::from_secs(5);

/// How long what a look has found may be relied on, counted from its beginning.
const KNOWN_FOR: Duration = Duration::from_secs(2);

/// Longest time for a look, and until a connection listens: what takes longer would be too old when it is
/// there.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shortest pause after a look: notices that come meanwhile share the next one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(25);

/// How many times as long as a look took the pause after it is, so that a large set that changes all the
/// time takes no more than a fifth of a core or of a connection.
const PAUSE_FOR_EACH: u32 = 4;

/// Where the deployment keeps what belongs to identities.
#[derive(Clone)]
pub struct IdentityDatabase {
    /// Address, role and password: of the primary, since a standby sends no notices.
    pub connect: PgConnectOptions,
    /// The Postgres schema of revocations and signing keys.
    pub schema: String,
    /// What operators see in `pg_stat_activity`.
    pub application_name: &'static str,
}

/// Brings what was revoked and the deployment's keys to the verifier, for as long as it is polled. The verifier
/// was [told so](Verifier::expect_own_keys) before.
///
/// `revocations` is not ready until the first look has succeeded. Afterwards a database that is away takes
/// the readiness only where the setting refuses everybody then: else the process does its work for all
/// but admins, and sending it nothing would help nobody. `heartbeat` beats with every look, good or bad,
/// within [`WATCH_DEADLINE`].
pub async fn watch(
    database: IdentityDatabase,
    verifier: &Verifier,
    revocations: Component,
    heartbeat: Heartbeat,
) -> Infallible {
    let mut watch = Watch::new(database);
    let mut telling = Telling::new(revocations);
    loop {
        match watch.look(verifier).await {
            Ok(()) => telling.known(verifier),
            Err(error) => telling.not_read(&error, verifier),
        }
        heartbeat.beat();
        watch.rest().await;
    }
}

/// The connection and what was read over it.
struct Watch {
    database: IdentityDatabase,
    /// Made when needed, and anew after any error.
    connection: Option<WatchConnection>,
    /// From which transaction on rows are looked for.
    from: String,
    keys_read_at: Option<Instant>,
    /// A notice was heard since the last look.
    has_heard: bool,
    /// When the last look began, and when it was over.
    looked: (Instant, Instant),
    /// Looks that have failed in a row.
    failures: u32,
}

impl Watch {
    fn new(database: IdentityDatabase) -> Self {
        let now = Instant::now();
        Self {
            database,
            connection: None,
            from: connection::FROM_THE_BEGINNING.to_owned(),
            keys_read_at: None,
            has_heard: false,
            looked: (now, now),
            failures: 0,
        }
    }

    async fn look(&mut self, verifier: &Verifier) -> Result<(), LookError> {
        let looked = self.look_over_connection(verifier).await;
        self.failures = if looked.is_ok() { 0 } else { self.failures.saturating_add(1) };
        self.looked.1 = Instant::now();
        looked
    }

    async fn look_over_connection(&mut self, verifier: &Verifier) -> Result<(), LookError> {
        // Taken out while it is in use: an error or a look that is given up leaves none behind.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        // After the connection was made: what is known is as old as the look.
        self.looked.0 = Instant::now();
        let look = self.look_over(&mut connection, verifier);
        timeout(PATIENCE, look).await.map_err(|_| LookError::TooSlow)??;
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&mut self) -> Result<WatchConnection, LookError> {
        // Whoever answers now may be another server, whose numbers of transactions are others: all rows are
        // read again, and the keys too.
        connection::FROM_THE_BEGINNING.clone_into(&mut self.from);
        self.keys_read_at = None;
        let connection = WatchConnection::open(&self.database, PATIENCE);
        timeout(PATIENCE, connection).await.map_err(|_| LookError::TooSlow)?
    }

    async fn look_over(
        &mut self,
        connection: &mut WatchConnection,
        verifier: &Verifier,
    ) -> Result<(), LookError> {
        // Before the rows are read: a notice that comes from now on may be of a row that is not found yet.
        let is_asked = connection.take_notices() | std::mem::take(&mut self.has_heard);
        let found = connection.revocations(&self.from).await?;
        if is_asked || self.keys_read_at.is_none_or(|at| at.elapsed() >= KEYS_EVERY) {
            let keys = connection.public_keys().await?;
            let count = keys.len();
            if verifier.use_own_keys(KeySet::from_public_keys(keys)) {
                OwnKeysChanged { keys: count }.emit();
            }
            self.keys_read_at = Some(Instant::now());
        }
        // Last: what is known then is all of it, keys and revocations. And it is forgotten by the later of two
        // clocks, since tokens expire by ours.
        let (now, known_until) = (found.now.min(crate::now()), self.looked.0 + KNOWN_FOR);
        verifier.revocations().take(found.revocations, now, known_until.into_std());
        self.from = found.next_from;
        Ok(())
    }

    /// Until it is time to look again: soon after a notice, or after a while.
    async fn rest(&mut self) {
        let (began, ended) = self.looked;
        let Some(connection) = &mut self.connection else {
            return sleep_until(ended + backoff(self.failures, spread())).await;
        };
        let heard = tokio::select! {
            () = sleep_until(began + LOOK_EVERY) => None,
            heard = connection.hear() => Some(heard),
        };
        match heard {
            Some(Ok(())) => self.has_heard = true,
            Some(Err(_)) => self.connection = None,
            None => {}
        }
        sleep_until(ended + pause_after(ended - began)).await;
    }
}

/// The pause after a look that took so long.
fn pause_after(look: Duration) -> Duration {
    (look * PAUSE_FOR_EACH).clamp(SHORTEST_PAUSE, LOOK_EVERY)
}

/// 50 ms doubling to 2 s, between half and the whole of it.
fn backoff(failures: u32, spread: f64) -> Duration {
    let ceiling = Duration::from_millis(50).saturating_mul(1 << failures.min(6));
    ceiling.min(Duration::from_secs(2)).mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0)
}

/// A number from 0 to 1 that keeps processes from coming back all at once; it need not be random.
fn spread() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    f64::from(now.map_or(0, |time| time.subsec_nanos()) % 1_000) / 1_000.0
}

/// Says when something changes.
struct Telling {
    revocations: Component,
    /// When it was known last, or when this began.
    known_at: Instant,
    /// What was said last of a look that failed; nothing while looks succeed.
    fault: Option<String>,
    was_known: bool,
}

impl Telling {
    fn new(revocations: Component) -> Self {
        Self { revocations, known_at: Instant::now(), fault: None, was_known: false }
    }

    fn known(&mut self, verifier: &Verifier) {
        let is_news = self.fault.take().is_some() || !self.was_known;
        let after = is_news.then(|| self.known_at.elapsed());
        RevocationsRead { held: verifier.revocations().held(), after }.emit();
        (self.known_at, self.was_known) = (Instant::now(), true);
        self.revocations.ready();
    }

    fn not_read(&mut self, error: &LookError, verifier: &Verifier) {
        let said = error.to_string();
        let is_news = self.fault.as_ref() != Some(&said);
        RevocationsNotRead { error, age: self.known_at.elapsed(), is_news }.emit();
        let is_known = verifier.revocations().is_known(std::time::Instant::now());
        let refuses_all = verifier.revocations().when_unknown() == WhenUnknown::RefuseAll;
        if !self.was_known || (refuses_all && !is_known) {
            self.revocations.not_ready(said.clone());
        }
        self.fault = Some(said);
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Health;
    use settings::Settings;

    use super::*;
    use crate::AccessConfig;

    fn verifier(when_unknown: &str) -> Verifier {
        let pairs = [("MILLRACE_PROFILE", "dev"), ("MILLRACE_REVOCATIONS_UNKNOWN", when_unknown)];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Verifier::new(&AccessConfig::from_settings(&mut Settings::new(pairs)))
    }

    #[test]
    fn it_is_ready_once_it_is_known_what_was_revoked() {
        let (health, verifier) = (Health::new(), verifier("refuse-admin"));
        let mut telling = Telling::new(health.component("revocations"));
        telling.not_read(&LookError::TooSlow, &verifier);
        assert_eq!(health.report().faults["revocations"], LookError::TooSlow.to_string());
        telling.known(&verifier);
        assert!(health.report().ready);
    }

    #[test]
    fn a_database_that_goes_away_takes_it_only_where_everybody_is_refused_then() {
        for (when_unknown, is_known, is_ready) in [
            ("refuse-admin", false, true),
            ("allow", false, true),
            ("refuse-all", true, true),
            ("refuse-all", false, false),
        ] {
            let (health, verifier) = (Health::new(), verifier(when_unknown));
            let mut telling = Telling::new(health.component("revocations"));
            if is_known {
                let until = std::time::Instant::now() + Duration::from_secs(60);
                verifier.revocations().take([], 0, until);
            }
            telling.known(&verifier);
            telling.not_read(&LookError::LostConnection, &verifier);
            assert_eq!(health.report().ready, is_ready, "{when_unknown}");
            assert!(health.report().live, "{when_unknown}");
        }
    }

    #[test]
    fn many_notices_share_a_look_and_a_look_that_takes_long_is_not_repeated_at_once() {
        for (look, pause) in [(0, 25), (5, 25), (10, 40), (100, 400), (2_000, 500)] {
            let paused = pause_after(Duration::from_millis(look));
            assert_eq!(paused, Duration::from_millis(pause), "after {look} ms");
        }
    }

    #[test]
    fn attempts_come_ever_later_and_not_all_at_once() {
        assert_eq!(backoff(0, 1.0), Duration::from_millis(50));
        assert_eq!(backoff(0, 0.0), Duration::from_millis(25));
        assert_eq!(backoff(3, 1.0), Duration::from_millis(400));
        assert_eq!(backoff(u32::MAX, 1.0), Duration::from_secs(2));
        assert!((0.0..=1.0).contains(&spread()));
    }

    /// Port 1 of this machine: nobody listens there.
    #[tokio::test]
    async fn without_a_database_it_goes_on_trying_and_nobody_waits_for_it() {
        let (health, verifier) = (Health::new(), verifier("refuse-admin"));
        let database = IdentityDatabase {
            connect: PgConnectOptions::new().host("127.0.0.1").port(1),
            schema: "identity".to_owned(),
            application_name: "test",
        };
        let component = health.component("revocations");
        let heartbeat = health.heartbeat("identity", WATCH_DEADLINE);
        let watch = watch(database, &verifier, component, heartbeat);
        let told = async {
            while health.report().faults.get("revocations").is_none_or(|why| why == "starting") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = told => {}
            _ = watch => {}
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("it was never told of"),
        }
        assert!(!verifier.revocations().is_known(std::time::Instant::now()));
        assert!(verifier.has_keys(), "the secret's key does not come from there");
    }
}
