//! What may happen next, and what comes of it.

use super::rules::{Mistake, Setting};
use super::state::{Blocked, Decided, Flight, Record, Relay, Row, State};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// A process decides on the state that it has loaded.
    Decide(usize),
    /// It commits, if the version is still the one that it decided on.
    Append(usize),
    /// A relay gets the lock.
    Lock(usize),
    /// Its session ends, which it does not notice.
    Unlock(usize),
    /// It notices, or ends.
    End(usize),
    Send(usize),
    /// A send arrives; whether the relay hears of it.
    Arrive {
        flight: usize,
        is_heard: bool,
    },
    /// The relay hears nothing and sends again. What it sent may still arrive.
    GiveUp(usize),
    Mark(usize),
    /// The owner compares log and store, in the transaction that opens the store.
    Compare(usize),
    /// An operator takes from the log what the store lost.
    Repair,
    /// The store is set back to its first rows.
    Restore(usize),
    /// Somebody else's record.
    Disturb(Record),
    Fold,
}

/// Everything that may happen.
pub(super) fn possible(setting: &Setting, state: &State, steps: &mut Vec<Step>) {
    for who in 0..2 {
        if state.decided[who].is_some() {
            steps.push(Step::Append(who));
        } else if state.decisions < setting.decisions {
            steps.push(Step::Decide(who));
        }
        relay_steps(setting, state, who, steps);
    }
    for flight in 0..state.flights.len() {
        steps.push(Step::Arrive { flight, is_heard: true });
        steps.push(Step::Arrive { flight, is_heard: false });
    }
    if state.compared != state.run && !state.knows_the_log() {
        steps.push(Step::Repair);
    }
    if setting.restore && !state.is_restored {
        steps.extend((0..state.rows.len()).map(Step::Restore));
    }
    if setting.stranger && !state.is_disturbed {
        for version in 1..=3 {
            steps.push(Step::Disturb(Record { version, id: 100 }));
        }
    }
    if state.view.next < state.log.len() && state.view.blocked != Some(Blocked::Fork) {
        steps.push(Step::Fold);
    }
}

fn relay_steps(setting: &Setting, state: &State, who: usize, steps: &mut Vec<Step>) {
    let relay = state.relays[who];
    if state.owner.is_none() && !relay.is_owner {
        steps.push(Step::Lock(who));
    }
    if state.owner == Some(who) {
        steps.push(Step::Unlock(who));
        if state.compared != state.run && state.knows_the_log() {
            steps.push(Step::Compare(who));
        }
    }
    if !relay.is_owner {
        return;
    }
    steps.push(Step::End(who));
    // It publishes nothing of a store that was not compared: it holds what may take another's place.
    let sent = state.log.len() + state.flights.len();
    let has_room = state.flights.len() < setting.flights && sent < setting.records;
    let may_send = has_room && state.is_open(setting);
    if may_send && next_of(setting, state, who).is_some() {
        steps.push(Step::Send(who));
    }
    match relay.sent {
        Some((_, true)) => steps.push(Step::Mark(who)),
        Some((_, false)) => steps.push(Step::GiveUp(who)),
        None => {}
    }
}

/// What a relay sends next.
fn next_of(setting: &Setting, state: &State, who: usize) -> Option<Record> {
    match state.relays[who].sent {
        None => state.unpublished(0),
        Some((first, false)) if setting.breaks(Mistake::SendAhead) => {
            state.unpublished(1).filter(|next| next.version == first.version + 1)
        }
        Some(_) => None,
    }
}

/// What comes of it.
pub(super) fn take(setting: &Setting, state: &mut State, step: Step) {
    match step {
        Step::Decide(who) => {
            state.decisions += 1;
            state.decided[who] = Some(Decided { on: state.rows.len(), id: state.decisions });
        }
        Step::Append(who) => append(setting, state, who),
        Step::Lock(who) => {
            state.owner = Some(who);
            state.relays[who].is_owner = true;
        }
        Step::Unlock(_) => state.owner = None,
        Step::End(who) => {
            state.relays[who] = Relay::default();
            state.owner = state.owner.filter(|owner| *owner != who);
        }
        Step::Send(who) => send(setting, state, who),
        Step::Arrive { flight, is_heard } => arrive(state, flight, is_heard),
        Step::GiveUp(who) => state.relays[who].sent = None,
        Step::Mark(who) => {
            if let Some((record, _)) = state.relays[who].sent.take() {
                mark(state, record);
            }
        }
        Step::Compare(_) => compare(setting, state),
        Step::Repair => repair(state),
        Step::Restore(rows) => {
            state.rows.truncate(rows);
            state.decided = [None; 2];
            state.owner = None;
            state.run += 1;
            state.is_restored = true;
        }
        Step::Disturb(record) => {
            state.log.push(record);
            state.is_disturbed = true;
        }
        Step::Fold => fold(setting, state),
    }
}

fn append(setting: &Setting, state: &mut State, who: usize) {
    let Some(Decided { on, id }) = state.decided[who].take() else { return };
    let is_current = on == state.rows.len();
    if state.is_open(setting) && (is_current || setting.breaks(Mistake::AppendUnchecked)) {
        // Without the check the later of two writes the version of the earlier.
        state.rows.truncate(on);
        state.rows.push(Row { id, is_published: false });
    }
}

fn send(setting: &Setting, state: &mut State, who: usize) {
    let Some(record) = next_of(setting, state, who) else { return };
    state.flights.push(Flight { by: who, record });
    state.flights.sort_unstable();
    state.relays[who].sent = Some((record, false));
    if setting.breaks(Mistake::MarkWhenSent) {
        mark(state, record);
        state.relays[who].sent = None;
    }
}

fn arrive(state: &mut State, flight: usize, is_heard: bool) {
    let Flight { by, record } = state.flights.remove(flight);
    state.log.push(record);
    if let Some((sent, is_acknowledged)) = &mut state.relays[by].sent
        && *sent == record
    {
        *is_acknowledged |= is_heard;
    }
}

/// Whoever heard the acknowledgement may say so, the owner or not: it is so.
fn mark(state: &mut State, record: Record) {
    if let Some(row) = state.rows.get_mut(record.version - 1)
        && row.id == record.id
    {
        row.is_published = true;
    }
}

fn compare(setting: &Setting, state: &mut State) {
    // Whoever compares has waited until what others have sent is there or lost.
    if !setting.breaks(Mistake::CompareUnfenced) {
        state.flights.clear();
    }
    for record in state.log.clone() {
        mark(state, record);
    }
    state.compared = state.run;
}

fn repair(state: &mut State) {
    state.flights.clear();
    let lost = state.distinct();
    state.rows = lost.iter().map(|record| Row { id: record.id, is_published: true }).collect();
}

fn fold(setting: &Setting, state: &mut State) {
    let record = state.log[state.view.next];
    let view = &mut state.view;
    let next_version = view.folded.len() + 1;
    if record.version == next_version || setting.breaks(Mistake::FoldGaps) {
        view.folded.push(record.id);
        view.next += 1;
        view.blocked = None;
    } else if record.version > next_version {
        // What is missing may still come: it is looked for behind.
        view.blocked = Some(Blocked::Gap);
        let missing = state.log[view.next..].iter().position(|later| later.version == next_version);
        if let Some(ahead) = missing {
            let found = state.log[view.next + ahead];
            view.folded.push(found.id);
            view.blocked = None;
        }
    } else if view.folded[record.version - 1] == record.id
        || setting.breaks(Mistake::AbsorbByVersion)
    {
        view.absorbed += 1;
        view.next += 1;
    } else {
        view.blocked = Some(Blocked::Fork);
    }
}
