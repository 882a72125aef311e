//! Where a value ends, by JSON's grammar alone: for one that breaks a rule, and is passed over.

use super::{Broken, Limits, Scanner, plain_length};

/// No number breaks these. Depth is not asked for.
const NONE: Limits =
    Limits { bytes: usize::MAX, depth: usize::MAX, digits: usize::MAX, exponent: u32::MAX };

/// The arrays and objects around a place, a bit for each: however deep a text is nested, they take
/// less room than the text.
#[derive(Default)]
struct Nesting {
    bits: Vec<u64>,
    depth: usize,
}

impl Scanner<'_> {
    /// Goes past the value that begins at `start`, and what white space follows it, whatever rules
    /// it breaks, as long as it is JSON.
    pub(in super::super) fn pass_over(&mut self, start: usize) -> Result<(), Broken> {
        self.at = start;
        self.open.clear();
        self.names.clear();
        let limits = std::mem::replace(&mut self.limits, NONE);
        let passed = self.pass_value();
        self.limits = limits;
        passed
    }

    fn pass_value(&mut self) -> Result<(), Broken> {
        let mut nesting = Nesting::default();
        loop {
            if self.pass_beginning(&mut nesting)? {
                continue;
            }
            loop {
                self.skip_white_space();
                let Some(in_object) = nesting.innermost() else { return Ok(()) };
                if self.take(b',') {
                    if in_object {
                        self.pass_name()?;
                    }
                    break;
                }
                let (end, expected) =
                    if in_object { (b'}', "`,` or `}`") } else { (b']', "`,` or `]`") };
                if self.peek() != Some(end) {
                    return self.malformed(expected);
                }
                self.at += 1;
                nesting.close();
            }
        }
    }

    /// Goes past a value that holds none; true where it stands inside one whose first value is next.
    fn pass_beginning(&mut self, nesting: &mut Nesting) -> Result<bool, Broken> {
        match self.peek() {
            Some(b'{') => {
                self.take(b'{');
                if self.peek() != Some(b'}') {
                    nesting.open(true);
                    self.pass_name()?;
                    return Ok(true);
                }
                self.at += 1;
            }
            Some(b'[') => {
                self.take(b'[');
                if self.peek() != Some(b']') {
                    nesting.open(false);
                    return Ok(true);
                }
                self.at += 1;
            }
            Some(b'"') => self.pass_string()?,
            _ => {
                self.begin_value()?;
            }
        }
        Ok(false)
    }

    fn pass_name(&mut self) -> Result<(), Broken> {
        if self.peek() != Some(b'"') {
            return self.malformed("a name in quotes");
        }
        self.pass_string()?;
        self.skip_white_space();
        if self.take(b':') { Ok(()) } else { self.malformed("`:`") }
    }

    fn pass_string(&mut self) -> Result<(), Broken> {
        self.at += 1;
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match (self.peek(), self.bytes.get(self.at + 1)) {
                (Some(b'"'), _) => {
                    self.at += 1;
                    return Ok(());
                }
                (Some(b'\\'), Some(b'u')) => {
                    self.code_unit()?;
                }
                (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => {
                    self.at += 2;
                }
                (Some(b'\\'), _) => return self.malformed("an escape that JSON knows"),
                (Some(..=0x1f), _) => return self.malformed("control characters to be escaped"),
                (Some(_), _) => self.at += 1,
                (None, _) => return self.malformed("the end of the string"),
            }
        }
    }
}

impl Nesting {
    fn open(&mut self, is_object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.bits.len() {
            self.bits.push(0);
        }
        self.bits[word] = self.bits[word] & !(1 << bit) | u64::from(is_object) << bit;
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
    }

    /// Whether the innermost is an object, if anything is open.
    fn innermost(&self) -> Option<bool> {
        let last = self.depth.checked_sub(1)?;
        Some(self.bits[last / 64] >> (last % 64) & 1 == 1)
    }
}
