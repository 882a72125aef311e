//! One pass over a JSON text: a stack of what is open instead of recursion.

mod extent;

use std::borrow::Cow;

use super::unescape::unescape;
use super::{Fault, Kind, Limits, Member, Rule, Value, pointer_to};

pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    limits: Limits,
    depth: usize,
    open: Vec<Open>,
    /// Names of all open objects, those of the innermost last.
    names: Vec<Cow<'a, str>>,
}

/// An array or object whose end has not been seen.
struct Open {
    start: usize,
    /// How many names stood before it: in an object, where its own begin; in both, the one before
    /// is the name under which it stands if an object holds it.
    names_before: usize,
    within: Within,
}

enum Within {
    Array { index: usize },
    Object { value_start: usize },
}

/// A rule that is broken, and where that was noticed.
pub(super) type Broken = (usize, Rule);

/// What stands after the beginning of a value.
enum Step {
    /// The value is complete.
    Ended(Kind),
    /// An array or object began, and its first value is next.
    Began,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, limits: Limits, depth: usize) -> Self {
        let bytes = text.as_bytes();
        let (open, names) = (Vec::with_capacity(8), Vec::with_capacity(16));
        Self { text, bytes, at: 0, limits, depth, open, names }
    }

    /// Scans the whole text; `member` is called with each complete member of an object that is the
    /// root.
    pub(super) fn scan(mut self, mut member: impl FnMut(Member<'a>)) -> Result<Value<'a>, Fault> {
        self.skip_white_space();
        let scanned = self.scan_value(&mut member).and_then(|value| {
            self.must_be_at_the_end()?;
            Ok(value)
        });
        scanned.map_err(|broken| self.fault(broken))
    }

    /// Scans one value that begins here, and what white space follows it.
    pub(super) fn scan_value(
        &mut self,
        member: &mut impl FnMut(Member<'a>),
    ) -> Result<Value<'a>, Broken> {
        let start = self.at;
        loop {
            let mut kind = match self.begin_value()? {
                Step::Began => continue,
                Step::Ended(kind) => kind,
            };
            loop {
                let end = self.at;
                self.skip_white_space();
                if self.open.is_empty() {
                    return Ok(Value { kind, text: &self.text[start..end] });
                }
                if let Some(found) = self.ended_member(kind, end) {
                    member(found);
                }
                match self.after_value()? {
                    Step::Began => break,
                    Step::Ended(ended) => kind = ended,
                }
            }
        }
    }

    /// Refuses a text that goes on.
    pub(super) fn must_be_at_the_end(&self) -> Result<(), Broken> {
        if self.at < self.bytes.len() { self.malformed("the end of the text") } else { Ok(()) }
    }

    /// Where the scan stands, in bytes from the text's beginning.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes past this byte and the white space behind it, if it stands here.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let stands_here = self.peek() == Some(byte);
        if stands_here {
            self.at += 1;
            self.skip_white_space();
        }
        stands_here
    }

    /// The broken rule with the value at which the scan stands.
    pub(super) fn fault(&self, (offset, rule): Broken) -> Fault {
        Fault { pointer: self.pointer(), offset, rule }
    }

    /// The member of the root that ended at `end`, if one did.
    fn ended_member(&self, kind: Kind, end: usize) -> Option<Member<'a>> {
        match self.open.as_slice() {
            [Open { within: Within::Object { value_start }, .. }] => Some(Member {
                name: self.names.last().cloned()?,
                value: Value { kind, text: &self.text[*value_start..end] },
            }),
            _ => None,
        }
    }

    fn begin_value(&mut self) -> Result<Step, Broken> {
        match self.peek() {
            Some(b'{') => self.begin_object(),
            Some(b'[') => self.begin_array(),
            Some(b'"') => self.string().map(|_| Step::Ended(Kind::String)),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Step::Ended(Kind::Number)),
            Some(b't') => self.literal("true", Kind::Boolean),
            Some(b'f') => self.literal("false", Kind::Boolean),
            Some(b'n') => self.literal("null", Kind::Null),
            _ => self.malformed("a value"),
        }
    }

    fn begin_object(&mut self) -> Result<Step, Broken> {
        self.begin(Within::Object { value_start: 0 })?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.open.pop();
            return Ok(Step::Ended(Kind::Object));
        }
        self.name()?;
        Ok(Step::Began)
    }

    fn begin_array(&mut self) -> Result<Step, Broken> {
        self.begin(Within::Array { index: 0 })?;
        if self.peek() == Some(b']') {
            self.at += 1;
            self.open.pop();
            return Ok(Step::Ended(Kind::Array));
        }
        Ok(Step::Began)
    }

    fn begin(&mut self, within: Within) -> Result<(), Broken> {
        if self.open.len() >= self.depth {
            return Err((self.at, Rule::TooDeep { limit: self.limits.depth }));
        }
        let (start, names_before) = (self.at, self.names.len());
        self.open.push(Open { start, names_before, within });
        self.at += 1;
        self.skip_white_space();
        Ok(())
    }

    /// Goes on after a value inside an array or object: to the next one, or past the end.
    fn after_value(&mut self) -> Result<Step, Broken> {
        let byte = self.peek();
        match self.open.last_mut().map(|open| &mut open.within) {
            Some(Within::Array { index }) => match byte {
                Some(b',') => {
                    *index += 1;
                    self.at += 1;
                    self.skip_white_space();
                    Ok(Step::Began)
                }
                Some(b']') => {
                    self.at += 1;
                    self.open.pop();
                    Ok(Step::Ended(Kind::Array))
                }
                _ => self.malformed("`,` or `]`"),
            },
            Some(Within::Object { .. }) => match byte {
                Some(b',') => {
                    self.at += 1;
                    self.skip_white_space();
                    self.name()?;
                    Ok(Step::Began)
                }
                Some(b'}') => self.end_object(),
                _ => self.malformed("`,` or `}`"),
            },
            None => self.malformed("the end of the text"),
        }
    }

    fn end_object(&mut self) -> Result<Step, Broken> {
        if let Some(open) = self.open.last() {
            let (start, names_before) = (open.start, open.names_before);
            let names = &mut self.names[names_before..];
            // Sorted by insertion while they are few, and never quadratic when they are many.
            names.sort_unstable();
            if let Some(twice) = names.windows(2).position(|pair| pair[0] == pair[1]) {
                self.names.truncate(names_before + twice + 1);
                return Err((start, Rule::DuplicateName));
            }
            self.names.truncate(names_before);
        }
        self.at += 1;
        self.open.pop();
        Ok(Step::Ended(Kind::Object))
    }

    /// Reads a member's name and the colon, up to the value.
    fn name(&mut self) -> Result<(), Broken> {
        if self.peek() != Some(b'"') {
            return self.malformed("a name in quotes");
        }
        let start = self.at + 1;
        let has_escapes = self.string()?;
        let raw = &self.text[start..self.at - 1];
        self.names.push(if has_escapes { unescape(raw) } else { Cow::Borrowed(raw) });
        self.skip_white_space();
        if self.peek() != Some(b':') {
            return self.malformed("`:`");
        }
        self.at += 1;
        self.skip_white_space();
        let at = self.at;
        if let Some(Open { within: Within::Object { value_start }, .. }) = self.open.last_mut() {
            *value_start = at;
        }
        Ok(())
    }

    /// Reads a string from quote to quote; true where it has escapes.
    fn string(&mut self) -> Result<bool, Broken> {
        self.at += 1;
        let mut has_escapes = false;
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(0) => return Err((self.at, Rule::Nul)),
                Some(1..=0x1f) => return self.malformed("control characters to be escaped"),
                Some(_) => self.at += 1,
                None => return self.malformed("the end of the string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Broken> {
        let start = self.at;
        match self.bytes.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.code_unit()? {
                0 => Err((start, Rule::Nul)),
                0xd800..=0xdbff if self.bytes[self.at..].starts_with(b"\\u") => {
                    match self.code_unit()? {
                        0xdc00..=0xdfff => Ok(()),
                        _ => Err((start, Rule::UnpairedSurrogate)),
                    }
                }
                0xd800..=0xdfff => Err((start, Rule::UnpairedSurrogate)),
                _ => Ok(()),
            },
            _ => self.malformed("an escape that JSON knows"),
        }
    }

    /// Reads `\uXXXX`.
    fn code_unit(&mut self) -> Result<u16, Broken> {
        let digits = self.bytes.get(self.at + 2..self.at + 6).unwrap_or_default();
        let unit = (digits.len() == 4).then_some(0).and_then(|zero| {
            digits.iter().try_fold(zero, |unit: u16, digit| {
                let digit = char::from(*digit).to_digit(16)?;
                Some(unit << 4 | u16::try_from(digit).ok()?)
            })
        });
        match unit {
            Some(unit) => {
                self.at += 6;
                Ok(unit)
            }
            None => self.malformed("four hexadecimal digits"),
        }
    }

    fn number(&mut self) -> Result<(), Broken> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let mut digits = self.digits()?;
        if leading_zero && digits > 1 {
            return Err((start, Rule::Malformed { expected: "a number without leading zeros" }));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            digits += self.digits()?;
        }
        if digits > self.limits.digits {
            return Err((start, Rule::TooManyDigits { digits, limit: self.limits.digits }));
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.exponent(start)?;
        }
        Ok(())
    }

    fn exponent(&mut self, number_start: usize) -> Result<(), Broken> {
        self.at += 1;
        if let Some(b'+' | b'-') = self.peek() {
            self.at += 1;
        }
        let start = self.at;
        self.digits()?;
        let exponent = self.bytes[start..self.at].iter().fold(0_u32, |exponent, digit| {
            exponent.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
        });
        if exponent > self.limits.exponent {
            let limit = self.limits.exponent;
            return Err((number_start, Rule::ExponentTooLarge { limit }));
        }
        Ok(())
    }

    /// Reads one digit or more and returns how many.
    fn digits(&mut self) -> Result<usize, Broken> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.malformed("a digit") } else { Ok(self.at - start) }
    }

    fn literal(&mut self, word: &'static str, kind: Kind) -> Result<Step, Broken> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.malformed("a value");
        }
        self.at += word.len();
        Ok(Step::Ended(kind))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    pub(super) fn malformed<T>(&self, expected: &'static str) -> Result<T, Broken> {
        Err((self.at, Rule::Malformed { expected }))
    }

    /// Where the scan stands, as a JSON pointer.
    fn pointer(&self) -> String {
        let inner_names = self.open.iter().skip(1).map(|open| open.names_before);
        let names_until = inner_names.chain([self.names.len()]);
        let path =
            self.open.iter().zip(names_until).filter_map(|(open, until)| match open.within {
                Within::Array { index } => Some(Cow::Owned(index.to_string())),
                Within::Object { .. } => {
                    (until > open.names_before).then(|| Cow::Borrowed(&*self.names[until - 1]))
                }
            });
        pointer_to(path.collect::<Vec<Cow<'_, str>>>().iter().map(|step| &**step))
    }
}

/// How many bytes stand before the first that means something inside a string: a quote, a backslash
/// or a control character.
fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(eight) = bytes[length..].first_chunk() {
        match first_special(u64::from_le_bytes(*eight)) {
            Some(index) => return length + index,
            None => length += 8,
        }
    }
    let is_special = |byte: &u8| matches!(byte, 0..=0x1f | b'"' | b'\\');
    let rest = &bytes[length..];
    length + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The place of the first special byte among eight. Each test sets the high bit of a byte that it
/// finds; a borrow may also set bits of later bytes, never of earlier ones.
fn first_special(eight: u64) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH_BITS: u64 = ONES * 0x80;
    let is_below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH_BITS;
    let is = |byte: u8| is_below(eight ^ (ONES * u64::from(byte)), 1);
    let found = is_below(eight, 0x20) | is(b'"') | is(b'\\');
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}
