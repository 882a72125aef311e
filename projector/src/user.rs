//! Users.
//!
//! What the log holds of a person is sealed. The fold opens it under a lock on the person's key, which
//! erasing waits for and destroys: so whatever was opened is committed before the key is gone, and the
//! event that redacts it comes behind it in the log. Where that event has to wait for others of its stream,
//! the row is redacted all the same.

mod erasure;
mod keys;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::Timestamp;
use domain::decision::Decided;
use domain::user::{UserEvent, UserId};
use event_schema::personal::{Sealed, SubjectKey};
use kafka_io::topic::Topic;
use read_models::cached::CachedRow;
use read_models::database::identity_schema;
use read_models::recorded::{RecordPlace, Recorded};
use read_models::user::{self, OpenedUserEvent, UserRow};
use serde_json::{Value, json};
use settings::Prefix;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::decided::{InStream, StreamEvent, aggregates};
use crate::runner::{Order, Projection, Unreadable, to_datetime};

use keys::SubjectKeys;

/// An event of a user, with the name of the stream it belongs to.
pub type UserStreamEvent = StreamEvent<UserEvent<Sealed>>;

impl InStream for UserEvent<Sealed> {
    fn stream_id(aggregate_id: Uuid) -> String {
        UserId(aggregate_id).stream_id()
    }
}

/// Folds what is decided about users into `users`.
#[derive(Debug, Clone)]
pub struct User {
    keys: SubjectKeys,
}

impl User {
    /// Of the deployment with this prefix: persons' keys are in a schema of their own.
    pub fn of(prefix: &Prefix) -> Self {
        Self { keys: SubjectKeys::in_schema(&identity_schema(prefix)) }
    }
}

impl Projection for User {
    const NAME: &'static str = "user";
    const TOPIC: Topic = Topic::IdentityUser;
    const ORDER: Order = Order::Sequenced;
    const CACHED_AS: Option<&'static str> = Some("user");
    type Event = UserStreamEvent;

    async fn fold(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        batch: &[&Recorded<UserStreamEvent>],
    ) -> Result<u64, sqlx::Error> {
        let keys = self.keys.lock(&mut *transaction, batch).await?;
        let opened =
            batch.iter().map(|record| open(record, &keys)).collect::<Result<Vec<_>, _>>()?;
        let ids = aggregates(&opened);
        // Nobody else changes them: the partition's position is locked.
        let before = user::find(&mut *transaction, generation, &ids).await?;
        let before = before.into_iter().map(|stored| (stored.id, stored.row)).collect();
        upsert(transaction, generation, &user::fold(before, opened)).await
    }

    /// Nobody who is erased is shown for as long as their stream waits behind a letter.
    async fn on_set_aside(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        events: &[&Recorded<UserStreamEvent>],
    ) -> Result<BTreeSet<String>, sqlx::Error> {
        let erased = erasure::erased(events);
        if erased.is_empty() {
            return Ok(BTreeSet::new());
        }
        let redacted = erasure::redact(transaction, generation, &erased).await?;
        Ok(redacted.into_iter().map(UserId::stream_id).collect())
    }

    fn cached_id(stream_id: &str) -> &str {
        // By the user's id: the stream names its kind before it.
        stream_id.split_once('-').map_or(stream_id, |(_, id)| id)
    }

    async fn cached(
        &self,
        transaction: &mut PgConnection,
        generation: i32,
        ids: &[&str],
    ) -> Result<Vec<(String, CachedRow)>, sqlx::Error> {
        let ids: Vec<Uuid> =
            ids.iter().filter_map(|id| UserId::parse(id).ok()).map(|id| id.0).collect();
        let stored = user::find(transaction, generation, &ids).await?;
        Ok(stored.into_iter().map(|stored| (stored.id.to_string(), stored.cached())).collect())
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        generation: i32,
        stream_id: &str,
        _: &RecordPlace,
    ) -> Result<BTreeMap<String, Value>, sqlx::Error> {
        let Some(UserId(id)) = UserId::from_stream_id(stream_id) else {
            return Ok(BTreeMap::new());
        };
        let found = user::find(connection, generation, &[id]).await?;
        Ok(found.iter().map(|stored| ("users".to_owned(), told(&stored.row))).collect())
    }
}

/// The event with its personal fields as texts. Where the key is gone they say nothing; where it is at
/// hand and one does not open, it is the record that is at fault.
fn open(
    record: &Recorded<UserStreamEvent>,
    keys: &HashMap<Uuid, SubjectKey>,
) -> Result<Recorded<OpenedUserEvent>, Unreadable> {
    let decided = record.event.decided().clone();
    let key = keys.get(&decided.aggregate_id);
    let mut open = |field: &'static str, sealed: Sealed| match key {
        None => Ok(None),
        Some(key) => key.open(&sealed).map(Some).ok_or(Unreadable { what: field }),
    };
    let event: Decided<UserEvent<Option<String>>> =
        decided.try_map(|_, event| event.map(&mut open))?;
    let Recorded { partition, position, log_time, .. } = *record;
    Ok(Recorded { event, partition, position, log_time })
}

/// A row as operators are shown it: of personal fields, which are known and not what they say.
fn told(row: &UserRow) -> Value {
    let personal = row.known_fields().map(|(name, is_known)| {
        let presence = if is_known { "present" } else { "absent" };
        (name.to_owned(), Value::from(presence))
    });
    let roles: Vec<&str> = row.roles.iter().map(|role| role.name()).collect();
    let time = Timestamp::to_rfc3339;
    let mut told = json!({
        "roles": roles,
        "email_verified": row.email_verified,
        "active": row.active,
        "erased": row.erased,
        "session_epoch": row.session_epoch,
        "version": row.version,
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
        "log_epoch": row.position.epoch,
        "log_offset": row.position.offset,
    });
    if let Some(members) = told.as_object_mut() {
        members.extend(personal);
    }
    told
}

/// Writes the rows, in the order of ids; returns how many. The version alone says which of two is the
/// newer: an event that had to wait for an earlier version stands before it in the log.
async fn upsert(
    transaction: &mut PgConnection,
    generation: i32,
    rows: &BTreeMap<UserId, UserRow>,
) -> Result<u64, sqlx::Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    let written = sqlx::query(
        "INSERT INTO user_rows AS r (generation, id, username, email, full_name, bio, image, roles,
                                     email_verified, active, erased, session_epoch, version,
                                     created_at, updated_at, log_epoch, log_offset)
         SELECT $1, b.id, b.username, b.email, b.full_name, b.bio, b.image,
                string_to_array(b.roles, ','), b.email_verified, b.active, b.erased, b.session_epoch,
                b.version, b.created_at, b.updated_at, b.epoch, b.log_offset
         FROM UNNEST($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::boolean[], $10::boolean[], $11::boolean[], $12::bigint[],
                     $13::bigint[], $14::timestamptz[], $15::timestamptz[], $16::int[], $17::bigint[])
              AS b(id, username, email, full_name, bio, image, roles, email_verified, active, erased,
                   session_epoch, version, created_at, updated_at, epoch, log_offset)
         ON CONFLICT (generation, id) DO UPDATE
         SET username = excluded.username, email = excluded.email,
             full_name = excluded.full_name, bio = excluded.bio, image = excluded.image,
             roles = excluded.roles, email_verified = excluded.email_verified,
             active = excluded.active, erased = excluded.erased,
             session_epoch = excluded.session_epoch, version = excluded.version,
             created_at = excluded.created_at, updated_at = excluded.updated_at,
             log_epoch = excluded.log_epoch, log_offset = excluded.log_offset
         WHERE r.version < excluded.version",
    )
    .bind(generation)
    .bind(rows.keys().map(|id| id.0).collect::<Vec<_>>())
    .bind(column(rows, |row| row.username.as_deref()))
    .bind(column(rows, |row| row.email.as_deref()))
    .bind(column(rows, |row| row.full_name.as_deref()))
    .bind(column(rows, |row| row.bio.as_deref()))
    .bind(column(rows, |row| row.image.as_deref()))
    .bind(column(rows, roles))
    .bind(column(rows, |row| row.email_verified))
    .bind(column(rows, |row| row.active))
    .bind(column(rows, |row| row.erased))
    .bind(column(rows, |row| i64::from(row.session_epoch)))
    .bind(column(rows, |row| row.version.cast_signed()))
    .bind(column(rows, |row| to_datetime(row.created_at)))
    .bind(column(rows, |row| to_datetime(row.updated_at)))
    .bind(column(rows, |row| row.position.epoch))
    .bind(column(rows, |row| row.position.offset))
    .execute(transaction)
    .await?;
    Ok(written.rows_affected())
}

fn column<'a, T>(rows: &'a BTreeMap<UserId, UserRow>, value: impl Fn(&'a UserRow) -> T) -> Vec<T> {
    rows.values().map(value).collect()
}

/// Their names, none of which holds a comma.
fn roles(row: &UserRow) -> String {
    row.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
