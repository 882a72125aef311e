//! Which characters a text may hold.

/// Visible: not white space, not a control, and none of the code points that only steer how others
/// are shown (zero-width, bidirectional, byte-order and language marks) or stand for nothing.
pub(crate) fn is_visible(c: char) -> bool {
    !(c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
        || (u32::from(c) & 0xfffe) == 0xfffe
        || ('\u{fdd0}'..='\u{fdef}').contains(&c))
}

/// Joins or parts its neighbours; scripts such as Persian and Devanagari spell names with them.
pub(crate) fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// The first character that a rule does not allow, and its place, counted in characters from 0.
pub(crate) fn first_not(text: &str, allowed: impl Fn(char) -> bool) -> Option<(usize, char)> {
    text.chars().enumerate().find(|(_, c)| !allowed(*c))
}
