//! Escapes in strings that were scanned already, so that every escape is known to be right.

use std::borrow::Cow;

/// Resolves the escapes of what stands between a string's quotes.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    let Some(first) = raw.find('\\') else { return Cow::Borrowed(raw) };
    let mut text = String::with_capacity(raw.len());
    text.push_str(&raw[..first]);
    let mut rest = raw[first..].chars();
    while let Some(c) = rest.next() {
        text.push(if c == '\\' { escaped(&mut rest) } else { c });
    }
    Cow::Owned(text)
}

fn escaped(rest: &mut std::str::Chars<'_>) -> char {
    match rest.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => code_point(rest),
        Some(other) => other,
        None => char::REPLACEMENT_CHARACTER,
    }
}

fn code_point(rest: &mut std::str::Chars<'_>) -> char {
    let first = hex(rest.by_ref());
    let code = if (0xd800..0xdc00).contains(&first) {
        let low = hex(rest.skip(2));
        0x1_0000 + ((first - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff)
    } else {
        first
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn hex(digits: impl Iterator<Item = char>) -> u32 {
    digits.take(4).fold(0, |code, digit| code * 16 + digit.to_digit(16).unwrap_or(0))
}
