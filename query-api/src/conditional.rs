//! Reads that are answered only if something changed: entity tags (RFC 9110).

use std::fmt;

use axum::http::header::IF_NONE_MATCH;
use axum::http::{HeaderMap, HeaderValue};

/// The strong entity tag of a row: `"<generation>.<version>"`. A version alone would not do: a
/// rebuilt view counts anew. What is shown beside the row, or not all of it, makes it another one: a
/// device that has fallen silent has the tag `"<generation>.<version>.offline"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntityTag {
    pub(crate) generation: i32,
    pub(crate) version: u64,
    /// What makes it another one: `.offline`, or nothing.
    pub(crate) beside: &'static str,
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, version, beside } = self;
        write!(f, "\"{generation}.{version}{beside}\"")
    }
}

impl EntityTag {
    /// As a header.
    pub(crate) fn header_value(self) -> HeaderValue {
        // Digits, letters, dots and quotes: the value is always valid.
        HeaderValue::from_str(&self.to_string()).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// Whether the reader has this already: its `If-None-Match` is `*` or lists the tag, weak or
    /// strong.
    pub(crate) fn is_known_by(self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(IF_NONE_MATCH) {
            return false;
        }
        let ours = self.to_string();
        headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .any(|line| line.trim() == "*" || tags(line).any(|tag| tag == ours))
    }
}

/// The tags of a list, quotes included and `W/` left out; it ends where it is no list any more.
fn tags(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let tag = rest.strip_prefix("W/").unwrap_or(rest);
        let end = tag.strip_prefix('"')?.find('"')? + 2;
        let (tag, after) = tag.split_at(end);
        rest = after;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: EntityTag = EntityTag { generation: 1, version: 15, beside: "" };

    fn is_known_by(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_NONE_MATCH, HeaderValue::from_str(line).unwrap());
        }
        TAG.is_known_by(&headers)
    }

    #[test]
    fn a_reader_knows_what_it_lists() {
        for lines in [
            &["\"1.15\""][..],
            &["W/\"1.15\""],
            &["*"],
            &["\"1.14\", \"1.15\""],
            &["\"a,b\" ,W/\"c\",\t\"1.15\""],
            &["\"1.14\"", "\"1.15\""],
        ] {
            assert!(is_known_by(lines), "{lines:?}");
        }
    }

    #[test]
    fn a_device_that_fell_silent_is_not_what_the_reader_knows() {
        let offline = EntityTag { beside: ".offline", ..TAG };
        assert_eq!(offline.to_string(), "\"1.15.offline\"");
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, TAG.header_value());
        assert!(!offline.is_known_by(&headers));
        headers.insert(IF_NONE_MATCH, offline.header_value());
        assert!(offline.is_known_by(&headers) && !TAG.is_known_by(&headers));
    }

    #[test]
    fn a_reader_does_not_know_what_only_looks_like_it() {
        for lines in [
            &[][..],
            &[""],
            &["\"2.15\""],
            &["\"1.1\""],
            &["1.15"],
            &["\"x\"1.15\""],
            &["\"1.15"],
            &["'1.15'"],
            &["\"x, \"1.15"],
        ] {
            assert!(!is_known_by(lines), "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn a_list_is_known_exactly_if_the_tag_is_among_it(
            tags in prop::collection::vec((any::<bool>(), 0_i32..3, 13_u64..17), 0..6)
        ) {
            let is_listed = tags.iter().any(|(_, g, v)| (*g, *v) == (1, 15));
            let list: Vec<_> = tags.iter().map(|(is_weak, generation, version)| {
                let (generation, version) = (*generation, *version);
                let tag = EntityTag { generation, version, beside: "" };
                format!("{}{tag}", if *is_weak { "W/" } else { "" })
            }).collect();
            prop_assert_eq!(is_known_by(&[&list.join(", ")]), is_listed);
        }
    }
}
