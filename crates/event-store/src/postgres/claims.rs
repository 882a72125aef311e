//! Claims, within the transaction of their decision.

use sqlx::PgConnection;

use super::failed;
use super::rows::datetime;
use crate::append::{Append, AppendError};
use crate::claim::Claim;

/// Whose a value is that two streams take.
#[derive(Clone, Copy)]
enum Winner {
    /// The one that has it, unless it has lapsed.
    Holder,
    /// The one that took it later: the log has decided already.
    Later,
}

/// Does what a decision does to claims.
pub(super) async fn claim(
    connection: &mut PgConnection,
    append: &Append,
) -> Result<(), AppendError> {
    let stream_id = append.stream_id.as_str();
    for claims in sorted(&append.claims).chunk_by(are_taken_together) {
        match claims[0] {
            Claim::Take { .. } => {
                // A new stream has nothing to give back.
                if append.expected_version > 0 {
                    give_back(&mut *connection, stream_id, claims).await.map_err(failed)?;
                }
                let taken = take(&mut *connection, stream_id, claims, Winner::Holder).await;
                let taken = taken.map_err(failed)?;
                let is_refused = |kind: &&str| !taken.iter().any(|taken| taken == kind);
                if let Some(kind) = claims.iter().map(Claim::kind).find(is_refused) {
                    return Err(AppendError::Taken(kind));
                }
            }
            Claim::Confirm { kind } => {
                if !confirm(&mut *connection, stream_id, kind).await.map_err(failed)? {
                    return Err(AppendError::Lapsed(kind));
                }
            }
            Claim::Release { kind } => {
                release(&mut *connection, stream_id, kind).await.map_err(failed)?;
            }
        }
    }
    Ok(())
}

/// Does what the log says was done to claims.
pub(super) async fn absorb(
    connection: &mut PgConnection,
    stream_id: &str,
    claims: &[Claim],
) -> Result<(), sqlx::Error> {
    for claim in claims {
        match *claim {
            Claim::Take { .. } => {
                let claims = [*claim];
                give_back(&mut *connection, stream_id, &claims).await?;
                take(&mut *connection, stream_id, &claims, Winner::Later).await?;
            }
            Claim::Confirm { kind } => {
                confirm(&mut *connection, stream_id, kind).await?;
            }
            Claim::Release { kind } => release(&mut *connection, stream_id, kind).await?,
        }
    }
    Ok(())
}

/// In one order for everybody, so that decisions that take the same values wait for each other and never
/// in a circle.
fn sorted(claims: &[Claim]) -> Vec<Claim> {
    let mut claims = claims.to_vec();
    claims.sort_by_key(|claim| match claim {
        Claim::Take { kind, digest, .. } => (*kind, Some(*digest)),
        Claim::Confirm { kind } | Claim::Release { kind } => (*kind, None),
    });
    claims
}

/// Of different kinds, so that none is in another one's way.
fn are_taken_together(one: &Claim, next: &Claim) -> bool {
    matches!((one, next), (Claim::Take { .. }, Claim::Take { .. })) && one.kind() != next.kind()
}

/// Takes values in their order; returns the kinds of those that are the stream's now.
async fn take(
    connection: &mut PgConnection,
    stream_id: &str,
    claims: &[Claim],
    winner: Winner,
) -> Result<Vec<String>, sqlx::Error> {
    let (mut digests, mut from, mut until) = (Vec::new(), Vec::new(), Vec::new());
    for claim in claims {
        if let Claim::Take { digest, taken_at, lapses_at, .. } = claim {
            digests.push(&digest[..]);
            from.push(datetime(*taken_at));
            until.push(lapses_at.map(datetime));
        }
    }
    sqlx::query_scalar(
        "INSERT INTO claims AS c (kind, digest, stream_id, taken_at, lapses_at)
         SELECT n.kind, n.digest, $1, n.taken_at, n.lapses_at
         FROM UNNEST($2::text[], $3::bytea[], $4::timestamptz[], $5::timestamptz[])
              WITH ORDINALITY AS n(kind, digest, taken_at, lapses_at, at)
         ORDER BY n.at
         ON CONFLICT (kind, digest) DO UPDATE
         SET stream_id = excluded.stream_id, taken_at = excluded.taken_at,
             lapses_at = excluded.lapses_at
         WHERE CASE WHEN $6 THEN c.taken_at <= excluded.taken_at
               ELSE c.stream_id = excluded.stream_id OR c.lapses_at <= excluded.taken_at END
         RETURNING kind",
    )
    .bind(stream_id)
    .bind(kinds(claims))
    .bind(digests)
    .bind(from)
    .bind(until)
    .bind(matches!(winner, Winner::Later))
    .fetch_all(connection)
    .await
}

/// Gives back what the stream has in place of the values that it takes.
async fn give_back(
    connection: &mut PgConnection,
    stream_id: &str,
    claims: &[Claim],
) -> Result<(), sqlx::Error> {
    let digests: Vec<&[u8]> = claims
        .iter()
        .filter_map(|claim| match claim {
            Claim::Take { digest, .. } => Some(&digest[..]),
            Claim::Confirm { .. } | Claim::Release { .. } => None,
        })
        .collect();
    sqlx::query(
        "DELETE FROM claims c USING UNNEST($2::text[], $3::bytea[]) AS n(kind, digest)
         WHERE c.kind = n.kind AND c.stream_id = $1 AND c.digest <> n.digest",
    )
    .bind(stream_id)
    .bind(kinds(claims))
    .bind(digests)
    .execute(connection)
    .await
    .map(drop)
}

fn kinds(claims: &[Claim]) -> Vec<&'static str> {
    claims.iter().map(Claim::kind).collect()
}

/// False where the stream has no value of the kind any more.
async fn confirm(
    connection: &mut PgConnection,
    stream_id: &str,
    kind: &str,
) -> Result<bool, sqlx::Error> {
    let confirmed =
        sqlx::query("UPDATE claims SET lapses_at = NULL WHERE kind = $1 AND stream_id = $2")
            .bind(kind)
            .bind(stream_id)
            .execute(connection)
            .await?;
    Ok(confirmed.rows_affected() > 0)
}

/// Only whoever is erased gives values back. With the address goes what was asked for with it, and so do the mails
/// of that, which hold its hash.
async fn release(
    connection: &mut PgConnection,
    stream_id: &str,
    kind: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH released AS (
             DELETE FROM claims WHERE kind = $1 AND stream_id = $2 RETURNING digest
         ), unmailed AS (
             DELETE FROM mails m USING released r
             WHERE m.stream_id = 'registration-' || encode(r.digest, 'hex')
         )
         DELETE FROM pending_registrations p USING released r WHERE p.email_digest = r.digest",
    )
    .bind(kind)
    .bind(stream_id)
    .execute(connection)
    .await
    .map(drop)
}
