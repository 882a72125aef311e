//! Reading rows of the view.

use std::collections::HashMap;

use domain::user::{UserId, Username};
use read_models::user::{StoredUser, UserColumns};
use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::PROJECTION;
use crate::consistency::{OpenLetters, Whose, find_letters};
use crate::listing::ONE_MOMENT;
use crate::lookups::Lookup;
use crate::positions::map::Need;

/// What a reader looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserKey {
    pub(crate) who: Who,
    /// What its token asks for, where some of it may be set aside.
    pub(crate) unsure: Vec<Need>,
}

/// Whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// Who has this id.
    Is(UserId),
    /// Who has this name, normalised.
    Named(String),
}

/// What there is, all of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundUser {
    pub(crate) stored: Option<StoredUser>,
    /// Open letters that keep the reader's needs from being shown, or bound what the row promises.
    pub(crate) letters: Vec<OpenLetters>,
}

/// Rows by user.
pub(crate) struct UserLookup;

/// By id and by name at once.
const FIND: &str = "
    WITH active AS (SELECT g.generation FROM generations g
                    WHERE g.projection = 'user' AND g.state = 'active')
    SELECT r.id, r.generation, r.username, r.email, r.full_name, r.bio, r.image, r.roles,
           r.email_verified, r.active, r.erased, r.session_epoch, r.version, r.created_at, r.updated_at,
           r.log_epoch, r.log_offset
    FROM user_rows r
    WHERE r.generation = (SELECT generation FROM active) AND r.id = ANY($1)
    UNION ALL
    SELECT r.id, r.generation, r.username, r.email, r.full_name, r.bio, r.image, r.roles,
           r.email_verified, r.active, r.erased, r.session_epoch, r.version, r.created_at, r.updated_at,
           r.log_epoch, r.log_offset
    FROM user_rows r
    WHERE r.generation = (SELECT generation FROM active) AND r.username IS NOT NULL
      AND lower(r.username) = ANY($2)";

impl Lookup for UserLookup {
    const OF: &'static str = "user";
    type Key = UserKey;
    type Found = FoundUser;

    async fn find(
        connection: &mut PgConnection,
        keys: &[UserKey],
    ) -> Result<Vec<FoundUser>, sqlx::Error> {
        if keys.iter().all(|key| key.unsure.is_empty()) {
            return rows(connection, keys).await;
        }
        connection.execute(ONE_MOMENT).await?;
        let mut found = rows(&mut *connection, keys).await?;
        for (key, found) in keys.iter().zip(&mut found).filter(|(key, _)| !key.unsure.is_empty()) {
            let stream = found.stored.as_ref().map(|stored| stored.id).or(key.who.id());
            let stream = stream.map(UserId::stream_id);
            // Of whom nobody has heard by name, any record that is set aside may tell.
            let whose = stream.as_deref().map_or(Whose::Everybody, Whose::Stream);
            found.letters = find_letters(&mut *connection, PROJECTION, whose, &key.unsure).await?;
        }
        connection.execute("COMMIT").await?;
        Ok(found)
    }
}

impl Who {
    fn id(&self) -> Option<UserId> {
        match self {
            Self::Is(id) => Some(*id),
            Self::Named(_) => None,
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Is(_) => None,
            Self::Named(name) => Some(name),
        }
    }
}

/// The row of each key, in their order.
async fn rows(
    connection: &mut PgConnection,
    keys: &[UserKey],
) -> Result<Vec<FoundUser>, sqlx::Error> {
    let ids: Vec<Uuid> = keys.iter().filter_map(|key| key.who.id()).map(|id| id.0).collect();
    let names: Vec<&str> = keys.iter().filter_map(|key| key.who.name()).collect();
    let rows: Vec<UserColumns> =
        sqlx::query_as(FIND).bind(ids).bind(names).fetch_all(connection).await?;
    Ok(found(keys, rows.into_iter().map(StoredUser::from)))
}

fn found(keys: &[UserKey], rows: impl Iterator<Item = StoredUser>) -> Vec<FoundUser> {
    let (mut by_id, mut by_name) = (HashMap::new(), HashMap::<String, StoredUser>::new());
    for row in rows {
        if let Some(name) = row.row.username.as_deref().map(Username::normalise) {
            // A name is free again once its user is erased: until the view has heard of that, two have
            // it, and it is the later one's.
            let is_taken = |other: &StoredUser| other.row.created_at > row.row.created_at;
            if !by_name.get(&*name).is_some_and(is_taken) {
                by_name.insert(name.into_owned(), row.clone());
            }
        }
        by_id.insert(row.id, row);
    }
    let stored = |key: &UserKey| match &key.who {
        Who::Is(id) => by_id.get(id).cloned(),
        Who::Named(name) => by_name.get(name).cloned(),
    };
    keys.iter().map(|key| FoundUser { stored: stored(key), letters: Vec::new() }).collect()
}
