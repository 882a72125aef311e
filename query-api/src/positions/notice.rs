//! A projector's notice on the wire: the payload of a Postgres notification.

use std::collections::HashMap;

use serde::Deserialize;

use super::map::{Advance, Moved};

/// The channel on which projectors tell that positions moved.
pub(crate) const CHANNEL: &str = "millrace_positions";

#[derive(Deserialize)]
struct Notice {
    /// Schema of the deployment: the channel is shared by all in one database.
    s: String,
    p: String,
    g: i32,
    t: String,
    e: u32,
    /// JSON has only texts as names.
    at: HashMap<u32, u64>,
    /// Newest letters; a projector of an earlier release says nothing of them.
    #[serde(default)]
    l: HashMap<u32, i64>,
}

/// Reads a notice; `None` where it is of another deployment.
///
/// # Errors
/// Where it is no notice: a newer projector's, perhaps. The positions are then read instead.
pub(crate) fn read(payload: &str, schema: &str) -> Result<Option<Advance>, serde_json::Error> {
    let notice: Notice = serde_json::from_str(payload)?;
    if notice.s != schema {
        return Ok(None);
    }
    Ok(Some(Advance {
        projection: notice.p,
        generation: notice.g,
        topic: notice.t,
        epoch: notice.e,
        at: notice
            .at
            .into_iter()
            .map(|(partition, next_offset)| {
                let newest_letter = notice.l.get(&partition).copied();
                Moved { partition, next_offset, newest_letter }
            })
            .collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: &str = r#"{"s":"read_models","p":"resource","g":1,"t":"events-input","e":1,"at":{"0":123,"7":99},"l":{"7":-1}}"#;

    #[test]
    fn a_notice_is_read() {
        let mut advance = read(NOTICE, "read_models").unwrap().unwrap();
        advance.at.sort_unstable_by_key(|moved| moved.partition);
        let moved =
            |partition, next_offset, newest_letter| Moved { partition, next_offset, newest_letter };
        assert_eq!(advance.at, [moved(0, 123, None), moved(7, 99, Some(-1))]);
        assert_eq!((advance.generation, advance.epoch), (1, 1));
        assert_eq!(
            (advance.projection.as_str(), advance.topic.as_str()),
            ("resource", "events-input")
        );
    }

    #[test]
    fn a_notice_of_another_deployment_is_none_of_ours() {
        assert_eq!(read(NOTICE, "acme_read_models").unwrap(), None);
    }

    #[test]
    fn what_is_no_notice_is_refused() {
        for payload in ["", "{}", "[]", r#"{"s":"read_models","at":{"x":1}}"#] {
            assert!(read(payload, "read_models").is_err(), "{payload}");
        }
    }
}
