//! Which client of a session it is.

/// What tells one client of a session from another: an opaque keyed hash of who it says it is, 1 to
/// 64 visible characters of ASCII. Equal marks of one session are taken for one client; those of two
/// sessions say nothing of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMark(String);

impl ClientMark {
    /// Characters allowed.
    pub const MAX_LENGTH: usize = 64;

    /// The mark, if the text can be one.
    pub fn new(mark: String) -> Option<Self> {
        let has_length = (1..=Self::MAX_LENGTH).contains(&mark.len());
        let is_mark = has_length && mark.bytes().all(|byte| byte.is_ascii_graphic());
        is_mark.then_some(Self(mark))
    }

    /// The mark.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_kept_as_it_is() {
        for text in ["a", "0f-_~+/=", &"a".repeat(64)] {
            assert_eq!(ClientMark::new(text.to_owned()).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_hash_is_no_mark() {
        for text in ["", "Mozilla/5.0 (X11)", "a\n", "ä", &"a".repeat(65)] {
            assert_eq!(ClientMark::new(text.to_owned()), None, "{text:?}");
        }
    }
}
