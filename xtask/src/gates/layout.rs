//! Where files lie: a slice has one noun in every tree, names say something, files stay readable.

use std::path::Path;

use anyhow::Result;

use super::sources;

const LONGEST_FILE: usize = 500;

/// Names that say nothing, so that anything ends up in them.
const EMPTY_NAMES: [&str; 9] =
    ["common", "core", "shared", "util", "utils", "helper", "helpers", "types", "misc"];

/// Where the noun of an event family is found: each schema folder has these.
const FAMILY_TREES: [&str; 3] = ["crates/domain/src", "crates/event-schema/src", "command-api/src"];

/// Where the noun of a read model is found: each migration of one has these.
const READ_MODEL_TREES: [&str; 3] = ["crates/read-models/src", "projector/src", "query-api/src"];

/// Migrations that all read models stand on.
const OF_ALL: [&str; 5] = ["analysts", "cache", "letters", "sequenced", "spine"];

/// What lies in the wrong place.
pub(super) fn faults(checkout: &Path) -> Result<Vec<String>> {
    let files = sources::files(checkout)?;
    let mut faults = empty_names(&files);
    faults.extend(missing_slices(&files));
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        let lines = sources::read(checkout, file)?.lines().count();
        if lines > LONGEST_FILE {
            faults.push(format!("{file} has {lines} lines, more than {LONGEST_FILE}: split it"));
        }
    }
    Ok(faults)
}

fn empty_names(files: &[String]) -> Vec<String> {
    let is_empty = |file: &&String| {
        let code = file.strip_suffix(".rs").or(file.strip_suffix("/Cargo.toml"));
        code.is_some_and(|path| path.split('/').any(|part| EMPTY_NAMES.contains(&part)))
    };
    files
        .iter()
        .filter(is_empty)
        .map(|file| format!("{file}: a name such as {} says nothing", EMPTY_NAMES.join(", ")))
        .collect()
}

fn missing_slices(files: &[String]) -> Vec<String> {
    let mut families: Vec<&str> = files
        .iter()
        .filter_map(|file| Some(file.strip_prefix("schemas/")?.split_once('/')?.0))
        .collect();
    families.dedup();
    let read_models = files.iter().filter_map(|file| {
        let name = file.strip_prefix("migrations/read-models/")?.strip_suffix(".sql")?;
        name.split_once('_').map(|(_, noun)| noun).filter(|noun| !OF_ALL.contains(noun))
    });
    let has = |tree: &str, noun: &str| {
        let (file, folder) = (format!("{tree}/{noun}.rs"), format!("{tree}/{noun}/"));
        files.iter().any(|path| *path == file || path.starts_with(&folder))
    };
    let missing = |noun: &str, of: &str, trees: &[&str]| {
        let trees = trees.iter().filter(|tree| !has(tree, noun));
        trees.map(|tree| format!("the {of} {noun} has no {tree}/{noun}.rs")).collect::<Vec<_>>()
    };
    let families = families.iter().flat_map(|noun| missing(noun, "event family", &FAMILY_TREES));
    let read_models = read_models.flat_map(|noun| missing(noun, "read model", &READ_MODEL_TREES));
    families.chain(read_models).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn a_module_or_crate_whose_name_says_nothing_is_named() {
        let found = empty_names(&files(&[
            "crates/common/Cargo.toml",
            "projector/src/utils.rs",
            "projector/src/core/lane.rs",
            "docs/common.md",
            "projector/src/commonplace.rs",
        ]));
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn a_family_or_read_model_without_its_noun_in_a_tree_is_named() {
        let complete = files(&[
            "schemas/device/A.v1.avsc",
            "crates/domain/src/device.rs",
            "crates/event-schema/src/device/mod.rs",
            "command-api/src/device.rs",
            "migrations/read-models/0001_spine.sql",
            "migrations/read-models/0002_resource.sql",
            "crates/read-models/src/resource.rs",
            "projector/src/resource.rs",
            "query-api/src/resource.rs",
        ]);
        assert!(missing_slices(&complete).is_empty());
        assert_eq!(
            missing_slices(&complete[..8]),
            ["the read model resource has no query-api/src/resource.rs"]
        );
    }
}
