//! Access tokens that are taken no more.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::stream::column;
use crate::beside::Revoked;

/// What is revoked, and for how long it has to be known.
pub(super) type Revocation = (Revoked, Duration);

/// Writes them and tells it on the channel, in one statement. Nobody hears it before the commit, and then
/// everybody who listens finds the rows.
pub(super) async fn write(
    connection: &mut PgConnection,
    revocations: &[Revocation],
    channel: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH revoked AS (
             INSERT INTO revocations (session_id, user_id, below_version, expires_at)
             SELECT n.session_id, n.user_id, n.below_version,
                    now() + n.holds_for * interval '1 second'
             FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[], $4::float8[])
                  AS n(session_id, user_id, below_version, holds_for)
         )
         SELECT pg_notify($5, '')",
    )
    .bind(column(revocations, |(what, _)| session(*what)))
    .bind(column(revocations, |(what, _)| user(*what).map(|(id, _)| id)))
    .bind(column(revocations, |(what, _)| user(*what).map(|(_, below)| below.cast_signed())))
    .bind(column(revocations, |(_, holds_for)| holds_for.as_secs_f64()))
    .bind(channel)
    .execute(connection)
    .await
    .map(drop)
}

fn session(what: Revoked) -> Option<Uuid> {
    match what {
        Revoked::Session(id) => Some(id),
        Revoked::User { .. } => None,
    }
}

fn user(what: Revoked) -> Option<(Uuid, u64)> {
    match what {
        Revoked::Session(_) => None,
        Revoked::User { id, below_version } => Some((id, below_version)),
    }
}
