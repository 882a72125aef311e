//! One connection to the database: what it is asked, and the notices it hears.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use uuid::Uuid;

use super::IdentityDatabase;
use crate::{Revocation, Revoked};

/// Longest statement, and longest wait for a lock, as the server keeps them: shorter than our patience, so
/// that a server that answers at all says so.
const STATEMENT_TIMEOUT: &str = "1500ms";

/// Before every transaction.
pub(super) const FROM_THE_BEGINNING: &str = "0";

/// Finds the rows of all transactions that the last look may not have seen.
///
/// No number and no time of a row can say where the next look has to begin: both are given when the row is
/// written, and a transaction that commits late shows one that was passed long ago. But each row names the
/// transaction that wrote it, and the snapshot by which a statement reads names the oldest transaction that
/// was under way then (`pg_snapshot_xmin`, asked in that very statement). Every transaction before that one
/// had ended, so that its rows were shown; whatever was not shown is of that one or a later one, and the next
/// look begins there, whenever it is committed. Rows that were found before come again for as long as an
/// older transaction of anybody is under way, which costs a little and changes nothing.
///
/// There is a line also where no row is found.
const FIND: &str = "
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text,
           floor(extract(epoch FROM clock_timestamp()))::bigint,
           r.session_id, r.user_id, r.below_version,
           ceil(extract(epoch FROM r.expires_at))::bigint
    FROM (VALUES (0)) AS one
    LEFT JOIN revocations r ON r.recorded_in >= $1::text::xid8 AND r.expires_at > now()";

/// Next beginning, the database's time, and what was revoked with the time when its tokens have expired.
type Line = (String, i64, Option<Uuid>, Option<Uuid>, Option<i64>, Option<i64>);

const PUBLIC_KEYS: &str = "SELECT kid, public_key FROM signing_keys";

/// Why a look did not succeed; the next one may.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// The database does not answer in time.
    #[error("the database does not say in time which access tokens were revoked")]
    TooSlow,
    /// It refuses what it is asked.
    #[error("the database refuses to say which access tokens were revoked; run the deploy steps")]
    NotDeployed(#[source] sqlx::Error),
    /// It does not answer.
    #[error("the database does not say which access tokens were revoked")]
    Database(#[source] sqlx::Error),
    /// It answers nothing, where there is a line whatever it has found.
    #[error("the database answers nothing of which access tokens were revoked")]
    NoLine,
    /// Notices are not heard any more.
    #[error("the connection that tells which access tokens were revoked is lost")]
    LostConnection,
}

impl From<sqlx::Error> for LookError {
    /// A missing table, column, schema or right is for the deploy steps to mend.
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            Some("42P01" | "42703" | "42501" | "3F000") => Self::NotDeployed(error),
            _ => Self::Database(error),
        }
    }
}

/// What a look has found.
pub(super) struct Found {
    pub(super) revocations: Vec<Revocation>,
    /// The database's time, in seconds since 1970.
    pub(super) now: i64,
    /// Where the next look begins.
    pub(super) next_from: String,
}

/// A connection that listens and is asked. Dropped, it is closed as soon as the server lets it.
pub(super) struct WatchConnection(PgListener);

impl WatchConnection {
    /// Connects and listens, within the time-out.
    pub(super) async fn open(
        database: &IdentityDatabase,
        within: Duration,
    ) -> Result<Self, LookError> {
        // A listener takes its connection from a pool. One of its own for each: one that hangs, and whose end
        // is waited for, takes no place of the next.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(within)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options(database));
        let mut listener = PgListener::connect_with(&pool).await?;
        // It must not be replaced unseen: whoever connects anew reads everything anew.
        listener.eager_reconnect(false);
        listener.listen(&settings::changed_channel(&database.schema)).await?;
        Ok(Self(listener))
    }

    /// Every revocation that was committed by now, from a transaction on.
    pub(super) async fn revocations(&mut self, from: &str) -> Result<Found, LookError> {
        let lines: Vec<Line> = sqlx::query_as(FIND).bind(from).fetch_all(&mut self.0).await?;
        let Some((next_from, now, ..)) = lines.first() else { return Err(LookError::NoLine) };
        let (next_from, now) = (next_from.clone(), *now);
        let revocations = lines.into_iter().filter_map(revocation).collect();
        Ok(Found { revocations, now, next_from })
    }

    /// The public keys of the deployment, by name; what is no key of Ed25519 is left out.
    pub(super) async fn public_keys(&mut self) -> Result<Vec<(String, [u8; 32])>, LookError> {
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as(PUBLIC_KEYS).fetch_all(&mut self.0).await?;
        let key = |(kid, key): (String, Vec<u8>)| Some((kid, <[u8; 32]>::try_from(key).ok()?));
        Ok(rows.into_iter().filter_map(key).collect())
    }

    /// Whether there were notices that nobody has taken.
    pub(super) fn take_notices(&mut self) -> bool {
        let mut were_there = false;
        while self.0.next_buffered().is_some() {
            were_there = true;
        }
        were_there
    }

    /// Returns with the next notice. Safe to drop: a notice that is lost by it costs the time until the
    /// next look.
    pub(super) async fn hear(&mut self) -> Result<(), LookError> {
        match self.0.try_recv().await? {
            Some(_) => Ok(()),
            None => Err(LookError::LostConnection),
        }
    }
}

fn options(database: &IdentityDatabase) -> PgConnectOptions {
    let connect = database.connect.clone().application_name(database.application_name);
    connect.options([
        ("search_path", database.schema.as_str()),
        ("lock_timeout", STATEMENT_TIMEOUT),
        ("statement_timeout", STATEMENT_TIMEOUT),
    ])
}

fn revocation(line: Line) -> Option<Revocation> {
    let (_, _, session, user, below_version, expires_at) = line;
    let what = match (session, user) {
        (Some(id), _) => Revoked::Session(id),
        (None, Some(id)) => {
            Revoked::User { id, below_version: u64::try_from(below_version?).ok()? }
        }
        (None, None) => return None,
    };
    Some(Revocation { what, expires_at: expires_at? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_of_a_session_or_of_a_user_or_of_nothing() {
        let line = |session, user, below| ("7".to_owned(), 0, session, user, below, Some(9));
        let id = Uuid::from_u128(1);
        let revoked = |line| revocation(line).map(|revocation| revocation.what);
        assert_eq!(revoked(line(Some(id), None, None)), Some(Revoked::Session(id)));
        let user = Revoked::User { id, below_version: 3 };
        assert_eq!(revoked(line(None, Some(id), Some(3))), Some(user));
        assert_eq!(revoked(line(None, None, None)), None);
    }

    #[test]
    fn what_a_deploy_step_mends_is_told_so() {
        let error = LookError::from(sqlx::Error::PoolTimedOut);
        assert!(matches!(error, LookError::Database(_)));
        assert!(!error.to_string().contains("deploy"));
        let error = LookError::NotDeployed(sqlx::Error::PoolTimedOut);
        assert!(error.to_string().contains("run the deploy steps"));
    }
}
