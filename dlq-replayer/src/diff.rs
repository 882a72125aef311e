//! Rows before and after, column by column.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::mask;
use crate::table::{printable, shortened};

/// The longest value of a column that is shown.
const LENGTH: usize = 500;

/// A row that a replay changed, or would change.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange {
    /// Which row: the table or view, and its key where that does not say it.
    pub row: String,
    /// As it was; absent where it was not there.
    pub before: Option<Value>,
    /// As it is; absent where it is gone.
    pub after: Option<Value>,
}

impl RowChange {
    /// The rows that differ between two readings of the same rows by name.
    pub fn between(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<Self> {
        let names: std::collections::BTreeSet<&String> =
            before.keys().chain(after.keys()).collect();
        names
            .into_iter()
            .filter(|name| before.get(*name) != after.get(*name))
            .map(|name| Self {
                row: name.clone(),
                before: present(before.get(name)),
                after: present(after.get(name)),
            })
            .collect()
    }
}

fn present(row: Option<&Value>) -> Option<Value> {
    row.filter(|row| !row.is_null()).cloned()
}

/// The change as lines of text: the columns that differ.
pub(crate) fn lines(change: &RowChange, reveal: bool) -> Vec<String> {
    let what = match (&change.before, &change.after) {
        (None, Some(_)) => ", new",
        (Some(_), None) => ", gone",
        _ => "",
    };
    let mut lines = vec![format!("  row {}{what}", printable(&change.row))];
    let (before, after) = (columns(change.before.as_ref()), columns(change.after.as_ref()));
    for name in changed(&before, &after) {
        let shown = |row: &Map<String, Value>| {
            row.get(name).map(|value| text(&mask::column(name, value, reveal)))
        };
        lines.push(match (shown(&before), shown(&after)) {
            (Some(before), Some(after)) => format!("    {name}: {before} -> {after}"),
            (None, Some(after)) => format!("    {name}: {after}"),
            (Some(before), None) => format!("    {name}: was {before}"),
            (None, None) => continue,
        });
    }
    lines
}

/// The documented object of a change.
pub(crate) fn document(change: &RowChange, reveal: bool) -> Value {
    let (before, after) = (columns(change.before.as_ref()), columns(change.after.as_ref()));
    let row = |present: bool, columns: &Map<String, Value>| -> Option<Map<String, Value>> {
        let masked =
            columns.iter().map(|(name, value)| (name.clone(), mask::column(name, value, reveal)));
        present.then(|| masked.collect())
    };
    json!({
        "row": change.row,
        "before": row(change.before.is_some(), &before),
        "after": row(change.after.is_some(), &after),
        "changed": changed(&before, &after).collect::<Vec<_>>(),
    })
}

/// A row's columns; one that is no object has a single column without a name of its own.
fn columns(row: Option<&Value>) -> Map<String, Value> {
    match row {
        None => Map::new(),
        Some(Value::Object(columns)) => columns.clone(),
        Some(value) => Map::from_iter([("value".to_owned(), value.clone())]),
    }
}

fn changed<'a>(
    before: &'a Map<String, Value>,
    after: &'a Map<String, Value>,
) -> impl Iterator<Item = &'a String> {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    after.keys().chain(gone).filter(|name| before.get(*name) != after.get(*name))
}

fn text(value: &Value) -> String {
    if let Some(bytes) = value.get("masked_bytes").and_then(Value::as_u64) {
        return mask::masked(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    shortened(&printable(&value.to_string()), LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_change() -> RowChange {
        RowChange {
            row: "dev-9".to_owned(),
            before: Some(json!({"id": "dev-9", "version": 3, "payload": {"name": "Ann"}})),
            after: Some(json!({"id": "dev-9", "version": 4, "payload": {"name": "Bob"}})),
        }
    }

    #[test]
    fn only_columns_that_differ_are_shown_and_texts_are_masked() {
        assert_eq!(
            lines(&a_change(), false),
            [
                "  row dev-9",
                "    payload: (masked, 14 bytes) -> (masked, 14 bytes)",
                "    version: 3 -> 4"
            ]
        );
        assert!(lines(&a_change(), true).iter().any(|line| line.contains("Ann")));
    }

    #[test]
    fn a_row_that_comes_or_goes_says_so() {
        let change = RowChange { before: None, ..a_change() };
        assert_eq!(lines(&change, false).first().unwrap(), "  row dev-9, new");
        let change = RowChange { after: None, ..a_change() };
        assert_eq!(lines(&change, false).first().unwrap(), "  row dev-9, gone");
    }

    #[test]
    fn the_document_names_what_differs_though_it_is_masked() {
        let document = document(&a_change(), false);
        assert_eq!(document["changed"], json!(["payload", "version"]));
        assert_eq!(document["after"]["version"], 4);
        assert!(!document.to_string().contains("Bob"));
    }

    #[test]
    fn rows_that_stay_as_they_are_are_no_change() {
        let row = json!({"version": 3});
        let before = BTreeMap::from([("a".to_owned(), row.clone()), ("b".to_owned(), row.clone())]);
        let after =
            BTreeMap::from([("a".to_owned(), row), ("c".to_owned(), json!({"version": 1}))]);
        let names: Vec<String> =
            RowChange::between(&before, &after).into_iter().map(|change| change.row).collect();
        assert_eq!(names, ["b", "c"]);
    }
}
