//! Comparing a store with the log, explored in every order of its steps: two streams in one partition, one
//! relay that may end at any time, a store that is set back to a backup, and a repair that takes one stream
//! after the other while it is compared.
//!
//! Claimed: a store that is open has every record of the log, by version and identity, and no version is
//! in the log under two identities. It stands and falls with what moves `published`, the place behind
//! which the log is compared: acknowledgements of an open store, and a comparison that found nothing
//! lacking. Finding a record again or taking it back says where it is, and nothing of those beside it.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

const HAS_ALL: &str = "an open store has every record of the log";
const NO_FORK: &str = "no version is in the log under two identities";

/// A rule that is broken: the checker must find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// A comparison moves the place over records that it found, though others are lacking.
    MoveWhileComparing,
    /// A repair moves the place over what it has taken, though others are lacking.
    MoveWhileRepairing,
    /// A relay that ends publishes what there is, compared or not.
    PublishUncompared,
}

/// An event, by its place in a stream and its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Event {
    stream: u8,
    version: u8,
    id: u8,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Store {
    /// Committed events, and whether it is known where the log has them.
    rows: Vec<(Event, bool)>,
    /// Behind the last record that is known.
    published: usize,
}

impl Store {
    fn version(&self, stream: u8) -> u8 {
        self.rows.iter().filter(|(event, _)| event.stream == stream).count() as u8
    }

    fn knows(&self, event: &Event) -> bool {
        self.rows.iter().any(|(row, _)| row == event)
    }

    /// Says of an event that the log has it.
    fn place(&mut self, event: &Event) {
        self.rows.iter_mut().filter(|(row, _)| row == event).for_each(|(_, placed)| *placed = true);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct State {
    store: Store,
    log: Vec<Event>,
    /// Records that were acknowledged to the relay, which has not written that down.
    acknowledged: Vec<usize>,
    backup: Option<Store>,
    is_set_back: bool,
    is_closed: bool,
    decisions: u8,
}

impl State {
    /// Records behind the place, with those the store lacks.
    fn lacking(&self) -> impl Iterator<Item = (usize, Event)> {
        let behind = self.log.iter().copied().enumerate().skip(self.store.published);
        behind.filter(|(_, event)| event.version > self.store.version(event.stream))
    }

    /// What of a stream the relay may send: the first event that is neither placed nor acknowledged.
    fn next_of(&self, stream: u8) -> Option<Event> {
        let mut open =
            self.store.rows.iter().filter(|(row, placed)| row.stream == stream && !placed);
        let (next, _) = open.next()?;
        let is_under_way = self.acknowledged.iter().any(|at| self.log[*at] == *next);
        if !is_under_way {
            return Some(*next);
        }
        // Acknowledged: the one behind it may follow in the same batch.
        open.next().map(|(event, _)| *event)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// A decision is made upon a stream.
    Decide(u8),
    /// The relay's record arrives; whether it hears of that.
    Send {
        stream: u8,
        is_heard: bool,
    },
    /// The relay writes down what was acknowledged.
    Mark,
    /// It ends before it has.
    Crash,
    Backup,
    SetBack,
    Compare,
    /// A repair takes what a stream lacks, or as much of it as it comes to.
    Repair(u8),
}

#[derive(Debug, Clone, Copy)]
struct Setting {
    decisions: u8,
    records: usize,
    mistake: Option<Mistake>,
}

const ALL: Setting = Setting { decisions: 4, records: 5, mistake: None };

impl Setting {
    fn breaks(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}

impl Model for Setting {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let may_publish = !state.is_closed || self.breaks(Mistake::PublishUncompared);
        for stream in 0..2 {
            if !state.is_closed && state.decisions < self.decisions {
                steps.push(Step::Decide(stream));
            }
            if may_publish && state.log.len() < self.records && state.next_of(stream).is_some() {
                steps.extend([true, false].map(|is_heard| Step::Send { stream, is_heard }));
            }
            if state.lacking().any(|(_, event)| event.stream == stream) {
                steps.push(Step::Repair(stream));
            }
        }
        if !state.acknowledged.is_empty() {
            steps.extend([Step::Mark, Step::Crash]);
        }
        match &state.backup {
            None => steps.push(Step::Backup),
            Some(_) if !state.is_set_back => steps.push(Step::SetBack),
            Some(_) => {}
        }
        if state.is_closed {
            steps.push(Step::Compare);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Decide(stream) => {
                let (version, id) = (state.store.version(stream) + 1, state.decisions);
                state.decisions += 1;
                state.store.rows.push((Event { stream, version, id }, false));
            }
            Step::Send { stream, is_heard } => {
                let event = state.next_of(stream)?;
                if is_heard {
                    state.acknowledged.push(state.log.len());
                }
                state.log.push(event);
            }
            Step::Mark => {
                for at in std::mem::take(&mut state.acknowledged) {
                    state.store.place(&last.log[at]);
                    state.store.published = state.store.published.max(at + 1);
                }
            }
            Step::Crash => state.acknowledged.clear(),
            Step::Backup => state.backup = Some(state.store.clone()),
            Step::SetBack => {
                state.store = state.backup.clone()?;
                state.acknowledged.clear();
                (state.is_set_back, state.is_closed) = (true, true);
            }
            Step::Compare => self.compare(&mut state),
            Step::Repair(stream) => self.repair(&mut state, stream),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(HAS_ALL, |_, state: &State| {
                state.is_closed || state.log.iter().all(|event| state.store.knows(event))
            }),
            Property::always(NO_FORK, |_, state: &State| {
                state.log.iter().all(|one| {
                    let is_same =
                        |other: &&Event| (other.stream, other.version) == (one.stream, one.version);
                    state.log.iter().filter(is_same).all(|other| other.id == one.id)
                })
            }),
            Property::sometimes("a repaired store goes on", |_, state: &State| {
                state.is_set_back && !state.is_closed && state.decisions > 3
            }),
        ]
    }
}

impl Setting {
    fn compare(&self, state: &mut State) {
        let behind = state.log.iter().copied().enumerate().skip(state.store.published);
        let known: Vec<_> = behind.filter(|(_, event)| state.store.knows(event)).collect();
        let is_lacking = state.lacking().next().is_some();
        for (at, event) in known {
            state.store.place(&event);
            if self.breaks(Mistake::MoveWhileComparing) {
                state.store.published = state.store.published.max(at + 1);
            }
        }
        if !is_lacking {
            state.store.published = state.log.len();
            state.is_closed = false;
        }
    }

    fn repair(&self, state: &mut State, stream: u8) {
        let lacking: Vec<_> = state.lacking().filter(|(_, event)| event.stream == stream).collect();
        for (at, event) in lacking {
            // What it holds twice is taken once.
            if event.version == state.store.version(stream) + 1 {
                state.store.rows.push((event, true));
                if self.breaks(Mistake::MoveWhileRepairing) {
                    state.store.published = state.store.published.max(at + 1);
                }
            }
        }
    }
}

#[test]
fn a_store_that_is_compared_has_all_that_the_log_has() {
    let begun = Instant::now();
    let checker = ALL.checker().spawn_bfs().join();
    println!(
        "comparing: {} states, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f32(),
    );
    assert!(checker.is_done(), "it was not explored to its end");
    checker.assert_properties();
}

#[test]
fn whatever_else_moves_the_place_opens_a_store_that_lacks_something() {
    for mistake in
        [Mistake::MoveWhileComparing, Mistake::MoveWhileRepairing, Mistake::PublishUncompared]
    {
        let setting = Setting { mistake: Some(mistake), ..ALL };
        let enough = HasDiscoveries::AnyOf([HAS_ALL].into());
        let checker = setting.checker().finish_when(enough).spawn_bfs().join();
        let path = checker.discovery(HAS_ALL);
        let path = path.unwrap_or_else(|| panic!("{mistake:?} was not found out"));
        println!("{mistake:?}: {} states", checker.unique_state_count());
        for step in path.into_actions() {
            println!("  {step:?}");
        }
    }
}
