//! What the records of every decided family have in common: they begin with the event's place in
//! its stream, and only then say what happened.

mod write;

use domain::Timestamp;
use domain::decision::Decided;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::datum;
use crate::decode::DecodeError;
use crate::schema::Schema;

pub use write::EncodeError;
pub(crate) use write::Value;

/// The fields of an event's place in its stream, as they are written.
pub(crate) struct PlaceFields {
    pub(crate) event_id: String,
    /// Written under the name of [`Record::AGGREGATE_ID`].
    pub(crate) aggregate_id: String,
    pub(crate) stream_version: i64,
    pub(crate) previous_id: Option<String>,
    pub(crate) occurred_at: i64,
}

impl PlaceFields {
    /// The place of an event; `None` where no event can stand.
    pub(crate) fn of<E>(decided: &Decided<E>) -> Option<Self> {
        let stream_version = i64::try_from(decided.version).ok()?;
        stands(stream_version, decided.previous_id.as_ref()).then(|| Self {
            event_id: decided.event_id.to_string(),
            aggregate_id: decided.aggregate_id.to_string(),
            stream_version,
            previous_id: decided.previous_id.map(|id| id.to_string()),
            occurred_at: decided.occurred_at.micros(),
        })
    }

    /// The place alone; `aggregate_id` is what the record calls the field.
    fn read(self, aggregate_id: &'static str) -> Result<Decided<()>, DecodeError> {
        let uuid =
            |what, text: &str| Uuid::try_parse(text).map_err(|_| DecodeError::Malformed { what });
        let malformed = |what| DecodeError::Malformed { what };
        let version =
            u64::try_from(self.stream_version).map_err(|_| malformed("stream_version"))?;
        if !stands(self.stream_version, self.previous_id.as_ref()) {
            return Err(malformed(if version == 0 { "stream_version" } else { "previous_id" }));
        }
        Ok(Decided {
            event_id: uuid("event_id", &self.event_id)?,
            aggregate_id: uuid(aggregate_id, &self.aggregate_id)?,
            version,
            previous_id: self.previous_id.map(|text| uuid("previous_id", &text)).transpose()?,
            occurred_at: Timestamp(self.occurred_at),
            event: (),
        })
    }
}

/// Versions begin with 1, and exactly the first event follows none.
fn stands<I>(version: i64, previous_id: Option<&I>) -> bool {
    version >= 1 && (version == 1) == previous_id.is_none()
}

/// A record, split into the event's place and what else it holds, in the order of its schema.
pub(crate) trait Record: Sized {
    /// The name of the field that says whose event it is.
    const AGGREGATE_ID: &'static str;

    /// What the record holds besides the event's place.
    type Body;

    fn new(place: PlaceFields, body: Self::Body) -> Self;

    fn split(self) -> (PlaceFields, Self::Body);
}

/// A place without an event, and what the datum of a record says of the event.
pub(crate) fn read<R: Record + DeserializeOwned>(
    schema: Schema,
    datum: &mut &[u8],
) -> Result<(Decided<()>, R::Body), DecodeError> {
    let record: R = datum::reader(schema)
        .read_deser(datum)
        .map_err(|_| DecodeError::Malformed { what: "datum" })?;
    let (place, body) = record.split();
    Ok((place.read(R::AGGREGATE_ID)?, body))
}

/// The records of a family: how it calls the field that says whose event it is, and of each the
/// name that its schema has, the type, and the fields behind the place.
macro_rules! records {
    ($aggregate_id:ident: $($schema:literal => $name:ident {
        $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)?
    })*) => {
        $(
            #[derive(serde::Serialize, serde::Deserialize)]
            #[serde(rename = $schema)]
            pub(super) struct $name {
                event_id: String,
                $aggregate_id: String,
                stream_version: i64,
                previous_id: Option<String>,
                occurred_at: i64,
                $($(#[$attribute])* $field: $type,)*
            }

            impl $crate::decided::Record for $name {
                const AGGREGATE_ID: &'static str = stringify!($aggregate_id);

                type Body = ($($type,)*);

                fn new(
                    place: $crate::decided::PlaceFields,
                    ($($field,)*): Self::Body,
                ) -> Self {
                    Self {
                        event_id: place.event_id,
                        $aggregate_id: place.aggregate_id,
                        stream_version: place.stream_version,
                        previous_id: place.previous_id,
                        occurred_at: place.occurred_at,
                        $($field,)*
                    }
                }

                fn split(self) -> ($crate::decided::PlaceFields, Self::Body) {
                    let place = $crate::decided::PlaceFields {
                        event_id: self.event_id,
                        aggregate_id: self.$aggregate_id,
                        stream_version: self.stream_version,
                        previous_id: self.previous_id,
                        occurred_at: self.occurred_at,
                    };
                    (place, ($(self.$field,)*))
                }
            }
        )*
    };
}

pub(crate) use records;

#[cfg(test)]
pub(crate) mod tests;
