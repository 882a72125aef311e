//! Device events as Avro records: a record type per schema version, raised to today's event in
//! plain code.

use std::sync::LazyLock;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use domain::Timestamp;
use domain::device::{Dedupe, DeviceEvent, DeviceEventReported, DeviceId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::decode::{DecodeError, EventFamily};
use crate::schema::{DeviceSchema, Family, Schema};
use crate::{datum, wire};

/// The schema that new events are written with; its id is what [`encode`] is given.
pub const WRITTEN: Schema = Schema::Device(DeviceSchema::EventReportedV1);

/// An event could not be written as its own schema, which is a defect of this crate.
#[derive(Debug, thiserror::Error)]
#[error("the event could not be written as {record_name}", record_name = WRITTEN.record_name())]
pub struct EncodeError(#[source] apache_avro::Error);

/// The value of a record in the log: the wire format's prefix and the event in the schema
/// [`WRITTEN`], whose id in the registry is `schema_id`.
pub fn encode(event: &DeviceEventReported, schema_id: u32) -> Result<Vec<u8>, EncodeError> {
    static WRITER: LazyLock<&GenericDatumWriter<'static>> =
        LazyLock::new(|| datum::writer(WRITTEN));
    let mut request_id = Uuid::encode_buffer();
    let record = ReportedV1Ref {
        device_id: event.device_id.as_str(),
        request_id: event.request_id.as_hyphenated().encode_lower(&mut request_id),
        dedupe: match event.dedupe {
            Dedupe::None => DedupeRecord::None,
            Dedupe::Client => DedupeRecord::Client,
        },
        body_hash: event.body_hash.as_ref().map(|hash| &hash[..]),
        occurred_at: event.occurred_at.map(Timestamp::micros),
        payload: &event.payload,
    };
    let mut value = Vec::with_capacity(room(event));
    wire::write_prefix(schema_id, &mut value);
    WRITER.write_ser(&mut value, &record).map_err(EncodeError)?;
    Ok(value)
}

/// Room for the value, so that it is written into one allocation: texts and their lengths of at
/// most 10 bytes each, the hash, the time and the tags.
pub(crate) fn room(event: &DeviceEventReported) -> usize {
    const FIXED: usize = wire::PREFIX_LENGTH + 2 * 10 + (Hyphenated::LENGTH + 1) + 1 + 34 + 11;
    FIXED + event.device_id.as_str().len() + event.payload.len()
}

impl EventFamily for DeviceEvent {
    const FAMILY: Family = Family::Device;

    fn read(schema: Schema, datum: &mut &[u8]) -> Result<Self, DecodeError> {
        static V1: LazyLock<&GenericDatumReader<'static>> =
            LazyLock::new(|| datum::reader(Schema::Device(DeviceSchema::EventReportedV1)));
        match schema {
            Schema::Device(DeviceSchema::EventReportedV1) => {
                let record: ReportedV1 =
                    V1.read_deser(datum).map_err(|_| DecodeError::Malformed { what: "datum" })?;
                record.upcast().map(Self::Reported)
            }
            Schema::User(_) | Schema::Session(_) => Err(DecodeError::Malformed { what: "schema" }),
        }
    }
}

/// Version 1 as it is written.
#[derive(Serialize)]
#[serde(rename = "DeviceEventReported")]
struct ReportedV1Ref<'a> {
    device_id: &'a str,
    request_id: &'a str,
    dedupe: DedupeRecord,
    #[serde(with = "apache_avro::serde::slice_opt")]
    body_hash: Option<&'a [u8]>,
    occurred_at: Option<i64>,
    payload: &'a str,
}

/// Version 1 as it is read.
#[derive(Deserialize)]
#[serde(rename = "DeviceEventReported")]
struct ReportedV1 {
    device_id: String,
    request_id: String,
    dedupe: DedupeRecord,
    #[serde(with = "apache_avro::serde::bytes_opt")]
    body_hash: Option<Vec<u8>>,
    occurred_at: Option<i64>,
    payload: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Dedupe", rename_all = "lowercase")]
enum DedupeRecord {
    None,
    Client,
}

impl ReportedV1 {
    fn upcast(self) -> Result<DeviceEventReported, DecodeError> {
        let malformed = |what| DecodeError::Malformed { what };
        let dedupe = match self.dedupe {
            DedupeRecord::None => Dedupe::None,
            DedupeRecord::Client => Dedupe::Client,
        };
        let body_hash = self
            .body_hash
            .map(|hash| hash.try_into().map_err(|_| malformed("body_hash")))
            .transpose()?;
        if body_hash.is_some() != (dedupe == Dedupe::Client) {
            return Err(malformed("body_hash"));
        }
        Ok(DeviceEventReported {
            device_id: DeviceId::from_log(self.device_id),
            request_id: Uuid::try_parse(&self.request_id).map_err(|_| malformed("request_id"))?,
            dedupe,
            body_hash,
            occurred_at: self.occurred_at.map(Timestamp),
            payload: self.payload,
        })
    }
}
