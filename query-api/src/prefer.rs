//! What a reader would rather have: the `Prefer` header (RFC 7240).

use std::time::Duration;

use axum::http::HeaderMap;
use lifecycle::http::{preference, preferred_wait};

/// What to do where a preference cannot be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handling {
    /// Say so instead of answering.
    Strict,
    /// Answer with what there is.
    Lenient,
}

/// The preferences we know; all others are ignored, as the standard asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Prefer {
    /// How long the reader would wait.
    pub(crate) wait: Option<Duration>,
    /// What it wants where waiting did not help.
    pub(crate) handling: Option<Handling>,
}

impl Prefer {
    /// Reads all `Prefer` headers. Of a preference that stands twice the first counts; one whose
    /// value means nothing is ignored.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let handling = preference(headers, "handling").and_then(handling);
        Self { wait: preferred_wait(headers), handling }
    }
}

fn handling(value: &str) -> Option<Handling> {
    if value.eq_ignore_ascii_case("strict") {
        Some(Handling::Strict)
    } else if value.eq_ignore_ascii_case("lenient") {
        Some(Handling::Lenient)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use lifecycle::http::PREFER;
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(PREFER, HeaderValue::from_str(line).unwrap());
        }
        Prefer::from_headers(&headers)
    }

    fn of(wait: Option<u64>, handling: Option<Handling>) -> Prefer {
        Prefer { wait: wait.map(Duration::from_secs), handling }
    }

    #[test]
    fn wait_and_handling_are_read_however_they_are_written() {
        use Handling::{Lenient, Strict};
        for (lines, expected) in [
            (&["wait=2"][..], of(Some(2), None)),
            (&["WAIT = 2 , Handling=LENIENT"], of(Some(2), Some(Lenient))),
            (&["handling=strict", "wait=\"10\""], of(Some(10), Some(Strict))),
            (&["foo; bar=\"a, wait=1; \\\", wait=2\", wait=3;x=y"], of(Some(3), None)),
            (&["respond-async, return=minimal"], of(None, None)),
        ] {
            assert_eq!(read(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn of_two_the_first_counts_even_where_it_means_nothing() {
        assert_eq!(read(&["wait=1, wait=2"]), of(Some(1), None));
        assert_eq!(read(&["wait=soon", "wait=2"]), of(None, None));
    }

    #[test]
    fn a_value_that_means_nothing_is_ignored() {
        for line in ["wait", "wait=", "wait=-1", "wait=1.5", "handling", "handling=gentle"] {
            assert_eq!(read(&[line]), Prefer::default(), "{line}");
        }
    }

    #[test]
    fn a_very_long_wait_is_a_wish_for_the_longest() {
        let wait = read(&["wait=99999999999999999999"]).wait.unwrap();
        assert!(wait > Duration::from_secs(1_000_000));
    }

    proptest! {
        #[test]
        fn what_else_stands_in_the_header_changes_nothing(
            before in "[a-v]{1,8}(=(\"[ -!#-\\[\\]-~]{0,12}\"|[a-z]{0,5}))?", wait in 0_u32..100,
        ) {
            let line = format!("{before}, wait={wait}");
            prop_assert_eq!(read(&[&line]).wait, Some(Duration::from_secs(wait.into())));
        }

        #[test]
        fn any_text_is_read_without_a_panic(line in "[ -~]{0,60}") {
            read(&[&line]);
        }
    }
}
