//! Values of the log as events: strict, bounded, without panics.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use arc_swap::ArcSwap;

use crate::registry::{FetchError, RegisteredText, Registry};
use crate::schema::{Family, Schema};
use crate::wire::{self, FrameError};

/// Why a value is no event of the family. Messages never hold what the value held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("the value is empty")]
    Empty,
    /// The first byte is not the wire format's.
    #[error("the value does not begin with the wire format's zero byte")]
    Magic,
    /// The value ends inside the wire format's prefix.
    #[error("the value ends before its schema id does")]
    Truncated,
    /// Nobody has said what this schema id means: ask the registry, then decode again.
    #[error("schema id {0} is not known here")]
    UnknownSchemaId(u32),
    /// The schema id means a record that is not of this family.
    #[error("schema id {id} is {record_name}, which does not belong on this topic")]
    WrongRecord {
        /// The id in the value.
        id: u32,
        /// The record it stands for.
        record_name: String,
    },
    /// The schema id means a version of our record that this program does not have: deploy a newer
    /// one. Waiting helps, setting the value aside does not.
    #[error("schema id {id} is a version of {record_name} that this program does not have")]
    NewerVersion {
        /// The id in the value.
        id: u32,
        /// The record it stands for.
        record_name: &'static str,
    },
    /// The event was read, and bytes were left.
    #[error("{0} bytes follow the event")]
    TrailingBytes(usize),
    /// The datum is not what its schema says, or a field holds what the event cannot.
    #[error("the {what} is malformed")]
    Malformed {
        /// The field, or `datum` where the bytes do not follow the schema.
        what: &'static str,
    },
}

impl DecodeError {
    /// A stable name for metrics and letters.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Magic => "magic",
            Self::Truncated => "truncated",
            Self::UnknownSchemaId(_) => "unknown-schema-id",
            Self::WrongRecord { .. } => "wrong-record",
            Self::NewerVersion { .. } => "newer-version",
            Self::TrailingBytes(_) => "trailing-bytes",
            Self::Malformed { .. } => "malformed",
        }
    }
}

impl From<FrameError> for DecodeError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Empty => Self::Empty,
            FrameError::Magic => Self::Magic,
            FrameError::Truncated => Self::Truncated,
        }
    }
}

/// The events of one family, as read from a datum.
pub trait EventFamily: Sized {
    /// Which family.
    const FAMILY: Family;

    /// Reads a datum written with the schema, and moves `datum` behind it. A schema of another
    /// family is never passed.
    fn read(schema: Schema, datum: &mut &[u8]) -> Result<Self, DecodeError>;
}

/// What the registry calls one of our schemas: a row that the deploy step recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownId {
    /// The id, as values carry it.
    pub schema_id: u32,
    /// The record's full name.
    pub record_name: String,
    /// Our version number.
    pub version: i32,
}

/// Decodes the values of a family's topic by the schema ids it has been told. One decoder serves
/// any number of threads.
#[derive(Debug)]
pub struct Decoder<E> {
    ids: ArcSwap<BTreeMap<u32, Meaning>>,
    family: PhantomData<fn() -> E>,
}

/// What a schema id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Ours(Schema),
    NewerVersion(&'static str),
    WrongRecord(String),
}

impl<E: EventFamily> Decoder<E> {
    /// A decoder that knows these ids.
    pub fn new(known: impl IntoIterator<Item = KnownId>) -> Self {
        let ids = known.into_iter().map(|id| {
            let meaning = match Schema::find(&id.record_name, id.version) {
                Some(schema) if schema.family() == E::FAMILY => Meaning::Ours(schema),
                _ => other_than_ours::<E>(id.record_name),
            };
            (id.schema_id, meaning)
        });
        Self { ids: ArcSwap::from_pointee(ids.collect()), family: PhantomData }
    }

    /// The event in a value: of the right record, to the last byte.
    pub fn decode(&self, value: &[u8]) -> Result<E, DecodeError> {
        let (id, mut datum) = wire::split(value)?;
        let schema = self.schema(id)?;
        let event = E::read(schema, &mut datum)?;
        if datum.is_empty() { Ok(event) } else { Err(DecodeError::TrailingBytes(datum.len())) }
    }

    /// Asks the registry what an id means, after [`DecodeError::UnknownSchemaId`]; then the value
    /// can be decoded again. Of the errors, only [`FetchError::UnknownId`] is the value's fault.
    pub async fn learn(&self, registry: &Registry, id: u32) -> Result<(), FetchError> {
        let meaning = meaning_of::<E>(&registry.fetch(id).await?);
        self.ids.rcu(|ids| {
            let mut ids = BTreeMap::clone(ids);
            ids.insert(id, meaning.clone());
            ids
        });
        Ok(())
    }

    fn schema(&self, id: u32) -> Result<Schema, DecodeError> {
        match self.ids.load().get(&id) {
            Some(Meaning::Ours(schema)) => Ok(*schema),
            Some(Meaning::NewerVersion(record_name)) => {
                Err(DecodeError::NewerVersion { id, record_name })
            }
            Some(Meaning::WrongRecord(record_name)) => {
                Err(DecodeError::WrongRecord { id, record_name: record_name.clone() })
            }
            None => Err(DecodeError::UnknownSchemaId(id)),
        }
    }
}

/// A text is one of our schemas when both have the same canonical form, so the same bytes.
fn meaning_of<E: EventFamily>(registered: &RegisteredText) -> Meaning {
    let Some(record_name) = registered.record_name() else {
        return Meaning::WrongRecord("no Avro record".to_owned());
    };
    let mut ours = E::FAMILY.schemas().filter(|schema| schema.record_name() == record_name);
    let same = registered
        .canonical_form()
        .and_then(|form| ours.find(|schema| schema.parsed().canonical_form() == form));
    same.map_or_else(|| other_than_ours::<E>(record_name), Meaning::Ours)
}

fn other_than_ours<E: EventFamily>(record_name: String) -> Meaning {
    match E::FAMILY.schemas().find(|schema| schema.record_name() == record_name) {
        Some(schema) => Meaning::NewerVersion(schema.record_name()),
        None => Meaning::WrongRecord(record_name),
    }
}

#[cfg(test)]
mod tests;
