//! What a batch is once it is sorted.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use kafka_io::record_reader::OwnedRecord;
use read_models::recorded::Recorded;
use uuid::Uuid;

use crate::letters::LetterState;
use crate::letters::parked::Waiting;
use crate::letters::set_aside::SetAside;
use crate::letters::store::NewLetter;
use crate::runner::Failure;
use crate::runner::sequence::Link;
use crate::runner::stream_events::OfStream;

/// A batch, sorted.
pub(crate) struct Sorted<'a, E> {
    /// To be folded, in log order.
    pub(crate) events: Vec<&'a Recorded<E>>,
    /// To be set aside, in log order.
    pub(crate) asides: Vec<Aside<'a>>,
    /// Events among what is set aside, in log order.
    pub(crate) waiting: Vec<&'a Recorded<E>>,
    /// Events that were folded before, as their versions tell, and those passed over: nothing is done
    /// with them.
    pub(crate) absorbed: usize,
    /// Events that come after their letter was discarded: they count as folded.
    pub(crate) passed: Vec<OfStream<'a>>,
    /// Events that are set aside behind a missing version, each of which would be the next if all between
    /// was discarded.
    pub(crate) hopeful: Vec<OfStream<'a>>,
    /// Heads whose turn may have come, since a version that was missing is folded.
    pub(crate) due: BTreeSet<Uuid>,
    /// Heads that wait behind another letter from now on.
    pub(crate) overtaken: Vec<Uuid>,
    /// Events out of sequence that nobody was told of yet. Where there are any, they are to be blamed
    /// and the batch sorted again.
    pub(crate) strays: Vec<Stray<'a>>,
}

/// A record to be set aside, as a letter in a state.
pub(crate) struct Aside<'a> {
    pub(crate) id: Uuid,
    pub(crate) record: Cow<'a, SetAside>,
    pub(crate) state: LetterState,
    /// The letter its stream waits behind, itself if it is the first.
    pub(crate) head: Option<Uuid>,
    /// Whether its stream did not wait before.
    pub(crate) is_first: bool,
}

/// An event that neither follows what was folded of its stream nor is part of it.
pub(crate) struct Stray<'a> {
    pub(crate) stream_id: &'a str,
    pub(crate) link: Link,
    pub(crate) place: (i32, i64),
    pub(crate) is_fork: bool,
}

impl Aside<'_> {
    pub(crate) fn letter(&self, record: OwnedRecord) -> NewLetter<'_> {
        NewLetter { id: self.id, aside: &self.record, state: self.state, record }
    }
}

impl Stray<'_> {
    pub(crate) fn failure(&self) -> Failure {
        if self.is_fork { Failure::stream_fork() } else { Failure::version_gap() }
    }
}

impl<E> Sorted<'_, E> {
    pub(super) fn for_batch(records: usize) -> Self {
        Self {
            events: Vec::with_capacity(records),
            asides: Vec::new(),
            waiting: Vec::new(),
            absorbed: 0,
            passed: Vec::new(),
            hopeful: Vec::new(),
            due: BTreeSet::new(),
            overtaken: Vec::new(),
            strays: Vec::new(),
        }
    }
}

/// What the letters add to the streams that wait.
pub(crate) fn waiting(asides: &[Aside<'_>]) -> BTreeMap<(i32, String), Waiting> {
    let mut streams: BTreeMap<(i32, String), Waiting> = BTreeMap::new();
    for aside in asides {
        let (Some(head), Some(stream)) = (aside.head, &aside.record.stream_id) else { continue };
        let stream = streams.entry((aside.record.partition, stream.clone())).or_insert(Waiting {
            head,
            letters: 0,
            is_new: false,
        });
        stream.head = head;
        stream.letters += 1;
        stream.is_new |= aside.is_first;
    }
    streams
}
