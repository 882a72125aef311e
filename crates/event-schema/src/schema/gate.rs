//! The gate every schema passes before it is released, and every released one for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::compatibility;

mod golden;
mod personal;

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
        Family::User => "user",
        Family::Session => "session",
    };
    schemas().join(family)
}

fn fields(schema: Schema) -> Vec<Value> {
    let mut text: Value = serde_json::from_str(schema.text()).unwrap();
    serde_json::from_value(text["fields"].take()).unwrap()
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

#[test]
fn every_decided_record_begins_with_its_place_and_no_fact_has_one() {
    for schema in Schema::ALL {
        let fields = fields(*schema);
        if !schema.family().is_decided() {
            let has_version = fields.iter().any(|field| field["name"] == "stream_version");
            assert!(!has_version, "{schema:?}: is its family decided?");
            continue;
        }
        let id = format!("{}_id", schema.record_name().split('.').nth(1).unwrap());
        let place = ["event_id", &id, "stream_version", "previous_id", "occurred_at"];
        let begins: Vec<_> = fields.iter().take(place.len()).map(|field| &field["name"]).collect();
        assert_eq!(begins, place, "{schema:?}");
        let first = self::fields(schema.family().schemas().next().unwrap());
        assert_eq!(fields[..place.len()], first[..place.len()], "{schema:?} tells it as others do");
    }
}
