//! What must not be there of an erased person, by its kind: nobody needs to know what it said.

use domain::user::{UserEvent, UserId};
use event_schema::user::{decode_state, schema_of};

use super::{Database, why};
use crate::tool::erase_verify::report::{Found, Place};
use crate::tool::erase_verify::sealing::Sealing;

/// Rows of one table. The statement is given the user's id and answers how many rows are theirs and how
/// many of these must not be there as they are.
struct Check {
    table: &'static str,
    statement: &'static str,
    what: &'static str,
    /// Why there must be a row of everybody who was erased, where there must.
    without_row: Option<&'static str>,
}

const CHECKS: [Check; 8] = [
    Check {
        table: "{identity}.subject_keys",
        statement:
            "SELECT count(*), count(*) FILTER (WHERE key IS NOT NULL OR destroyed_at IS NULL)
                    FROM {identity}.subject_keys WHERE subject = $1",
        what: "with a key that was not destroyed",
        without_row: Some("nobody of this id was ever known here"),
    },
    Check {
        table: "{identity}.credentials",
        statement: "SELECT count(*), count(*) FROM {identity}.credentials WHERE user_id = $1",
        what: "of this user",
        without_row: None,
    },
    Check {
        table: "{identity}.second_factors",
        statement: "SELECT count(*), count(*) FROM {identity}.second_factors WHERE user_id = $1",
        what: "of this user",
        without_row: None,
    },
    Check {
        table: "{identity}.pending_registrations",
        statement: "SELECT count(*), count(*) FROM {identity}.pending_registrations
                    WHERE registration_id = $1::uuid",
        what: "of this user",
        without_row: None,
    },
    Check {
        table: "{event_store}.claims",
        statement: "SELECT count(*), count(*) FROM {event_store}.claims
                    WHERE stream_id = 'user-' || $1",
        what: "of this user",
        without_row: None,
    },
    Check {
        table: "{event_store}.requests",
        statement: "SELECT count(*),
                           count(*) FILTER (WHERE answer IS NOT NULL OR body_hash IS NOT NULL)
                    FROM {event_store}.requests WHERE subject = $1",
        what: "with an answer or the hash of a body",
        without_row: None,
    },
    Check {
        table: "{event_store}.mails",
        statement: "SELECT count(*),
                           count(*) FILTER (
                               WHERE settled_at IS NULL OR stream_id LIKE 'registration-%')
                    FROM {event_store}.mails
                    WHERE stream_id = 'user-' || $1
                    OR id = $1::uuid AND stream_id LIKE 'registration-%'",
        what: "that waits to be sent, or has the hash of an address",
        without_row: None,
    },
    Check {
        table: "{read_models}.user_rows",
        statement: "SELECT count(*),
                           count(*) FILTER (
                               WHERE num_nonnulls(username, email, full_name, bio, image) > 0)
                    FROM {read_models}.user_rows WHERE id = $1::uuid",
        what: "with a personal field",
        without_row: None,
    },
];

/// What the event store says of a person's stream, for whoever looks at the log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::tool::erase_verify) struct Person {
    /// Events that the log is to hold.
    pub(in crate::tool::erase_verify) published: u64,
}

/// Version, type, value and whether it is published.
type EventRow = (i64, String, Vec<u8>, bool);

impl Database {
    /// Looks at every table that has a place for this user.
    pub(in crate::tool::erase_verify) async fn person(
        &mut self,
        user: UserId,
        sealing: &Result<Sealing, String>,
        places: &mut Vec<Place>,
    ) -> Person {
        for check in CHECKS {
            places.push(self.check(user, &check).await);
        }
        places.push(self.state(user).await);
        let person = self.events(user, sealing, places).await;
        self.letters(user, sealing, places).await;
        person
    }

    async fn check(&mut self, user: UserId, check: &Check) -> Place {
        let Check { table, statement, what, without_row } = check;
        let name = self.schemas.named(&format!("{table} of the user"));
        let statement = self.schemas.named(statement);
        let counted: Result<(i64, i64), _> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(user.to_string())
            .fetch_one(&mut self.session)
            .await;
        match (counted, without_row) {
            (Err(error), _) => Place::not_looked_at(name, why(&error)),
            (Ok((0, _)), Some(without_row)) => Place::not_looked_at(name, *without_row),
            (Ok((rows, wrong)), _) => {
                let found = [Found::new(wrong.unsigned_abs(), *what)];
                Place::looked_at(name, rows.unsigned_abs(), "row", found)
            }
        }
    }

    /// The folded state, in which nothing may be left to be opened.
    async fn state(&mut self, user: UserId) -> Place {
        let table = self.schemas.named("{event_store}.streams");
        let name = format!("{table} of the user");
        let statement = format!("SELECT state FROM {table} WHERE stream_id = $1");
        let state: Result<Option<String>, _> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(user.stream_id())
            .fetch_optional(&mut self.session)
            .await;
        match state {
            Err(error) => Place::not_looked_at(name, why(&error)),
            Ok(None) => Place::not_looked_at(name, "there is no stream of this user"),
            Ok(Some(json)) => match decode_state(&json) {
                Err(_) => Place::not_looked_at(name, "the state is of another release"),
                Ok(state) => {
                    let fields =
                        [&state.username, &state.email, &state.full_name, &state.bio, &state.image];
                    let is_personal = fields.into_iter().any(Option::is_some);
                    let found = [
                        Found::new(u64::from(is_personal), "with a personal field"),
                        Found::new(u64::from(!state.erased), "that is not erased"),
                    ];
                    Place::looked_at(name, 1, "row", found)
                }
            },
        }
    }

    /// The history, which ends with the erasure; its personal fields are sealed.
    async fn events(
        &mut self,
        user: UserId,
        sealing: &Result<Sealing, String>,
        places: &mut Vec<Place>,
    ) -> Person {
        let table = self.schemas.named("{event_store}.events");
        let statement = format!(
            "SELECT stream_version, event_type, value, published_offset IS NOT NULL FROM {table}
             WHERE stream_id = $1 ORDER BY stream_version"
        );
        let of_user = format!("{table} of the user");
        let rows: Result<Vec<EventRow>, _> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(user.stream_id())
            .fetch_all(&mut self.session)
            .await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                places.push(Place::not_looked_at(of_user, why(&error)));
                return Person::default();
            }
        };
        let name = format!("the last of {of_user}");
        places.push(match rows.last() {
            None => Place::not_looked_at(name, "there is no event of this user"),
            Some((_, event_type, _, is_published)) => {
                let is_erased = *event_type == schema_of(&UserEvent::<()>::Erased).event_type();
                let found = [
                    Found::new(u64::from(!is_erased), "that is no erasure"),
                    Found::new(u64::from(!is_published), "that is not published yet"),
                ];
                Place::looked_at(name, 1, "event", found)
            }
        });
        let values = rows.iter().map(|(_, _, value, _)| value.as_slice());
        Sealing::look(sealing, of_user, "event", values, places);
        let published = rows.iter().filter(|(_, _, _, is_published)| *is_published).count();
        Person { published: published as u64 }
    }

    /// Records that were set aside, as the log holds them.
    async fn letters(
        &mut self,
        user: UserId,
        sealing: &Result<Sealing, String>,
        places: &mut Vec<Place>,
    ) {
        let table = self.schemas.named("{read_models}.letters");
        let statement = format!("SELECT coalesce(value, '') FROM {table} WHERE stream_id = $1");
        let name = format!("{table} of the user");
        let values: Result<Vec<Vec<u8>>, _> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .bind(user.stream_id())
            .fetch_all(&mut self.session)
            .await;
        match values {
            Err(error) => places.push(Place::not_looked_at(name, why(&error))),
            Ok(values) => {
                let values = values.iter().map(Vec::as_slice).filter(|value| !value.is_empty());
                Sealing::look(sealing, name, "letter", values, places);
            }
        }
    }
}
