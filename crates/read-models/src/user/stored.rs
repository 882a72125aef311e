//! The row as Postgres gives it.

use chrono::{DateTime, Utc};
use domain::Timestamp;
use domain::role::Role;
use domain::user::UserId;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{UserRow, body};
use crate::cached::CachedRow;
use crate::recorded::LogPosition;

/// A row and the build it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUser {
    /// The user.
    pub id: UserId,
    /// The build of the projection.
    pub generation: i32,
    /// The row.
    pub row: UserRow,
}

impl StoredUser {
    /// The row as it stands in the cache.
    pub fn cached(&self) -> CachedRow {
        CachedRow {
            generation: self.generation,
            version: self.row.version,
            position: self.row.position,
            body: body(self.id, &self.row).into(),
        }
    }
}

/// Columns of `user_rows`, all but none of them.
#[derive(FromRow)]
pub struct UserColumns {
    id: Uuid,
    generation: i32,
    username: Option<String>,
    email: Option<String>,
    full_name: Option<String>,
    bio: Option<String>,
    image: Option<String>,
    roles: Vec<String>,
    email_verified: bool,
    active: bool,
    erased: bool,
    session_epoch: i64,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    log_epoch: i32,
    log_offset: i64,
}

impl From<UserColumns> for StoredUser {
    fn from(columns: UserColumns) -> Self {
        let micros = |time: DateTime<Utc>| Timestamp(time.timestamp_micros());
        let row = UserRow {
            username: columns.username,
            email: columns.email,
            full_name: columns.full_name,
            bio: columns.bio,
            image: columns.image,
            roles: columns.roles.iter().filter_map(|name| Role::parse(name)).collect(),
            email_verified: columns.email_verified,
            active: columns.active,
            erased: columns.erased,
            session_epoch: u32::try_from(columns.session_epoch).unwrap_or(u32::MAX),
            version: columns.version.unsigned_abs(),
            created_at: micros(columns.created_at),
            updated_at: micros(columns.updated_at),
            position: LogPosition { epoch: columns.log_epoch, offset: columns.log_offset },
        };
        Self { id: UserId(columns.id), generation: columns.generation, row }
    }
}

/// The rows of these users in one build, in no order; who has none is missing.
///
/// # Errors
/// What the database says.
pub async fn find(
    connection: &mut PgConnection,
    generation: i32,
    ids: &[Uuid],
) -> Result<Vec<StoredUser>, sqlx::Error> {
    let rows: Vec<UserColumns> = sqlx::query_as(
        "SELECT id, generation, username, email, full_name, bio, image, roles, email_verified,
                active, erased, session_epoch, version, created_at, updated_at, log_epoch, log_offset
         FROM user_rows WHERE generation = $1 AND id = ANY($2)",
    )
    .bind(generation)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(StoredUser::from).collect())
}
