//! Where in their stream discarded letters stand.
//!
//! A letter's place is what its event's body says. Of a record that nobody could decode only its
//! headers say one, and they are believed for one thing: whether the events on both sides of a gap name
//! this one between them. So a header moves no stream by itself, and what can be decoded is never
//! judged by it.

use event_schema::header::Headers;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::runner::sequence::Link;
use crate::runner::{Scope, UNDECODABLE};

/// A discarded letter: its place as its body said, else its headers.
#[derive(FromRow)]
struct Discarded {
    stream_version: Option<i64>,
    event_id: Option<Uuid>,
    previous_id: Option<Uuid>,
    header_names: Vec<String>,
    header_values: Vec<Option<Vec<u8>>>,
}

/// The discarded letters of a stream between two versions, by their places in it.
pub(crate) async fn discarded(
    connection: &mut PgConnection,
    scope: &Scope,
    stream_id: &str,
    (after, before): (u64, u64),
) -> Result<Vec<Link>, sqlx::Error> {
    let stored = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
    let letters: Vec<Discarded> = sqlx::query_as(
        "SELECT stream_version, event_id, previous_id, header_names, header_values FROM letters
         WHERE projection = $1 AND generation = $2 AND stream_id = $3 AND state = 'discarded'
           AND (stream_version > $4 AND stream_version < $5
                OR stream_version IS NULL AND error_code = ANY($6))",
    )
    .bind(scope.projection)
    .bind(scope.generation)
    .bind(stream_id)
    .bind(stored(after))
    .bind(stored(before))
    .bind(&UNDECODABLE[..])
    .fetch_all(connection)
    .await?;
    let is_between = |link: &Link| link.version > after && link.version < before;
    let links = letters.iter().filter_map(|letter| letter.link(stream_id));
    Ok(links.filter(is_between).collect())
}

impl Discarded {
    fn link(&self, stream_id: &str) -> Option<Link> {
        match (self.stream_version, self.event_id) {
            (Some(version), Some(event_id)) => {
                Some(Link::stored(version, event_id, self.previous_id))
            }
            _ => self.told_by_headers(stream_id),
        }
    }

    fn told_by_headers(&self, stream_id: &str) -> Option<Link> {
        let values = self.header_values.iter().map(Option::as_deref);
        let headers =
            Headers::read(self.header_names.iter().map(String::as_str).zip(values)).ok()?;
        let Headers { id: event_id, previous_id, .. } = headers;
        let version = headers.stream_version.filter(|_| headers.stream_id == stream_id)?;
        Some(Link { version, event_id, previous_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);
    const PREVIOUS: Uuid = Uuid::from_u128(6);

    /// A letter of a record that could not be decoded, with the headers of version 2.
    fn undecodable(stream_id: &str) -> Discarded {
        let headers = Headers {
            id: ID,
            source: "/a/test",
            event_type: "a.test.v1",
            stream_id,
            time: None,
            stream_version: Some(2),
            previous_id: Some(PREVIOUS),
            correlation_id: None,
            causation_id: None,
            actor: None,
            traceparent: None,
        };
        let (mut header_names, mut header_values) = (Vec::new(), Vec::new());
        headers.write(|name, value| {
            header_names.push(name.to_owned());
            header_values.push(Some(value.to_vec()));
        });
        Discarded {
            stream_version: None,
            event_id: None,
            previous_id: None,
            header_names,
            header_values,
        }
    }

    #[test]
    fn where_nothing_could_be_decoded_the_headers_say_the_place() {
        let link = Link { version: 2, event_id: ID, previous_id: Some(PREVIOUS) };
        assert_eq!(undecodable("s").link("s"), Some(link));
    }

    #[test]
    fn what_the_body_said_is_never_overridden() {
        let letter = Discarded {
            stream_version: Some(5),
            event_id: Some(Uuid::from_u128(9)),
            previous_id: None,
            ..undecodable("s")
        };
        assert_eq!(letter.link("s"), Some(Link::stored(5, Uuid::from_u128(9), None)));
    }

    #[test]
    fn headers_of_another_stream_or_that_are_not_ours_say_nothing() {
        assert_eq!(undecodable("another").link("s"), None);
        let mut letter = undecodable("s");
        letter.header_values.iter_mut().for_each(|value| *value = Some(b"x".to_vec()));
        assert_eq!(letter.link("s"), None);
        (letter.header_names, letter.header_values) = (Vec::new(), Vec::new());
        assert_eq!(letter.link("s"), None);
    }
}
