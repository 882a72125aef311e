//! The protocol of the cache as a model, explored in every order of its steps.
//!
//! What is claimed, what is assumed and what was found: `docs/adr/0010-cache-protocol.md`.

mod canonical;
mod findings;
mod mistakes;
mod projector;
mod reader;
mod redis;
mod rules;
mod run;
mod settings;
mod state;
mod step;

use stateright::{Model, Property};

use rules::Setting;
use state::{Age, BatchId, By, Call, Entry, Row, State};
use step::Step;

/// I6: nobody who begins to read after a commit is given what is older, on any path. (What Postgres
/// itself answers is the commit, so two paths are left: a body, and another reader's load.)
const NO_STALE_HIT: &str = "I6: no hit is older than what is committed when the read begins";
const NO_STALE_LOAD: &str = "I6: no load that lives is older than what is committed";
/// I7: whoever waited for a position is given what is below it.
const READ_YOUR_WRITES: &str = "I7: no read lacks a record below the position when it begins";

impl Model for Setting {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first().canonical(self)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        step::possible(self, state, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        step::take(self, &mut next, step);
        Some(next.canonical(self))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NO_STALE_HIT, |setting: &Setting, state: &State| {
                state.hits(setting).all(|row| row.version == Age::Current)
            }),
            Property::always(NO_STALE_LOAD, |setting: &Setting, state: &State| {
                state.loads(setting).all(|row| row.version == Age::Current)
            }),
            Property::always(READ_YOUR_WRITES, |setting: &Setting, state: &State| {
                let mut given = state.hits(setting).chain(state.loads(setting));
                given.all(|row| row.position == Age::Current)
            }),
            Property::sometimes("a read is answered from the cache", |setting, state: &State| {
                (0..setting.keys).any(|key| state.served(key).is_some())
            }),
            Property::sometimes(
                "a lease's holder fills what is then a hit",
                |setting, state: &State| (0..setting.readers).any(|who| state.fills(who)),
            ),
            Property::sometimes(
                "a load whose lease is gone fills nothing",
                |setting, state: &State| {
                    (0..setting.readers).any(|who| state.is_refused(who, setting))
                },
            ),
            Property::sometimes("a hot key stays warm over a commit", |_, state: &State| {
                let trusted = state.redis.trust.map(|trust| trust.cg);
                trusted.is_some() && state.calls.iter().any(|call| state.upgrades(call) == trusted)
            }),
            Property::sometimes(
                "a late call meets another batch's tombstone",
                |_, state: &State| state.calls.iter().any(|call| state.is_late(call)),
            ),
            Property::sometimes("a window alone covers a commit", |_, state: &State| {
                state.calls.iter().any(|call| state.is_under_its_window_alone(call))
            }),
            Property::sometimes(
                "trust lapses and recovers over bodies that stayed",
                |_, state: &State| {
                    state.redis.trust.is_none()
                        && state.calls.iter().any(|call| state.recovers(call))
                },
            ),
        ];
        if self.calls > 1 {
            properties.push(Property::sometimes(
                "a late call takes a living batch's window",
                |_, state: &State| state.calls.iter().any(|call| state.takes_window(call)),
            ));
        }
        if self.lanes > 1 {
            properties.push(Property::sometimes(
                "a zombie's renewal arrives",
                |_, state: &State| {
                    state.lanes.iter().any(|lane| lane.holds && lane.asked.is_some())
                        && state.lanes.iter().filter(|lane| lane.holds).count() > 1
                        && state.redis.trust.is_some()
                },
            ));
        }
        if self.cuts || self.promotion || self.takeover_raises {
            properties.push(Property::sometimes("an old body is a miss", |_, state: &State| {
                let other = |entry: &Entry| match (entry, state.redis.trust) {
                    (Entry::Body { cg, .. }, Some(trust)) => *cg != trust.cg,
                    _ => false,
                };
                state.redis.entries.iter().any(other)
            }));
        }
        properties
    }
}

impl State {
    /// What readers that begin now are given from the cache.
    fn hits(&self, setting: &Setting) -> impl Iterator<Item = Row> {
        (0..setting.keys).filter_map(|key| self.served(key))
    }

    /// What readers that begin now may take from another one's load.
    fn loads(&self, setting: &Setting) -> impl Iterator<Item = Row> {
        (0..setting.readers).filter_map(|who| self.joined(who, setting))
    }

    fn is_late(&self, call: &Call) -> bool {
        let Call::After { batch, rows, .. } = call else { return false };
        self.redis.entries.iter().zip(rows).any(|(entry, row)| {
            let other = matches!(entry, Entry::Tombstone { batch: other, .. } if other != batch);
            row.is_some() && other
        })
    }

    fn is_under_its_window_alone(&self, call: &Call) -> bool {
        matches!(call, Call::After { by: By::Lane, batch, rows, .. }
            if rows.iter().all(Option::is_none) && self.redis.window == Some(*batch))
    }

    fn takes_window(&self, call: &Call) -> bool {
        let lives = |holder: BatchId| self.transactions().any(|tx| tx.batch == holder);
        matches!(call, Call::Before { by: By::Lane, batch, .. }
            if self.redis.window.is_some_and(|holder| holder != *batch && lives(holder)))
    }

    fn recovers(&self, call: &Call) -> bool {
        let Call::Renew { cg, home, .. } = call else { return false };
        let stays = |entry: &Entry| matches!(entry, Entry::Body { cg: body, .. } if body == cg);
        self.redis.is(*home) && self.redis.entries.iter().any(stays)
    }
}
