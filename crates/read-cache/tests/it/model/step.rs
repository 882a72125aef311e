//! The steps of the model: which are possible in a state, and what each does.

use super::rules::{Mistake, Setting};
use super::state::{Call, Entry, Keys, Reader, State, TRUST, Tx, Who};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Tick,
    /// A call that is under way reaches Redis, or never will.
    Arrives(Call),
    Lost(Call),
    /// A body or lease lapses or is evicted, a tombstone lapses.
    EntryGoes(usize),
    /// The window lapses.
    WindowGoes,
    TrustGoes,
    MarkGoes,
    Flush,
    RestartEmpty,
    /// A copy is taken, later it serves.
    Copy,
    CopyServes {
        lapsed: bool,
    },
    Begin(Who, Keys),
    SendAgain(Who),
    Commit(Who),
    /// The transaction ends without a commit: an error, a time-out, a crash.
    RollBack(Who),
    Reread(Who),
    GoBlind(Who),
    CommitBlind(Who, Keys),
    ReachAgain(Who),
    AskTime(Who),
    Confirm(Who),
    LeaveMark(Who),
    Raise(Who),
    TakeOver(Who),
    Crash(Who),
    ReplayBegin(Keys),
    ReplayCommit,
    ReplayRollBack,
    Lease(Who, usize),
    Load(Who, usize),
    Fill(Who),
    ReaderCrash(Who),
    PromotionLock,
    PromotionSwitch,
    PromotionCrash,
}

pub(super) fn possible(setting: &Setting, state: &State, steps: &mut Vec<Step>) {
    in_redis(setting, state, steps);
    for who in 0..setting.lanes {
        of_lane(setting, state, who, steps);
    }
    of_replay(setting, state, steps);
    for who in 0..setting.readers {
        of_reader(setting, state, who, steps);
    }
    of_promotion(setting, state, steps);
}

fn in_redis(setting: &Setting, state: &State, steps: &mut Vec<Step>) {
    steps.push(Step::Tick);
    steps.extend(state.calls.iter().map(|call| Step::Arrives(*call)));
    steps.extend(state.calls.iter().map(|call| Step::Lost(*call)));
    steps.extend((0..setting.keys).filter(|key| state.may_go(*key, setting)).map(Step::EntryGoes));
    if state.window_may_go(setting) {
        steps.push(Step::WindowGoes);
    }
    if state.redis.trust.is_some() {
        steps.push(Step::TrustGoes);
    }
    if setting.flush {
        steps.extend([Step::MarkGoes, Step::Flush, Step::RestartEmpty]);
    }
    if setting.failover {
        steps.push(Step::Copy);
        let at_once = setting.breaks(Mistake::CopyServesAtOnce);
        if state.copy.is_some_and(|copy| copy.trust.is_none() || at_once) {
            steps.extend([false, true].map(|lapsed| Step::CopyServes { lapsed }));
        }
    }
}

fn batches(setting: &Setting) -> impl Iterator<Item = Keys> {
    1..1 << setting.keys
}

fn of_lane(setting: &Setting, state: &State, who: Who, steps: &mut Vec<Step>) {
    let lane = &state.lanes[who];
    let free = !state.position_is_locked();
    if !lane.holds {
        if setting.lanes > 1 && free {
            steps.push(Step::TakeOver(who));
        }
        return;
    }
    steps.push(Step::Crash(who));
    let room = state.calls.len() < setting.calls;
    match lane.tx {
        Some(tx) => of_transaction(setting, state, tx, steps, who),
        None if !state.owns(who) || !lane.at_floor => steps.push(Step::Reread(who)),
        None => {}
    }
    if lane.tx.is_none() && state.passes_fence(who, setting) {
        let open = batches(setting).filter(|keys| state.may_lock(*keys, true, setting));
        if lane.blind {
            let waited = |_: &Keys| state.has_waited(who, setting);
            steps.extend(open.filter(waited).map(|keys| Step::CommitBlind(who, keys)));
        } else if room {
            steps.extend(open.map(|keys| Step::Begin(who, keys)));
        }
    }
    match (setting.cuts, lane.blind) {
        (true, false) => steps.push(Step::GoBlind(who)),
        (true, true) => steps.push(Step::ReachAgain(who)),
        (false, _) => {}
    }
    if !lane.blind {
        of_renewal(setting, state, who, steps);
    }
}

fn of_transaction(setting: &Setting, state: &State, tx: Tx, steps: &mut Vec<Step>, who: Who) {
    steps.push(Step::RollBack(who));
    if state.calls.len() < setting.calls {
        if tx.is_covered() {
            steps.push(Step::Commit(who));
        }
        if setting.breaks(Mistake::SendAgain) {
            steps.push(Step::SendAgain(who));
        }
    }
}

fn of_renewal(setting: &Setting, state: &State, who: Who, steps: &mut Vec<Step>) {
    let lane = &state.lanes[who];
    let asks_generation = !setting.breaks(Mistake::RenewInPromotion);
    let waits = asks_generation && state.promoting.is_some();
    match lane.asked {
        None => steps.push(Step::AskTime(who)),
        Some(_) if state.calls.len() < setting.calls && !waits => steps.push(Step::Confirm(who)),
        Some(_) => {}
    }
    let reversed = setting.breaks(Mistake::MarkAfterRaise);
    let locked = state.position_is_locked() && !setting.breaks(Mistake::RaiseUnlocked);
    let raises = lane.marked.is_some() != reversed && (!reversed || state.is_elsewhere());
    if raises && state.owns(who) && !locked && !waits {
        steps.push(Step::Raise(who));
    }
    let marks = lane.marked.is_some() == reversed && (reversed || state.is_elsewhere());
    if marks {
        steps.push(Step::LeaveMark(who));
    }
}

fn of_replay(setting: &Setting, state: &State, steps: &mut Vec<Step>) {
    if !setting.replay {
        return;
    }
    let room = state.calls.len() < setting.calls;
    match state.replay {
        Some(tx) => {
            steps.push(Step::ReplayRollBack);
            if tx.is_covered() && room {
                steps.push(Step::ReplayCommit);
            }
        }
        // Letters are replayed key by key.
        None if room && state.promoting.is_none() => steps.extend(
            (0..setting.keys)
                .map(|key| 1 << key)
                .filter(|keys| state.may_lock(*keys, false, setting))
                .map(Step::ReplayBegin),
        ),
        None => {}
    }
}

fn of_reader(setting: &Setting, state: &State, who: Who, steps: &mut Vec<Step>) {
    match state.readers[who] {
        Reader::Idle => {
            let keys = (0..setting.keys).filter(|key| state.may_lease(*key, setting));
            steps.extend(keys.map(|key| Step::Lease(who, key)));
            if setting.breaks(Mistake::FillWithoutLease) {
                steps.extend((0..setting.keys).map(|key| Step::Load(who, key)));
            }
        }
        Reader::Leased { key } => steps.extend([Step::Load(who, key), Step::ReaderCrash(who)]),
        Reader::Loaded { .. } => steps.extend([Step::Fill(who), Step::ReaderCrash(who)]),
    }
}

fn of_promotion(setting: &Setting, state: &State, steps: &mut Vec<Step>) {
    if !setting.promotion {
        return;
    }
    match state.promoting {
        // Each batch holds the generation's row, so the lock is given between batches.
        None if state.transactions().next().is_none() => steps.push(Step::PromotionLock),
        Some(since) if since >= TRUST => {
            steps.extend([Step::PromotionSwitch, Step::PromotionCrash]);
        }
        Some(_) => steps.push(Step::PromotionCrash),
        None => {}
    }
}

pub(super) fn take(setting: &Setting, state: &mut State, step: Step) {
    match step {
        Step::Tick => state.tick(setting),
        Step::Arrives(call) => {
            state.take_call(call);
            state.arrive(call, setting);
        }
        Step::Lost(call) => state.take_call(call),
        Step::EntryGoes(key) => state.redis.entries[key] = Entry::Absent,
        Step::WindowGoes => state.redis.window = None,
        Step::TrustGoes => state.redis.trust = None,
        Step::MarkGoes => state.redis.mark = None,
        Step::Flush => state.redis.clear(),
        Step::RestartEmpty => {
            state.redis.clear();
            state.redis.server = state.unused();
        }
        Step::Copy => state.copy = Some(state.redis),
        Step::CopyServes { lapsed } => {
            if let Some(copy) = state.copy {
                state.replace(copy, lapsed);
            }
        }
        Step::ReplayBegin(keys) => state.begin_replay(keys, setting),
        Step::ReplayCommit => {
            if let Some(tx) = state.replay {
                state.commit_replay(tx, setting);
            }
        }
        Step::ReplayRollBack => state.replay = None,
        Step::Lease(who, key) => state.lease(who, key),
        Step::Load(who, key) => state.load(who, key),
        Step::Fill(who) => state.fill(who, setting),
        Step::ReaderCrash(who) => state.forget(who),
        Step::PromotionLock => state.promoting = Some(0),
        Step::PromotionSwitch => state.promote(),
        Step::PromotionCrash => state.promoting = None,
        _ => take_of_lane(setting, state, step),
    }
}

fn take_of_lane(setting: &Setting, state: &mut State, step: Step) {
    match step {
        Step::Begin(who, keys) => state.begin(who, keys, setting),
        Step::SendAgain(who) => {
            if let Some(tx) = state.lanes[who].tx {
                state.send_before(tx);
            }
        }
        Step::Commit(who) => {
            if let Some(tx) = state.lanes[who].tx {
                state.commit(who, tx, setting);
            }
        }
        Step::RollBack(who) => state.lanes[who].tx = None,
        Step::Reread(who) if state.owns(who) => state.lanes[who].at_floor = true,
        Step::GoBlind(who) => state.go_blind(who),
        Step::CommitBlind(who, keys) => state.commit_blind(who, keys, setting),
        Step::ReachAgain(who) => state.reach_again(who, setting),
        Step::AskTime(who) => state.ask_time(who),
        Step::Confirm(who) => {
            if let Some(age) = state.lanes[who].asked {
                state.confirm(who, age, setting);
            }
        }
        Step::LeaveMark(who) => state.mark(who),
        Step::Raise(who) => state.raise(who),
        Step::TakeOver(who) => state.take_over(who, setting),
        Step::Reread(who) | Step::Crash(who) => state.drop_partition(who),
        _ => unreachable!("taken above"),
    }
}

impl State {
    /// The call is no longer under way.
    fn take_call(&mut self, call: Call) {
        if let Some(at) = self.calls.iter().position(|other| *other == call) {
            self.calls.remove(at);
        }
    }

    /// A fill is about to be refused.
    pub(super) fn is_refused(&self, who: Who, setting: &Setting) -> bool {
        match self.readers[who] {
            Reader::Loaded { key, .. } => !self.may_fill(who, key, setting),
            _ => false,
        }
    }
}
