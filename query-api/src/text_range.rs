//! Texts that begin with a text, as a range of texts compared byte by byte.

/// The first text, in the order of bytes, behind every text that begins with this one; `None` where
/// there is none.
///
/// The order of UTF-8 bytes is that of code points, so it is the text whose last character is the
/// next one, after those at the end that have no next one are left out.
pub(crate) fn behind(prefix: &str) -> Option<String> {
    let mut rest = prefix.to_owned();
    while let Some(last) = rest.pop() {
        if let Some(next) = after(last) {
            rest.push(next);
            return Some(rest);
        }
    }
    None
}

/// The next character; no text has the halves of surrogate pairs.
fn after(c: char) -> Option<char> {
    match c {
        '\u{d7ff}' => Some('\u{e000}'),
        c => char::from_u32(u32::from(c) + 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_end_of_a_range_is_the_next_text() {
        assert_eq!(behind("device-1").as_deref(), Some("device-2"));
        assert_eq!(behind("a%").as_deref(), Some("a&"));
        assert_eq!(behind("a_").as_deref(), Some("a`"));
        assert_eq!(behind("gerät").as_deref(), Some("geräu"));
        assert_eq!(behind("a\u{7f}").as_deref(), Some("a\u{80}"));
        assert_eq!(behind("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(behind("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(behind("\u{10ffff}"), None);
        assert_eq!(behind(""), None);
    }

    proptest! {
        #[test]
        fn exactly_the_texts_that_begin_with_it_are_in_the_range(
            prefix in "[a-c\u{7e}-\u{82}\u{d7fe}\u{d7ff}\u{e000}\u{10fffe}\u{10ffff}]{1,3}",
            text in "[a-c\u{7e}-\u{82}\u{d7fe}\u{d7ff}\u{e000}\u{10fffe}\u{10ffff}]{0,4}",
        ) {
            let is_in = text.as_bytes() >= prefix.as_bytes()
                && behind(&prefix).is_none_or(|end| text.as_bytes() < end.as_bytes());
            prop_assert_eq!(is_in, text.starts_with(&prefix), "{:?} {:?}", prefix, text);
        }
    }
}
