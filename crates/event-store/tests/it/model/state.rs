//! One stream: its rows in the store, its records in the log, who publishes and who folds.

use super::rules::{Mistake, Setting};

/// Identity of an event; no two decisions make the same.
pub(super) type Id = u8;

/// Version of a stream, counted from 1.
pub(super) type Version = usize;

/// A record of the log, or one that is on its way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) version: Version,
    pub(super) id: Id,
}

/// A committed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) id: Id,
    pub(super) is_published: bool,
}

/// A decision that was made and is not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Decided {
    pub(super) on: Version,
    pub(super) id: Id,
}

/// A process that publishes, as far as it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Relay {
    /// Whether it believes to hold the lock.
    pub(super) is_owner: bool,
    /// What it waits for, and whether it was acknowledged.
    pub(super) sent: Option<(Record, bool)>,
}

/// A send under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Flight {
    pub(super) by: usize,
    pub(super) record: Record,
}

/// Why a projection stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Blocked {
    Gap,
    Fork,
}

/// What a projection has folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct View {
    /// The next record to look at.
    pub(super) next: usize,
    pub(super) folded: Vec<Id>,
    pub(super) absorbed: u8,
    pub(super) blocked: Option<Blocked>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) rows: Vec<Row>,
    pub(super) decided: [Option<Decided>; 2],
    /// Identities handed out.
    pub(super) decisions: Id,
    /// Who holds the lock.
    pub(super) owner: Option<usize>,
    pub(super) relays: [Relay; 2],
    pub(super) flights: Vec<Flight>,
    pub(super) log: Vec<Record>,
    pub(super) view: View,
    /// How often the store began to run: anew after it was set back.
    pub(super) run: u8,
    /// The run in which the log was compared with the store.
    pub(super) compared: u8,
    pub(super) is_restored: bool,
    pub(super) is_disturbed: bool,
}

impl State {
    pub(super) fn first() -> Self {
        Self {
            rows: Vec::new(),
            decided: [None; 2],
            decisions: 0,
            owner: None,
            relays: [Relay::default(); 2],
            flights: Vec::new(),
            log: Vec::new(),
            view: View::default(),
            run: 1,
            compared: 1,
            is_restored: false,
            is_disturbed: false,
        }
    }

    /// Whether a decision may be committed.
    pub(super) fn is_open(&self, setting: &Setting) -> bool {
        self.compared == self.run || setting.breaks(Mistake::DecideUncompared)
    }

    /// The first event that is not known to be in the log.
    pub(super) fn unpublished(&self, after: usize) -> Option<Record> {
        let (index, row) =
            self.rows.iter().enumerate().filter(|(_, row)| !row.is_published).nth(after)?;
        Some(Record { version: index + 1, id: row.id })
    }

    /// The event of a version, if the store has it.
    pub(super) fn row(&self, version: Version) -> Option<&Row> {
        self.rows.get(version - 1)
    }

    /// Whether the store has all that the log has.
    pub(super) fn knows_the_log(&self) -> bool {
        self.log.iter().all(|record| match self.row(record.version) {
            None => false,
            Some(row) => row.id == record.id,
        })
    }

    /// The log without what it repeats.
    pub(super) fn distinct(&self) -> Vec<Record> {
        let mut distinct: Vec<Record> = Vec::new();
        for record in &self.log {
            if !distinct.contains(record) {
                distinct.push(*record);
            }
        }
        distinct
    }

    pub(super) fn has_no_fork(&self) -> bool {
        let distinct = self.distinct();
        distinct.iter().all(|record| {
            distinct.iter().filter(|other| other.version == record.version).count() == 1
        })
    }

    pub(super) fn has_no_gap(&self) -> bool {
        self.distinct().iter().enumerate().all(|(index, record)| record.version == index + 1)
    }
}
