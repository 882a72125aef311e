//! Texts that are planted, and how they are found again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use uuid::Uuid;

/// How texts begin that are made here: letters and digits alone, which no encoding of URLs or JSON changes.
const MARK: &str = "canary";

/// Characters of a piece that is told of where something was found.
const PIECE: usize = 200;

/// What is planted, by whom it may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A secret of the settings, a password, a credential that somebody made up: nobody is told it.
    Secret,
    /// A credential that a process has made: told once to whoever it is for.
    Given,
    /// What else is in a request, and what people are called: told to who may ask for it, and in no log.
    Private,
    /// What stands in the path of a request: as private, but that the front door logs paths.
    Path,
}

impl Kind {
    pub(super) const CREDENTIALS: &[Self] = &[Self::Secret, Self::Given];
    pub(super) const ALL: &[Self] = &[Self::Secret, Self::Given, Self::Private, Self::Path];
}

#[derive(Debug, Clone)]
struct Canary {
    place: String,
    text: String,
    kind: Kind,
    /// All that it is told by.
    forms: Vec<String>,
}

/// Everything that is planted.
#[derive(Debug, Default)]
pub(super) struct Planted(Mutex<Vec<Canary>>);

impl Planted {
    /// The text of a place, which stands nowhere else.
    pub(super) fn at(&self, kind: Kind, place: &str) -> String {
        let mut canaries = self.canaries();
        if let Some(known) = canaries.iter().find(|it| it.place == place && it.kind == kind) {
            return known.text.clone();
        }
        let random = Uuid::now_v7().simple().to_string();
        // The last half of such an id is random.
        let text = format!("{MARK}{}", &random[20..]);
        let (place, forms) = (place.to_owned(), forms(&text));
        canaries.push(Canary { place, text: text.clone(), kind, forms });
        text
    }

    pub(super) fn secret(&self, place: &str) -> String {
        self.at(Kind::Secret, place)
    }

    pub(super) fn private(&self, place: &str) -> String {
        self.at(Kind::Private, place)
    }

    /// Takes note of a credential. Of what is signed the signature is looked for: all else of it is no secret.
    pub(super) fn given(&self, place: &str, text: &str) {
        let text = text.rsplit('.').next().unwrap_or(text).to_owned();
        let (place, forms) = (place.to_owned(), vec![text.clone()]);
        self.canaries().push(Canary { place, text, kind: Kind::Given, forms });
    }

    fn canaries(&self) -> MutexGuard<'_, Vec<Canary>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where what stands in the text was planted, with a piece of the text.
    fn found_in(&self, text: &str, kinds: &[Kind]) -> Vec<String> {
        let canaries = self.canaries();
        let looked_for = canaries.iter().filter(|canary| kinds.contains(&canary.kind));
        let (made, given): (Vec<_>, Vec<_>) =
            looked_for.partition(|canary| canary.text.starts_with(MARK));
        // Few lines hold any: all others are passed over at once.
        let marks = forms(MARK);
        let is_marked = |line: &&str| marks.iter().any(|mark| line.contains(mark.as_str()));
        let marked: Vec<&str> = text.lines().filter(is_marked).collect();
        let in_lines = made.iter().filter_map(|canary| {
            let found = marked.iter().find_map(|line| canary.piece_of(line));
            found.map(|piece| canary.told(piece))
        });
        let in_all = given.iter().filter_map(|canary| Some(canary.told(canary.piece_of(text)?)));
        in_lines.chain(in_all).collect()
    }
}

impl Canary {
    /// A piece of the text around it.
    fn piece_of<'a>(&self, text: &'a str) -> Option<&'a str> {
        let at = self.forms.iter().find_map(|form| text.find(form.as_str()))?;
        let begin = at.saturating_sub(PIECE / 2);
        let begin = (0..=begin).rev().find(|at| text.is_char_boundary(*at))?;
        let end = (at + PIECE).min(text.len());
        let end = (end..=text.len()).find(|at| text.is_char_boundary(*at))?;
        text.get(begin..end)
    }

    fn told(&self, piece: &str) -> String {
        format!("{} ({:?}): ...{piece}...", self.place, self.kind)
    }
}

/// How bytes are told: as they are, in hexadecimal, as a list, and in base64.
fn forms(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{bytes:?}");
    let mut forms = vec![text.to_owned(), hex, list.trim_matches(['[', ']']).to_owned()];
    forms.extend((0..3).map(|before| in_base64(bytes, before)));
    forms
}

/// What stands in the base64 of anything that holds the bytes behind so many others, whatever surrounds them:
/// three bytes are four characters.
fn in_base64(bytes: &[u8], before: usize) -> String {
    let whole = bytes.get((3 - before) % 3..).unwrap_or_default();
    STANDARD_NO_PAD.encode(&whole[..whole.len() / 3 * 3])
}

/// A search of places in which nothing may be found.
pub(super) struct Search<'a> {
    planted: &'a Planted,
    places: usize,
    found: Vec<String>,
}

impl<'a> Search<'a> {
    pub(super) fn of(planted: &'a Planted) -> Self {
        Self { planted, places: 0, found: Vec::new() }
    }

    /// Looks for all of these kinds.
    pub(super) fn look(&mut self, place: &str, text: &str, kinds: &[Kind]) {
        self.places += 1;
        let found = self.planted.found_in(text, kinds);
        self.found.extend(found.into_iter().map(|found| format!("{place} tells {found}")));
    }

    /// Refuses a search that has found something; how many places it has looked at.
    pub(super) fn end(mut self) -> Result<usize> {
        self.found.sort();
        self.found.dedup();
        let (count, found) = (self.found.len(), self.found.join("\n  "));
        ensure!(count == 0, "{count} things are told:\n  {found}");
        Ok(self.places)
    }
}

#[test]
fn what_is_planted_is_found_however_it_is_told() {
    let planted = Planted::default();
    let secret = planted.secret("a password");
    planted.private("a name");
    planted.given("an access token", "eyJhIjoxfQ.eyJiIjoyfQ.c2lnbmF0dXJl");
    let bytes = secret.as_bytes();
    for text in [
        format!("a line\nanother with {secret} in it"),
        format!("{bytes:?}"),
        format!("{bytes:x?}").replace([',', ' '], ""),
        STANDARD_NO_PAD.encode(format!("ann:{secret}")),
        STANDARD_NO_PAD.encode(format!("anna:{secret}.")),
        STANDARD_NO_PAD.encode(format!("annab:{secret}..")),
        format!("ü{secret}ü"),
    ] {
        let found = planted.found_in(&text, Kind::ALL);
        assert!(
            found.len() == 1 && found[0].starts_with("a password (Secret)"),
            "{text}: {found:?}"
        );
        assert!(planted.found_in(&text, &[Kind::Private]).is_empty(), "{text}");
    }
    let found = planted.found_in("Bearer x.y.c2lnbmF0dXJl", Kind::CREDENTIALS);
    assert!(found.len() == 1 && found[0].starts_with("an access token"), "{found:?}");
    for text in ["", "canary", "Y2FuYXJ5", "eyJhIjoxfQ.eyJiIjoyfQ"] {
        assert!(planted.found_in(text, Kind::ALL).is_empty(), "{text}");
    }
}
