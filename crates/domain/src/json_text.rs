//! Which JSON texts are accepted as free-form payloads: those that every view can hold and give
//! back exactly as they were written.
//!
//! A text is scanned once from left to right; nothing is parsed into a tree, nothing recurses, and
//! the accepted text itself is what is stored. Beyond RFC 8259 the [`Limits`] hold, and no string
//! has U+0000 or an unpaired surrogate escape, and no object has a name twice (`"a"` and `"\u0061"`
//! are one name): each of these is lost or refused by some reader of JSON.

mod items;
mod scanner;
mod unescape;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use scanner::Scanner;

pub use items::{Item, items};

/// What a JSON text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in bytes.
    pub bytes: usize,
    /// Deepest nesting of arrays and objects; a number or a string alone has depth 0.
    pub depth: usize,
    /// Most digits of a number, before and after the decimal point together.
    pub digits: usize,
    /// Largest exponent of a number as it is written, whatever its sign.
    pub exponent: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 * 1024, depth: 32, digits: 40, exponent: 308 }
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// `"..."`
    String,
    /// `-1.5e3`
    Number,
    /// `true` or `false`
    Boolean,
    /// `null`
    Null,
}

impl Kind {
    /// The word for messages: `an object`.
    pub fn with_article(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        }
    }
}

/// A value that was accepted, exactly as it is written, without white space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: &'a str,
}

impl<'a> Value<'a> {
    /// The string it writes, with escapes resolved, or `None` where it is no string.
    pub fn as_string(&self) -> Option<Cow<'a, str>> {
        (self.kind == Kind::String).then(|| unescape::unescape(&self.text[1..self.text.len() - 1]))
    }

    /// Refuses a value whose text is longer than [`Limits::bytes`].
    pub fn must_fit(&self, limits: &Limits) -> Result<(), Rule> {
        let (bytes, limit) = (self.text.len(), limits.bytes);
        if bytes > limit { Err(Rule::TooLong { bytes, limit }) } else { Ok(()) }
    }
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name, with escapes resolved.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: Value<'a>,
}

/// The rule that a text breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// It is no JSON.
    Malformed {
        /// What should have stood there.
        expected: &'static str,
    },
    /// It is no object, and must be one.
    NotAnObject,
    /// It is no array, and must be one.
    NotAnArray,
    /// An array has too many items.
    TooManyItems {
        /// How many it may have.
        limit: usize,
    },
    /// It is too long.
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// [`Limits::bytes`].
        limit: usize,
    },
    /// It is nested too deeply.
    TooDeep {
        /// [`Limits::depth`].
        limit: usize,
    },
    /// A string has U+0000.
    Nul,
    /// A string has half of a surrogate pair.
    UnpairedSurrogate,
    /// An object has a name twice.
    DuplicateName,
    /// A number has too many digits.
    TooManyDigits {
        /// Its digits.
        digits: usize,
        /// [`Limits::digits`].
        limit: usize,
    },
    /// A number's exponent is too large.
    ExponentTooLarge {
        /// [`Limits::exponent`].
        limit: u32,
    },
}

impl Rule {
    /// The stable name of the rule, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "json",
            Self::NotAnObject => "object",
            Self::NotAnArray => "array",
            Self::TooManyItems { .. } => "max-items",
            Self::TooLong { .. } => "max-bytes",
            Self::TooDeep { .. } => "max-depth",
            Self::Nul => "no-nul",
            Self::UnpairedSurrogate => "paired-surrogates",
            Self::DuplicateName => "unique-names",
            Self::TooManyDigits { .. } => "max-digits",
            Self::ExponentTooLarge { .. } => "max-exponent",
        }
    }

    /// The limit that was passed, where the rule has one.
    pub fn limit(&self) -> Option<u64> {
        match *self {
            Self::TooLong { limit, .. }
            | Self::TooDeep { limit }
            | Self::TooManyItems { limit }
            | Self::TooManyDigits { limit, .. } => u64::try_from(limit).ok(),
            Self::ExponentTooLarge { limit } => Some(limit.into()),
            Self::Malformed { .. }
            | Self::NotAnObject
            | Self::NotAnArray
            | Self::Nul
            | Self::UnpairedSurrogate
            | Self::DuplicateName => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { expected } => write!(f, "is not JSON: expected {expected}"),
            Self::NotAnObject => f.write_str("must be an object"),
            Self::NotAnArray => f.write_str("must be an array"),
            Self::TooManyItems { limit } => write!(f, "must have at most {limit} items"),
            Self::TooLong { bytes, limit } => {
                write!(f, "must have at most {limit} bytes, not {bytes}")
            }
            Self::TooDeep { limit } => write!(f, "must be nested at most {limit} deep"),
            Self::Nul => f.write_str("must not have the character U+0000"),
            Self::UnpairedSurrogate => f.write_str("must not have half of a surrogate pair"),
            Self::DuplicateName => f.write_str("must not stand twice in its object"),
            Self::TooManyDigits { digits, limit } => {
                write!(f, "must have at most {limit} digits, not {digits}")
            }
            Self::ExponentTooLarge { limit } => {
                write!(f, "must have an exponent from -{limit} to {limit}")
            }
        }
    }
}

/// The first place where a text breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value at \"{pointer}\" (byte {offset}) {rule}")]
pub struct Fault {
    /// The value at fault, as a JSON pointer (RFC 6901) from the text's root.
    pub pointer: String,
    /// Where it was noticed, in bytes from the text's beginning.
    pub offset: usize,
    /// What is wrong.
    pub rule: Rule,
}

/// Checks a text that must be an object and returns its members in the order they are written;
/// `limits` hold for each member's value alone, as if it were the text.
///
/// One scan serves both a request's envelope and the payload inside it.
pub fn members<'a>(text: &'a str, limits: &Limits) -> Result<Vec<Member<'a>>, Fault> {
    let mut members = Vec::with_capacity(4);
    let depth = limits.depth.saturating_add(1);
    let root = Scanner::new(text, *limits, depth).scan(|member| members.push(member))?;
    if root.kind != Kind::Object {
        return Err(Fault { pointer: String::new(), offset: 0, rule: Rule::NotAnObject });
    }
    too_long_member(root.text, offset_in(text, root.text), &members, limits)
        .map_or(Ok(members), Err)
}

/// Checks a whole text as [`members`] checks a member's value.
pub fn value<'a>(text: &'a str, limits: &Limits) -> Result<Value<'a>, Fault> {
    let value = Scanner::new(text, *limits, limits.depth).scan(|_| {})?;
    value.must_fit(limits).map_err(|rule| {
        let offset = offset_in(text, value.text) + limits.bytes;
        Fault { pointer: String::new(), offset, rule }
    })?;
    Ok(value)
}

/// The JSON pointer of the path that these names and indices form.
pub fn pointer_to<'a>(path: impl IntoIterator<Item = &'a str>) -> String {
    let mut pointer = String::new();
    for step in path {
        pointer.push('/');
        pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
    }
    pointer
}

/// The first member whose value is too long, of an object that is written so and begins at `start`.
fn too_long_member(
    object: &str,
    start: usize,
    members: &[Member<'_>],
    limits: &Limits,
) -> Option<Fault> {
    members.iter().find_map(|member| {
        let rule = member.value.must_fit(limits).err()?;
        let offset = start + offset_in(object, member.value.text) + limits.bytes;
        Some(Fault { pointer: pointer_to([&*member.name]), offset, rule })
    })
}

/// Where a part of a text stands in it.
fn offset_in(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}
