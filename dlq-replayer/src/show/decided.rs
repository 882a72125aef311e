//! A decided event, as a letter holds it: its place in its stream and the names of what it changes.

use domain::decision::Decided;
use serde_json::{Value, json};

/// As lines of text; `id` is what the event calls whose it is.
pub(super) fn text<E>(id: &str, event: &Decided<E>, changed: &[&str]) -> Vec<String> {
    let previous = event.previous_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let changed = if changed.is_empty() { "-".to_owned() } else { changed.join(", ") };
    let occurred_at = event.occurred_at.to_rfc3339().unwrap_or_else(|| "-".to_owned());
    [
        (id, event.aggregate_id.to_string()),
        ("event_id", event.event_id.to_string()),
        ("version", event.version.to_string()),
        ("previous_id", previous),
        ("occurred_at", occurred_at),
        ("changed", changed),
    ]
    .into_iter()
    .map(|(name, value)| format!("  {name:<11}  {value}"))
    .collect()
}

/// As the documented object.
pub(super) fn json<E>(id: &str, event: &Decided<E>, changed: &[&str]) -> Value {
    json!({
        id: event.aggregate_id.to_string(),
        "event_id": event.event_id.to_string(),
        "version": event.version,
        "previous_id": event.previous_id.map(|id| id.to_string()),
        "occurred_at": event.occurred_at.to_rfc3339(),
        "changed": changed,
    })
}
