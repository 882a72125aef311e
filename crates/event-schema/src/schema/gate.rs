//! The gate every schema passes before it is released, and every released one for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use domain::device::{Dedupe, DeviceEvent, DeviceEventReported};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::compatibility;
use crate::decode::{Decoder, KnownId};

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// `DeviceEventReported.v1`: how a schema's files begin.
fn stem(schema: Schema) -> String {
    let record = schema.record_name().rsplit('.').next().unwrap();
    format!("{record}.v{}", schema.version())
}

fn folder(schema: Schema) -> PathBuf {
    let family = match schema.family() {
        Family::Device => "device",
    };
    schemas().join(family)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn every_schema_file_is_part_of_the_program() {
    let files: BTreeSet<PathBuf> = files_below(&schemas())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "avsc"))
        .collect();
    let listed: BTreeSet<PathBuf> = Schema::ALL
        .iter()
        .map(|schema| folder(*schema).join(format!("{}.avsc", stem(*schema))))
        .collect();
    assert_eq!(files, listed);
    for schema in Schema::ALL {
        let path = folder(*schema).join(format!("{}.avsc", stem(*schema)));
        assert_eq!(fs::read_to_string(path).unwrap(), schema.text(), "{schema:?}");
    }
}

#[test]
fn a_released_schema_never_changes() {
    for schema in Schema::ALL {
        let path = folder(*schema).join(format!("golden/{}.sha256", stem(*schema)));
        let recorded = fs::read_to_string(&path)
            .unwrap_or_else(|_| panic!("{} records the released schema", path.display()));
        assert_eq!(
            hex(&Sha256::digest(schema.text())),
            recorded.trim(),
            "{schema:?} was released: write a new version instead"
        );
    }
}

#[test]
fn all_versions_of_a_record_can_read_each_other() {
    for one in Schema::ALL {
        for other in Schema::ALL.iter().filter(|other| other.record_name() == one.record_name()) {
            let faults = compatibility::differences(one.text(), other.text()).unwrap();
            assert_eq!(faults, [], "{one:?} and {other:?}");
        }
    }
}

#[test]
fn every_schema_leaves_later_versions_a_way() {
    for schema in Schema::ALL {
        assert_eq!(compatibility::lints(schema.text()).unwrap(), [], "{schema:?}");
    }
}

#[test]
fn every_field_says_what_it_holds() {
    for schema in Schema::ALL {
        let text: Value = serde_json::from_str(schema.text()).unwrap();
        assert!(text["doc"].is_string(), "{schema:?}");
        for field in text["fields"].as_array().unwrap() {
            assert!(field["doc"].is_string(), "{schema:?}: {}", field["name"]);
        }
    }
}

/// An event as the golden files spell it.
fn spelt(event: &DeviceEventReported) -> Value {
    json!({
        "device_id": event.device_id.as_str(),
        "request_id": event.request_id.to_string(),
        "dedupe": if event.dedupe == Dedupe::Client { "client" } else { "none" },
        "body_hash": event.body_hash.map(|hash| hex(&hash)),
        "occurred_at": event.occurred_at.map(domain::Timestamp::micros),
        "payload": event.payload,
    })
}

/// Golden datums of a version: the stem of their file, the bytes, the decoded JSON.
fn golden(schema: Schema) -> Vec<(PathBuf, Vec<u8>, Value)> {
    let begin = format!("{}.", stem(schema));
    files_below(&folder(schema).join("golden"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "datum"))
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&begin))
        .map(|path| {
            let json = fs::read(path.with_extension("json")).unwrap();
            let bytes = fs::read(&path).unwrap();
            (path, bytes, serde_json::from_slice(&json).unwrap())
        })
        .collect()
}

#[test]
fn what_was_written_with_any_version_still_reads() {
    for schema in Schema::ALL {
        let record_name = schema.record_name().to_owned();
        let known = KnownId { schema_id: 7, record_name, version: schema.version() };
        let decoder: Decoder<DeviceEvent> = Decoder::new([known]);
        let golden = golden(*schema);
        assert!(golden.len() >= 2, "{schema:?} has golden datums");
        for (path, datum, expected) in golden {
            let value = [&[0, 0, 0, 0, 7], datum.as_slice()].concat();
            let DeviceEvent::Reported(event) = decoder.decode(&value).unwrap();
            assert_eq!(spelt(&event), expected, "{}", path.display());
        }
    }
}

#[test]
fn what_is_written_today_is_what_another_library_wrote() {
    let schema = crate::device::WRITTEN;
    let record_name = schema.record_name().to_owned();
    let known = KnownId { schema_id: 7, record_name, version: schema.version() };
    let decoder: Decoder<DeviceEvent> = Decoder::new([known]);
    for (path, datum, _) in golden(schema) {
        let value = [&[0, 0, 0, 0, 7], datum.as_slice()].concat();
        let DeviceEvent::Reported(event) = decoder.decode(&value).unwrap();
        assert_eq!(crate::device::encode(&event, 7).unwrap(), value, "{}", path.display());
    }
}
