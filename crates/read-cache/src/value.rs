//! What stands at a key, as text: pure functions.
//!
//! | State | Text | Readable with `redis-cli GET` |
//! | --- | --- | --- |
//! | absent | | `(nil)` |
//! | lease | `lease <id>` | somebody loads |
//! | tombstone | `tombstone <batch>` | a commit is under way |
//! | body | `<cache generation> <version> <json>` | what readers are shown |
//!
//! The first byte tells them apart: `l`, `t`, or a digit. The scripts rely on it.
//!
//! A partition has three keys of its own, named by [`crate::TrustKey`]:
//!
//! | Key | Text | Readable with `redis-cli GET` |
//! | --- | --- | --- |
//! | trust key | `<cache generation>` | bodies of this generation count |
//! | mark | a random text | this Redis was not emptied |
//! | window | `tombstone <batch>` | a lane's commit is under way; no lease is given |

use std::fmt;

use bytes::Bytes;
use uuid::Uuid;

/// Which bodies of a partition are trusted: those that carry the generation of its trust key.
///
/// It only rises, and stands beside the partition's position in Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CacheGeneration(pub u64);

impl CacheGeneration {
    /// The next one: every body written so far becomes a miss.
    #[must_use]
    pub fn raised(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Reads the text of a trust key; `None` for what we did not write.
    pub fn parse(text: &[u8]) -> Option<Self> {
        number(text).map(Self)
    }
}

impl fmt::Display for CacheGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! unique_id {
    ($(#[$meta:meta])* $name:ident, $word:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// One that nobody else has.
            pub fn unique() -> Self {
                Self(Uuid::now_v7())
            }

            /// The text that stands at a key.
            pub fn text(&self) -> String {
                format!(concat!($word, " {}"), self.0.simple())
            }
        }
    };
}

unique_id! {
    /// Who set a tombstone or a window: one attempt to commit one batch.
    BatchId, "tombstone"
}
unique_id! {
    /// Who holds a lease: one load.
    LeaseId, "lease"
}

/// A body: what readers are shown, and when it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The generation it was written under; trusted only while the trust key says the same.
    pub generation: CacheGeneration,
    /// Version of the row; 0 where there is none.
    pub version: u64,
    /// The row as readers get it; empty where there is none.
    pub json: Bytes,
}

impl Body {
    /// Says that there is no row.
    pub fn missing(generation: CacheGeneration) -> Self {
        Self { generation, version: 0, json: Bytes::new() }
    }

    /// Whether it says that there is no row.
    pub fn is_missing(&self) -> bool {
        self.version == 0 && self.json.is_empty()
    }

    /// The text that stands at a key.
    pub fn text(&self) -> Bytes {
        let head = format!("{} {} ", self.generation, self.version);
        let mut text = Vec::with_capacity(head.len() + self.json.len());
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(&self.json);
        text.into()
    }

    /// Reads a text without copying it; `None` for what is no body.
    pub fn parse(text: &Bytes) -> Option<Self> {
        let mut parts = text.splitn(3, |byte| *byte == b' ');
        let generation = CacheGeneration::parse(parts.next()?)?;
        let version = number(parts.next()?)?;
        let json = text.slice_ref(parts.next()?);
        Some(Self { generation, version, json })
    }
}

/// What stands at a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// Somebody loads.
    Lease,
    /// A commit is under way.
    Tombstone,
    /// A body, to be trusted or not.
    Body(Body),
    /// Something that no part of the protocol writes. Taken for an untrusted body.
    Foreign,
}

impl State {
    /// Reads what `GET` answers.
    pub fn parse(text: Option<&Bytes>) -> Self {
        let Some(text) = text else { return Self::Absent };
        match text.first() {
            Some(b'l') => Self::Lease,
            Some(b't') => Self::Tombstone,
            _ => Body::parse(text).map_or(Self::Foreign, Self::Body),
        }
    }
}

/// A number as we print it: digits only, none of them a leading zero.
fn number(text: &[u8]) -> Option<u64> {
    let is_ours = match text {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_ours.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_is_readable_as_it_stands() {
        let body = Body { generation: CacheGeneration(7), version: 42, json: "{\"a\":1}".into() };
        assert_eq!(body.text(), "7 42 {\"a\":1}");
        assert_eq!(Body::missing(CacheGeneration(7)).text(), "7 0 ");
    }

    #[test]
    fn the_states_are_told_by_their_first_byte() {
        let of = |text: &str| State::parse(Some(&Bytes::copy_from_slice(text.as_bytes())));
        assert_eq!(of(&LeaseId::unique().text()), State::Lease);
        assert_eq!(of(&BatchId::unique().text()), State::Tombstone);
        assert_eq!(State::parse(None), State::Absent);
        for foreign in ["", "x", "-1 2 {}", "1", "1 2", "01 2 {}", "+1 2 {}", "1 two {}"] {
            assert_eq!(of(foreign), State::Foreign, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn a_body_reads_back(generation: u64, version: u64, json: Vec<u8>) {
            let body = Body { generation: CacheGeneration(generation), version, json: json.into() };
            prop_assert_eq!(State::parse(Some(&body.text())), State::Body(body));
        }

        /// A script that compares texts and a reader that compares numbers see the same.
        #[test]
        fn whatever_is_read_as_a_body_prints_as_it_stood(text in "[0-9 +l t]{0,12}") {
            let text = Bytes::from(text);
            if let State::Body(body) = State::parse(Some(&text)) {
                prop_assert_eq!(body.text(), text);
            }
        }

        #[test]
        fn any_bytes_are_some_state(text: Vec<u8>) {
            let _ = State::parse(Some(&Bytes::from(text)));
        }
    }
}
