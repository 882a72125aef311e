//! Texts that are looked for in bytes, whoever wrote these.
//!
//! A text is found in whatever case it is written, and as JSON and URLs spell it. It never leaves this
//! process: no store is asked for it, so that no store's log can hold the question.

use std::collections::BTreeSet;

use super::report::{Found, Place};

/// Texts to look for, in the order in which they were given.
pub(super) struct Needles(Vec<Needle>);

impl Needles {
    pub(super) fn new(texts: &[String]) -> Self {
        Self(texts.iter().map(|text| Needle::new(text)).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// A search that has seen nothing yet.
    pub(super) fn search(&self) -> Search<'_> {
        let longest = self.0.iter().map(|needle| needle.longest).max().unwrap_or_default();
        Search { needles: self, found: vec![false; self.count()], longest, window: Vec::new() }
    }

    /// A count that holds nothing yet.
    pub(super) fn tally(&self) -> Tally<'_> {
        Tally { needles: self, looked_at: 0, found: vec![0; self.count()] }
    }
}

/// How many things were looked at, and in how many each of the texts was found.
pub(super) struct Tally<'a> {
    needles: &'a Needles,
    looked_at: u64,
    found: Vec<u64>,
}

impl Tally<'_> {
    /// Looks at a thing, which is these parts.
    pub(super) fn look<'p>(&mut self, parts: impl IntoIterator<Item = &'p [u8]>) {
        let mut search = self.needles.search();
        for part in parts {
            search.whole(part);
        }
        let found = search.found;
        self.add(&found);
    }

    /// Adds a thing in which these texts were found.
    pub(super) fn add(&mut self, found: &[bool]) {
        self.looked_at += 1;
        for (count, is_found) in self.found.iter_mut().zip(found) {
            *count += u64::from(*is_found);
        }
    }

    /// What was seen, as a place of the report.
    pub(super) fn place(&self, name: impl Into<String>, of: &'static str) -> Place {
        let counts = self.found.iter().zip(1..);
        let found =
            counts.map(|(count, number)| Found::new(*count, format!("with marker {number}")));
        Place::looked_at(name, self.looked_at, of, found)
    }
}

/// A search through one thing.
pub(super) struct Search<'a> {
    needles: &'a Needles,
    found: Vec<bool>,
    longest: usize,
    /// The end of what was seen: a text may begin here and end in the next chunk.
    window: Vec<u8>,
}

impl Search<'_> {
    /// Looks at bytes that stand by themselves.
    pub(super) fn whole(&mut self, bytes: &[u8]) {
        for (needle, is_found) in self.needles.0.iter().zip(&mut self.found) {
            *is_found = *is_found || needle.is_in(bytes);
        }
    }

    /// Looks at bytes that follow upon those before.
    pub(super) fn chunk(&mut self, bytes: &[u8]) {
        let mut window = std::mem::take(&mut self.window);
        window.extend_from_slice(bytes);
        self.whole(&window);
        let kept = window.len().min(self.longest.saturating_sub(1));
        window.drain(..window.len() - kept);
        self.window = window;
    }

    pub(super) fn found(&self) -> &[bool] {
        &self.found
    }
}

/// A text that is looked for.
struct Needle {
    /// For each character, the ways in which it may be written.
    characters: Vec<Vec<Vec<u8>>>,
    /// Which bytes it may begin with.
    begins: [bool; 256],
    /// Bytes of its longest spelling.
    longest: usize,
}

impl Needle {
    fn new(text: &str) -> Self {
        let characters: Vec<Vec<Vec<u8>>> = text.chars().map(spellings).collect();
        let mut begins = [false; 256];
        for spelling in characters.first().into_iter().flatten() {
            if let Some(byte) = spelling.first() {
                begins[usize::from(byte.to_ascii_lowercase())] = true;
                begins[usize::from(byte.to_ascii_uppercase())] = true;
            }
        }
        let lengths = characters.iter().map(|ways| ways.iter().map(Vec::len).max());
        let longest = lengths.map(Option::unwrap_or_default).sum();
        Self { characters, begins, longest }
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        let places = bytes.iter().enumerate().filter(|(_, byte)| self.begins[usize::from(**byte)]);
        places.into_iter().any(|(at, _)| begins_with(&bytes[at..], &self.characters))
    }
}

fn begins_with(bytes: &[u8], characters: &[Vec<Vec<u8>>]) -> bool {
    let Some((ways, others)) = characters.split_first() else { return true };
    ways.iter().any(|way| {
        let split = bytes.split_at_checked(way.len());
        split
            .is_some_and(|(head, rest)| head.eq_ignore_ascii_case(way) && begins_with(rest, others))
    })
}

/// The ways to write a character, but for the case of what is ASCII.
fn spellings(character: char) -> Vec<Vec<u8>> {
    let mut ways: BTreeSet<Vec<u8>> = BTreeSet::new();
    for text in cases(character) {
        ways.insert(text.as_bytes().to_vec());
        // Letters and digits stand for themselves everywhere.
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            ways.insert(in_json(&text).into_bytes());
            ways.insert(
                text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>().into_bytes(),
            );
        }
    }
    match character {
        '"' | '\\' | '/' => ways.insert(format!("\\{character}").into_bytes()),
        '\n' => ways.insert(b"\\n".to_vec()),
        '\r' => ways.insert(b"\\r".to_vec()),
        '\t' => ways.insert(b"\\t".to_vec()),
        // As forms write it.
        ' ' => ways.insert(b"+".to_vec()),
        _ => false,
    };
    ways.into_iter().collect()
}

/// The character in every case; that of ASCII is not told apart anyway.
fn cases(character: char) -> BTreeSet<String> {
    let mut cases = BTreeSet::from([character.to_string()]);
    if !character.is_ascii() {
        // Twice: some letters have two small forms.
        for _ in 0..2 {
            let both = |text: &String| [text.to_lowercase(), text.to_uppercase()];
            let more: Vec<String> = cases.iter().flat_map(both).collect();
            cases.extend(more);
        }
        // By itself none becomes the one that ends words.
        if cases.contains("σ") {
            cases.insert("ς".to_owned());
        }
    }
    cases
}

fn in_json(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_in(text: &str, bytes: &[u8]) -> bool {
        Needle::new(text).is_in(bytes)
    }

    #[test]
    fn a_text_is_found_in_whatever_case() {
        for (text, written) in [
            ("ann@example.org", "Ann@Example.ORG"),
            ("JÜRGEN", "Jürgen"),
            ("jürgen", "JÜRGEN"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("οδος", "ΟΔΟΣ"),
            ("日本", "日本"),
        ] {
            let around = format!("x{written}y");
            assert!(is_in(text, around.as_bytes()), "{text} in {written}");
        }
        assert!(!is_in("ann@example.org", b"ann@example.or"));
        assert!(!is_in("jurgen", "jürgen".as_bytes()));
    }

    #[test]
    fn a_text_is_found_as_json_and_urls_spell_it() {
        for (text, written) in [
            ("Ann \"A\" Smith", r#"{"full_name":"Ann \"A\" Smith"}"#),
            ("one\ntwo", r#""one\ntwo""#),
            (r"a\b", r#""a\\b""#),
            ("Jürgen", r#""J\u00FCrgen""#),
            ("jürgen", r#""J\u00dcRGEN""#),
            ("https://a.b/c", r#""https:\/\/a.b\/c""#),
            ("Jürgen Ann", "GET /x?name=j%C3%BCrgen+ann"),
            ("ann@example.org", "ann%40example.org"),
            ("😀!", r#""\uD83D\ude00!""#),
        ] {
            assert!(is_in(text, written.as_bytes()), "{text} in {written}");
        }
    }

    #[test]
    fn a_text_is_found_among_bytes_that_are_no_text() {
        let bytes = [&[0, 0xff, 0xc3][..], b"aann", &[0xfe]].concat();
        assert!(is_in("ANN", &bytes));
        assert!(!is_in("ANNA", &bytes));
    }

    #[test]
    fn things_are_counted_and_not_occurrences() {
        let needles = Needles::new(&["ann".to_owned(), "bob".to_owned()]);
        let mut tally = needles.tally();
        tally.look([&b"ann"[..], b"ann and bob"]);
        tally.look([&b"a"[..], b"nn"]);
        assert_eq!((tally.looked_at, tally.found), (2, vec![1, 1]));
    }

    proptest! {
        /// However a thing is cut, what it holds is found, and what it does not is not.
        #[test]
        fn a_text_is_found_across_the_edges_of_chunks(
            before in "[anü@ ]{0,12}", after in "[anü@ ]{0,12}", text in "[anü@ \"]{1,6}",
            holds: bool, cuts in prop::collection::vec(0usize..48, 0..6),
        ) {
            let middle = if holds { text.to_uppercase() } else { String::new() };
            let whole = format!("{before}{middle}{after}");
            let needles = Needles::new(&[text]);
            let mut at_once = needles.search();
            at_once.whole(whole.as_bytes());
            prop_assert!(at_once.found()[0] || !holds);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.sort_unstable();
            cuts.push(whole.len());
            let mut in_chunks = needles.search();
            let mut from = 0;
            for to in cuts {
                in_chunks.chunk(&whole.as_bytes()[from..to]);
                from = to;
            }
            prop_assert_eq!(in_chunks.found(), at_once.found());
        }
    }
}
