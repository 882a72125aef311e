//! Decided events on their way into the log.

use domain::decision::Decided;
use serde::Serialize;

use super::{PlaceFields, Record};
use crate::schema::Schema;
use crate::{datum, wire};

/// Why an event could not be written, which is a defect of whoever made it.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// No version, or an event before the first, or none before a later one.
    #[error("an event cannot stand at version {version} behind what it names")]
    Place {
        /// The version.
        version: u64,
    },
    /// A personal field was sealed for another event or field, so it would never open.
    #[error("the {field} was sealed for another place")]
    Misplaced {
        /// The field.
        field: &'static str,
    },
    /// The event does not fit its own schema, which is a defect of this crate.
    #[error("the event could not be written as {record_name}")]
    Avro {
        /// The record.
        record_name: &'static str,
        /// What does not fit.
        #[source]
        source: apache_avro::Error,
    },
}

/// The value to be written.
pub(crate) struct Value<'a, E> {
    pub(crate) decided: &'a Decided<E>,
    pub(crate) schema: Schema,
    /// What the registry calls the schema.
    pub(crate) schema_id: u32,
}

impl<E> Value<'_, E> {
    /// The wire format's prefix and the record, which holds this behind the event's place.
    pub(crate) fn write<R: Record + Serialize>(
        &self,
        body: R::Body,
    ) -> Result<Vec<u8>, EncodeError> {
        let Self { decided, schema, schema_id } = *self;
        let version = decided.version;
        let place = PlaceFields::of(decided).ok_or(EncodeError::Place { version })?;
        let mut value = Vec::new();
        wire::write_prefix(schema_id, &mut value);
        datum::writer(schema)
            .write_ser(&mut value, &R::new(place, body))
            .map_err(|source| EncodeError::Avro { record_name: schema.record_name(), source })?;
        Ok(value)
    }
}
