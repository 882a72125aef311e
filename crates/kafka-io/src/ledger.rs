//! Which records of one partition are in hand and which is next: plain data, without a client.
//!
//! A [`Ledger`] begins at a stored position. The consumer is assigned at the record *before* the
//! position, so the first delivery is a record that was folded already: it must be the remembered
//! one, or the log is not the log that was folded. From then on offsets only rise. Offsets need not
//! be dense: a log may hold control records that are never delivered.

use xxhash_rust::xxh3::xxh3_64;

/// What identifies a record beyond its offset: enough to tell it from another record that a
/// recreated topic holds at the same offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// The record's offset.
    pub offset: i64,
    /// The broker's time of the record, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// XXH3 of key and value.
    pub hash: u64,
}

impl Remembered {
    /// The identity of a record. An absent key or value counts as another than an empty one.
    pub fn of(offset: i64, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        let presence = u64::from(key.is_some()) << 1 | u64::from(value.is_some());
        let key = xxh3_64(key.unwrap_or_default()).rotate_left(32);
        let value = xxh3_64(value.unwrap_or_default());
        Self { offset, timestamp_ms, hash: key ^ value ^ presence }
    }

    /// Bytes of [`Remembered::to_bytes`].
    pub const LENGTH: usize = 24;

    /// The form that is stored beside the position.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.offset.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.timestamp_ms.to_be_bytes());
        bytes[16..].copy_from_slice(&self.hash.to_be_bytes());
        bytes
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            word
        };
        Some(Self {
            offset: i64::from_be_bytes(word(0)),
            timestamp_ms: i64::from_be_bytes(word(8)),
            hash: u64::from_be_bytes(word(16)),
        })
    }
}

/// What to do with a delivered record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is the remembered record: the log is the one that was folded. Not to be folded again.
    Verified,
    /// It is to be folded.
    Fresh,
    /// It lies below the position and was folded before. Not to be folded again.
    Folded,
}

/// A broken contract between the log and what was folded of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Another record stands where the remembered one stood.
    #[error(
        "the record at offset {offset} is not the one that was folded: the topic was recreated or its log was replaced"
    )]
    Replaced {
        /// Where.
        offset: i64,
    },
    /// The remembered record is gone: retention or deletion passed the position.
    #[error("the log begins at offset {got}, after the record at {expected} that was folded last")]
    Missing {
        /// The remembered offset.
        expected: i64,
        /// The first delivered offset.
        got: i64,
    },
    /// An offset that is not above the one before it.
    #[error("offset {got} was delivered after offset {after}")]
    OutOfOrder {
        /// Highest offset before.
        after: i64,
        /// The delivered offset.
        got: i64,
    },
}

impl LedgerError {
    /// Stable label for metrics and health.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Replaced { .. } => "log-replaced",
            Self::Missing { .. } => "log-truncated",
            Self::OutOfOrder { .. } => "out-of-order",
        }
    }
}

/// A move of the position: `to` may be stored only where `from` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The position the folded records began at.
    pub from: i64,
    /// The position after them.
    pub to: i64,
    /// The last of them.
    pub last: Remembered,
}

/// The account of one assigned partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    position: i64,
    unverified: Option<Remembered>,
    received: Option<i64>,
}

impl Ledger {
    /// Begins at a stored position and the record that was folded last.
    pub fn new(position: i64, last: Option<Remembered>) -> Self {
        // A remembered record at or above the position was remembered before the position was set
        // back; it says nothing about the record below the position.
        let unverified = last.filter(|last| last.offset < position);
        Self { position, unverified, received: None }
    }

    /// The offset to assign the consumer at: the remembered record, so that it can be verified.
    pub fn assign_at(&self) -> i64 {
        self.unverified.map_or(self.position, |last| last.offset)
    }

    /// The next offset to fold.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Whether the log has been seen to be the one that was folded.
    pub fn is_verified(&self) -> bool {
        self.unverified.is_none()
    }

    /// Accounts for a delivered record.
    pub fn receive(&mut self, record: Remembered) -> Result<Receipt, LedgerError> {
        if let Some(after) = self.received.filter(|after| record.offset <= *after) {
            return Err(LedgerError::OutOfOrder { after, got: record.offset });
        }
        if let Some(expected) = self.unverified {
            if record.offset > expected.offset {
                return Err(LedgerError::Missing { expected: expected.offset, got: record.offset });
            }
            if record != expected {
                return Err(LedgerError::Replaced { offset: record.offset });
            }
            self.unverified = None;
            self.received = Some(record.offset);
            return Ok(Receipt::Verified);
        }
        self.received = Some(record.offset);
        Ok(if record.offset < self.position { Receipt::Folded } else { Receipt::Fresh })
    }

    /// The move that folding up to and including `last` makes.
    pub fn advance_past(&self, last: Remembered) -> Advance {
        Advance { from: self.position, to: last.offset + 1, last }
    }

    /// Accounts for a committed move.
    pub fn advanced(&mut self, advance: Advance) {
        self.position = advance.to;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(offset: i64) -> Remembered {
        Remembered { offset, timestamp_ms: 1_000 + offset, hash: offset.cast_unsigned() ^ 0xabcd }
    }

    #[test]
    fn a_new_partition_is_folded_from_its_position() {
        let mut ledger = Ledger::new(0, None);
        assert_eq!(ledger.assign_at(), 0);
        assert_eq!(ledger.receive(record(3)), Ok(Receipt::Fresh));
    }

    #[test]
    fn the_remembered_record_is_verified_and_not_folded_again() {
        let mut ledger = Ledger::new(8, Some(record(7)));
        assert_eq!(ledger.assign_at(), 7);
        assert!(!ledger.is_verified());
        assert_eq!(ledger.receive(record(7)), Ok(Receipt::Verified));
        assert!(ledger.is_verified());
        assert_eq!(ledger.receive(record(8)), Ok(Receipt::Fresh));
    }

    #[test]
    fn another_record_in_its_place_is_refused() {
        let mut ledger = Ledger::new(8, Some(record(7)));
        let other = Remembered { timestamp_ms: 5, ..record(7) };
        assert_eq!(ledger.receive(other), Err(LedgerError::Replaced { offset: 7 }));
    }

    #[test]
    fn a_log_that_begins_after_it_is_refused() {
        let mut ledger = Ledger::new(8, Some(record(7)));
        assert_eq!(ledger.receive(record(9)), Err(LedgerError::Missing { expected: 7, got: 9 }));
    }

    #[test]
    fn a_position_set_back_below_the_remembered_record_is_taken() {
        let mut ledger = Ledger::new(0, Some(record(7)));
        assert_eq!(ledger.assign_at(), 0);
        assert_eq!(ledger.receive(record(0)), Ok(Receipt::Fresh));
    }

    #[test]
    fn an_absent_key_or_value_is_told_from_an_empty_one() {
        let of = |key, value| Remembered::of(7, 1_000, key, value).hash;
        let empty: Option<&[u8]> = Some(b"");
        let hashes = [of(None, None), of(empty, None), of(None, empty), of(empty, empty)];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), 4, "{hashes:x?}");
    }

    #[test]
    fn the_identity_of_a_record_never_changes() {
        // Stored beside positions: another hash would halt every partition after an upgrade.
        let of = Remembered::of(7, 1_000, Some(b"device-123"), Some(b"value"));
        assert_eq!(of, Remembered { offset: 7, timestamp_ms: 1_000, hash: 0x13eb_ed8b_b502_fb46 });
    }

    proptest! {
        #[test]
        fn the_stored_form_reads_back(offset: i64, timestamp_ms: i64, hash: u64) {
            let remembered = Remembered { offset, timestamp_ms, hash };
            prop_assert_eq!(Remembered::from_bytes(&remembered.to_bytes()), Some(remembered));
        }

        /// Deliveries, commits and reassignments in any order fold each record of the log once,
        /// in order, and never one that was committed before.
        #[test]
        fn every_record_is_folded_once_over_any_schedule(
            gaps in prop::collection::vec(1i64..4, 1..80),
            steps in prop::collection::vec((0usize..12, 0usize..12, any::<bool>()), 1..60),
        ) {
            let log: Vec<_> = gaps.iter().scan(-1, |at, gap| { *at += gap; Some(record(*at)) }).collect();
            let (mut stored, mut last) = (0, None);
            let mut folded: Vec<i64> = Vec::new();
            for (deliver, commit, reassign) in steps {
                let mut ledger = Ledger::new(stored, last);
                let at = ledger.assign_at();
                let mut fresh = Vec::new();
                for delivered in log.iter().filter(|r| r.offset >= at).take(deliver) {
                    if ledger.receive(*delivered) == Ok(Receipt::Fresh) { fresh.push(*delivered); }
                }
                let committed: Vec<_> = fresh.iter().take(commit).copied().collect();
                if let (Some(end), false) = (committed.last(), reassign) {
                    let advance = ledger.advance_past(*end);
                    prop_assert_eq!(advance.from, stored);
                    ledger.advanced(advance);
                    (stored, last) = (ledger.position(), Some(*end));
                    folded.extend(committed.iter().map(|r| r.offset));
                }
            }
            let expected: Vec<_> = log.iter().map(|r| r.offset).take(folded.len()).collect();
            prop_assert_eq!(folded, expected);
        }
    }
}
