//! What a client would rather have: the `Prefer` header (RFC 7240).

use std::time::Duration;

use http::{HeaderMap, HeaderName};

/// The header of preferences.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The header that says which preferences were honoured.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The value of the preference of this name in all `Prefer` headers, without quotes; empty where it
/// has none. Of one that stands twice the first counts, also where its value means nothing.
pub fn preference<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
    let preferences = lines.flat_map(|line| split(line, ',')).map(name_and_value);
    preferences
        .into_iter()
        .find(|(each, _)| each.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// How long the client would wait (`wait=2`, whole seconds); `None` where it does not say or says
/// nothing that means a time.
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let value = preference(headers, "wait")?;
    let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    // More seconds than a number holds is still a wish to wait for long; the cap shortens it.
    is_number.then(|| Duration::from_secs(value.parse::<u32>().unwrap_or(u32::MAX).into()))
}

/// `name = value; parameters`, the value perhaps in quotes.
fn name_and_value(preference: &str) -> (&str, &str) {
    let preference = split(preference, ';').next().unwrap_or_default();
    let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
    let value = value.trim();
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    (name.trim(), bare)
}

/// The parts between separators that are not inside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match c {
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => return c == separator && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (PREFER, HeaderValue::from_str(line).unwrap())).collect()
    }

    fn wait(lines: &[&str]) -> Option<u64> {
        preferred_wait(&headers(lines)).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_preference_is_found_however_it_is_written() {
        for (lines, value) in [
            (&["handling=lenient"][..], Some("lenient")),
            (&["wait=1, HANDLING = \"strict\" ; why=\"a, b\""], Some("strict")),
            (&["wait=1", "handling"], Some("")),
            (&["handling=, handling=strict"], Some("")),
            (&["handlings=strict; handling=strict"], None),
            (&["foo=\"a, handling=strict\""], None),
            (&[], None),
        ] {
            assert_eq!(preference(&headers(lines), "handling"), value, "{lines:?}");
        }
    }

    #[test]
    fn a_wait_is_of_whole_seconds_and_the_first_one_counts() {
        assert_eq!(wait(&["respond-async, wait=\"10\""]), Some(10));
        assert_eq!(wait(&["foo; bar=\"a, wait=1; \\\", wait=2\", wait=3;x=y"]), Some(3));
        assert_eq!(wait(&["wait=1, wait=2"]), Some(1));
        for lines in [&["wait=soon", "wait=2"][..], &["wait"], &["wait="], &["wait=-1"]] {
            assert_eq!(wait(lines), None, "{lines:?}");
        }
        assert!(wait(&["wait=99999999999999999999"]).unwrap() > 1_000_000);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(line in "[ -~]{0,60}") {
            wait(&[&line]);
        }
    }
}
