//! Which version a caller decides upon: `If-Match` (RFC 9110, 13.1.1), and the entity tags that
//! decisions are answered with.
//!
//! A read answers `ETag: "<generation>.<version>"`, because a view that is built anew counts its
//! versions anew. A decision is made on the stream, which has versions and no generations: it answers
//! `ETag: "<version>"`. Both come back in `If-Match`, `"3.17"` and `"17"` alike as version 17. What a
//! read adds to its tag for what it shows beside the row (`"3.17.offline"`) makes no other version.
//!
//! A weak tag counts as well (`W/"3.17"`), although the standard has `If-Match` compare strongly: an
//! answer that came compressed carries one, and what is compared here is the version, which compression
//! does not change. A tag that is none of ours matches nothing.

use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue};
use problem_details::{Problem, ProblemType};

/// What a caller expects of the version that it decides upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Nothing: there is no `If-Match`.
    Any,
    /// That there is one: `If-Match: *`.
    Existing,
    /// One of these, in the order of the header. Tags that can match nothing are left out, so that
    /// there may be none.
    OneOf(Vec<u64>),
}

impl ExpectedVersion {
    /// Reads all `If-Match` headers.
    ///
    /// # Errors
    /// A problem of type `invalid-header` where they are neither `*` nor a list of entity tags.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let lines: Vec<_> = headers.get_all(IF_MATCH).iter().map(HeaderValue::as_bytes).collect();
        if let [line] = lines[..]
            && line.trim_ascii() == b"*"
        {
            return Ok(Self::Existing);
        }
        if lines.is_empty() {
            return Ok(Self::Any);
        }
        let tags: Option<Vec<Vec<_>>> = lines.into_iter().map(tags).collect();
        let Some(tags) = tags.map(|tags| tags.concat()).filter(|tags| !tags.is_empty()) else {
            let detail = "send `If-Match: *` or entity tags in double quotes, such as the `ETag` of an answer";
            return Err(Problem::new(ProblemType::InvalidHeader, detail));
        };
        Ok(Self::OneOf(tags.into_iter().filter_map(version).collect()))
    }

    /// Whether a decision may be made on this version; 0 where there is nothing yet.
    pub fn allows(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Existing => version > 0,
            Self::OneOf(versions) => version > 0 && versions.contains(&version),
        }
    }

    /// The same as [`Self::allows`], with the answer to a caller who expects another version: it
    /// carries the present one.
    ///
    /// # Errors
    /// A problem of type `version-mismatch`.
    pub fn must_allow(&self, version: u64) -> Result<(), Problem> {
        if self.allows(version) {
            return Ok(());
        }
        let detail = "it has changed since, or is not there; read it again and decide anew";
        let problem = Problem::new(ProblemType::VersionMismatch, detail);
        Err(match version {
            0 => problem,
            version => problem.with_header(ETAG, entity_tag(version)),
        })
    }

    /// That the caller expects something, for commands that are not taken blindly.
    ///
    /// # Errors
    /// A problem of type `precondition-required`.
    pub fn must_be_stated(&self) -> Result<(), Problem> {
        match self {
            Self::Any => {
                let detail = "send `If-Match` with the `ETag` of what you have read";
                Err(Problem::new(ProblemType::PreconditionRequired, detail))
            }
            Self::Existing | Self::OneOf(_) => Ok(()),
        }
    }
}

/// The strong entity tag of a version, as decisions answer it: `"17"`.
pub fn entity_tag(version: u64) -> HeaderValue {
    // Digits and quotes: the value is always valid.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The tags of a line without their quotes; `None` where it is no list of them. A list may have empty places (5.6.1).
fn tags(line: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut tags, mut rest) = (Vec::new(), line.trim_ascii());
    while !rest.is_empty() {
        if let [b',', behind @ ..] = rest {
            rest = behind.trim_ascii_start();
            continue;
        }
        let quoted = rest.strip_prefix(b"W/").unwrap_or(rest).strip_prefix(b"\"")?;
        let end = quoted.iter().position(|byte| *byte == b'"')?;
        let (opaque, behind) = quoted.split_at(end);
        // Spaces may not stand in a tag; bytes beyond ASCII may.
        if !opaque.iter().all(|byte| byte.is_ascii_graphic() || *byte >= 0x80) {
            return None;
        }
        tags.push(opaque);
        rest = behind[1..].trim_ascii_start();
        if !matches!(rest, [] | [b',', ..]) {
            return None;
        }
    }
    Some(tags)
}

/// The version that a tag of ours names.
fn version(tag: &[u8]) -> Option<u64> {
    let mut parts = std::str::from_utf8(tag).ok()?.split('.');
    match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        (version, None, ..) => number(version),
        (generation, Some(version), None, _) => number(generation).and_then(|_| number(version)),
        (generation, Some(version), Some(beside), None) => {
            let is_word = !beside.is_empty() && beside.bytes().all(|b| b.is_ascii_lowercase());
            number(generation).filter(|_| is_word).and_then(|_| number(version))
        }
        _ => None,
    }
}

/// A number as we write it: without a sign or zeros before it.
fn number(text: &str) -> Option<u64> {
    let is_ours = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&[u8]]) -> Result<ExpectedVersion, ProblemType> {
        let value = |line: &&[u8]| (IF_MATCH, HeaderValue::from_bytes(line).unwrap());
        ExpectedVersion::from_headers(&lines.iter().map(value).collect())
            .map_err(|problem| problem.kind())
    }

    fn versions(lines: &[&str]) -> Vec<u64> {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        match read(&lines) {
            Ok(ExpectedVersion::OneOf(versions)) => versions,
            other => panic!("{lines:?} is {other:?}"),
        }
    }

    #[test]
    fn without_the_header_every_version_is_allowed() {
        let expected = read(&[]).unwrap();
        assert_eq!(expected, ExpectedVersion::Any);
        assert!(expected.allows(0) && expected.allows(17));
        let refused = expected.must_be_stated().unwrap_err();
        assert_eq!(refused.kind(), ProblemType::PreconditionRequired);
    }

    #[test]
    fn a_star_asks_that_there_be_something() {
        let expected = read(&[b" * "]).unwrap();
        assert!(!expected.allows(0) && expected.allows(1) && expected.allows(17));
        assert!(expected.must_be_stated().is_ok());
    }

    #[test]
    fn the_version_counts_whoever_wrote_the_tag() {
        assert_eq!(versions(&["\"17\""]), [17]);
        assert_eq!(versions(&["\"3.17\""]), [17]);
        assert_eq!(versions(&["\"1.17.offline\""]), [17]);
        assert_eq!(versions(&["\"3.17\" ,,\t\"4.18\",", "\"19\""]), [17, 18, 19]);
    }

    #[test]
    fn a_weak_tag_names_its_version_too() {
        assert_eq!(versions(&["W/\"3.17\"", "W/\"18\""]), [17, 18]);
    }

    #[test]
    fn a_tag_that_is_none_of_ours_matches_nothing() {
        for tag in [
            "\"\"",
            "\"abc\"",
            "\"3.\"",
            "\".17\"",
            "\"3.17.\"",
            "\"3.17.OFF\"",
            "\"017\"",
            "\"+17\"",
            "\"-17\"",
            "\"3.17.a.b\"",
            "\"x.17\"",
            "\"17,\"",
            "\"0\"",
            "\"1.0\"",
            "\"ü\"",
            "\"99999999999999999999\"",
            "\"*\"",
        ] {
            assert!(versions(&[tag]).is_empty(), "{tag}");
        }
        assert_eq!(versions(&["\"a,b\", W/\"abc\", \"3.18\""]), [18]);
        let expected = ExpectedVersion::OneOf(Vec::new());
        assert!(!expected.allows(0) && !expected.allows(17));
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for line in [
            "",
            " ",
            ",",
            "17",
            "3.17",
            "\"17",
            "17\"",
            "'17'",
            "\"17\" \"18\"",
            "\"17\"x",
            "\"1 7\"",
            "w/\"17\"",
            "W/17",
            "W/ \"17\"",
            "*, \"17\"",
            "\"17\", *",
            "**",
        ] {
            assert_eq!(read(&[line.as_bytes()]), Err(ProblemType::InvalidHeader), "{line}");
        }
        assert_eq!(read(&[b"*", b"*"]), Err(ProblemType::InvalidHeader));
        assert_eq!(read(&[b"*", b"\"17\""]), Err(ProblemType::InvalidHeader));
        assert_eq!(read(&[b"\"17\"", b"18"]), Err(ProblemType::InvalidHeader));
    }

    #[test]
    fn who_expects_another_version_is_told_the_present_one() {
        use axum::response::IntoResponse as _;
        let expected = read(&[b"\"3.16\""]).unwrap();
        assert!(expected.must_allow(16).is_ok());
        let refused = expected.must_allow(17).unwrap_err();
        assert_eq!(refused.kind(), ProblemType::VersionMismatch);
        assert_eq!(refused.into_response().headers()[ETAG], "\"17\"");
        let nothing = expected.must_allow(0).unwrap_err().into_response();
        assert!(!nothing.headers().contains_key(ETAG));
    }

    proptest! {
        #[test]
        fn what_reads_and_decisions_answer_comes_back(version in 1_u64.., generation in 1_i32..) {
            let decided = entity_tag(version);
            let read_tag = format!("\"{generation}.{version}\"");
            for tag in [decided.as_bytes(), read_tag.as_bytes()] {
                prop_assert_eq!(read(&[tag]), Ok(ExpectedVersion::OneOf(vec![version])));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(line in "[ -~\t\u{80}-\u{ff}]{0,40}") {
            let _ = read(&[line.as_bytes()]);
        }
    }
}
