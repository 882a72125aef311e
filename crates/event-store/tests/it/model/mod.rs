//! The way of a decision from its transaction over the relay and the log to the view, explored in every
//! order of its steps, for one stream.
//!
//! Claimed: the log holds the versions of a stream in their order, each with one identity, whatever
//! becomes of relays; the store knows all that the log has before anything is decided on it; a projection
//! folds each version once and passes over nothing.
//!
//! Assumed: a commit is whole or not at all; whoever compares the log with the store waits until what others
//! have sent before is there or lost; of what a store that is set back has lost, only what had reached the
//! log can be found again. How much of the log a comparison has to look at is `comparing.rs`.

mod rules;
mod state;
mod step;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

use rules::{Mistake, Setting};
use state::{Blocked, State};
use step::Step;

const NO_FORK: &str = "no version is in the log under two identities";
const NO_GAP: &str = "no version is in the log before the one before it";
const NOTHING_LOST: &str = "an open store has every record of the log";
const NOTHING_PASSED: &str = "every record that a projection has passed is what it folded";

impl Model for Setting {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        step::possible(self, state, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        step::take(self, &mut next, step);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NO_FORK, |_, state: &State| state.is_disturbed || state.has_no_fork()),
            Property::always(NO_GAP, |_, state: &State| state.is_disturbed || state.has_no_gap()),
            Property::always(NOTHING_LOST, |_, state: &State| {
                let is_open = state.compared == state.run;
                let is_known = |record: &state::Record| {
                    state.row(record.version).is_some_and(|row| row.id == record.id)
                };
                state.is_disturbed || !is_open || state.log.iter().all(is_known)
            }),
            Property::always(NOTHING_PASSED, |_, state: &State| {
                let passed = &state.log[..state.view.next];
                passed
                    .iter()
                    .all(|record| state.view.folded.get(record.version - 1) == Some(&record.id))
            }),
            Property::sometimes("a duplicate is absorbed", |_, state: &State| {
                state.view.absorbed > 0
            }),
            Property::sometimes(
                "everything is published and folded",
                |setting: &Setting, state: &State| {
                    state.view.folded.len() == usize::from(setting.decisions)
                },
            ),
        ];
        if self.restore {
            properties.extend([
                Property::sometimes("a decision is refused after a restore", |_, state: &State| {
                    state.compared != state.run && state.decided.iter().any(Option::is_some)
                }),
                Property::sometimes("a store is repaired and goes on", |_, state: &State| {
                    state.is_restored
                        && state.compared == state.run
                        && state.view.folded.len() > 1
                        && state.rows.len() > state.view.folded.len()
                }),
            ]);
        }
        if self.stranger {
            properties.extend([
                Property::sometimes("a fork blocks", |_, state: &State| {
                    state.view.blocked == Some(Blocked::Fork)
                }),
                Property::sometimes("a gap blocks", |_, state: &State| {
                    state.view.blocked == Some(Blocked::Gap)
                }),
            ]);
        }
        properties
    }
}

/// Explores every state that can be reached.
fn holds(name: &str, setting: Setting) {
    let begun = Instant::now();
    let checker = setting.checker().spawn_bfs().join();
    println!(
        "{name}: {} states, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f32(),
    );
    assert!(checker.is_done(), "{name} was not explored to its end");
    checker.assert_properties();
}

/// With this rule broken the checker finds that the property does not hold. Prints a short way to it.
fn fails_by(property: &'static str, mistake: Mistake, setting: Setting) {
    let setting = Setting { mistake: Some(mistake), ..setting };
    let enough = HasDiscoveries::AnyOf([property].into());
    let checker = setting.checker().finish_when(enough).spawn_bfs().join();
    let path = checker.discovery(property);
    let path = path.unwrap_or_else(|| panic!("{mistake:?} was not found out"));
    println!("{mistake:?}: {} states", checker.unique_state_count());
    for step in path.into_actions() {
        println!("  {step:?}");
    }
}

const SMALL: Setting = Setting::SMALL;
const RESTORE: Setting = Setting { restore: true, ..SMALL };
const STRANGER: Setting = Setting { stranger: true, decisions: 2, ..SMALL };

#[test]
fn a_decision_reaches_the_view_whatever_becomes_of_relays() {
    holds("two relays", SMALL);
}

#[test]
fn a_store_that_is_set_back_is_not_decided_on_until_it_knows_the_log() {
    holds("restore", RESTORE);
}

#[test]
fn what_a_stranger_writes_blocks_and_is_not_passed_over() {
    holds("stranger", STRANGER);
}

#[test]
fn each_mistake_is_found_out() {
    for (property, mistake, setting) in [
        (NO_GAP, Mistake::SendAhead, SMALL),
        (NO_GAP, Mistake::MarkWhenSent, SMALL),
        (NO_FORK, Mistake::AppendUnchecked, SMALL),
        (NO_FORK, Mistake::DecideUncompared, RESTORE),
        (NO_FORK, Mistake::CompareUnfenced, RESTORE),
        (NOTHING_PASSED, Mistake::AbsorbByVersion, STRANGER),
        (NOTHING_PASSED, Mistake::FoldGaps, STRANGER),
    ] {
        fails_by(property, mistake, setting);
    }
}
