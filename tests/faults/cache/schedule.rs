//! What goes wrong when: drawn from a seed before anything begins. Plain data.

use std::time::Duration;

use super::dice::Dice;

/// A run that is shorter has no time to spare: everything lasts as short as it may.
const LONG: Duration = Duration::from_secs(120);

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mishap {
    /// A projector is killed and started again.
    KillProjector,
    /// A projector is frozen for longer than its session, and wakes up when others own its
    /// partitions.
    FreezeProjector,
    /// `FLUSHALL`.
    FlushRedis,
    /// Redis is killed and started again, empty.
    RestartRedis,
    /// Redis is frozen: nobody gets an answer, and what they sent is executed later.
    FreezeRedis,
    /// A projector's connections to Redis break.
    CutProjector,
    /// A projector's calls reach Redis, and the answers wait.
    DeafenProjector,
    /// A projector's calls wait, and reach Redis when it has given up on them.
    DelayProjector,
    /// A query-api's connections to Redis break.
    CutQueryApi,
    /// A query-api's calls reach Redis, and the answers wait.
    DeafenQueryApi,
    /// Everything between Redis and a projector and a query-api takes its time.
    SlowLinks,
    /// Redis is full and evicts what was not used for longest.
    Evict,
}

/// A mishap with its place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    /// Nothing goes wrong for so long before.
    pub(super) rest: Duration,
    pub(super) mishap: Mishap,
    /// Which of the two projectors or query-apis.
    pub(super) victim: usize,
    pub(super) lasts: Duration,
}

impl Mishap {
    pub(super) const ALL: [Self; 12] = [
        Self::KillProjector,
        Self::FreezeProjector,
        Self::FlushRedis,
        Self::RestartRedis,
        Self::FreezeRedis,
        Self::CutProjector,
        Self::DeafenProjector,
        Self::DelayProjector,
        Self::CutQueryApi,
        Self::DeafenQueryApi,
        Self::SlowLinks,
        Self::Evict,
    ];

    /// How long it lasts at least.
    fn least(self) -> Duration {
        Duration::from_millis(match self {
            Self::FlushRedis => 0,
            Self::KillProjector | Self::RestartRedis => 300,
            Self::CutQueryApi | Self::DeafenQueryApi | Self::SlowLinks => 1_500,
            Self::Evict => 2_000,
            // Longer than a call of a projector may take, and than trust lives.
            Self::FreezeRedis | Self::CutProjector => 2_700,
            Self::DeafenProjector | Self::DelayProjector => 2_700,
            // Longer than its session.
            Self::FreezeProjector => 7_500,
        })
    }

    /// Whether Redis has lost everything afterwards.
    pub(super) fn empties_redis(self) -> bool {
        matches!(self, Self::FlushRedis | Self::RestartRedis)
    }
}

/// Rounds of all mishaps, each in an order of its own, as far as they fit into the time.
pub(super) fn plan(seed: u64, time: Duration) -> Vec<Planned> {
    let mut dice = Dice::new(seed);
    let is_long = time >= LONG;
    let mut planned: Vec<Planned> = Vec::new();
    let mut taken = Duration::ZERO;
    loop {
        for mishap in a_round(&mut dice) {
            let stretch = if is_long { 1.0 + dice.below(1_000) as f64 / 1_000.0 } else { 1.0 };
            let rest = match (planned.is_empty(), is_long) {
                (true, _) => 2_000,
                (_, false) => 600 + dice.below(400) as u64,
                (_, true) => 1_000 + dice.below(4_000) as u64,
            };
            let one = Planned {
                rest: Duration::from_millis(rest),
                mishap,
                victim: dice.below(2),
                lasts: mishap.least().mul_f64(stretch),
            };
            taken += one.rest + one.lasts;
            if taken > time {
                return planned;
            }
            planned.push(one);
        }
    }
}

/// All mishaps in any order, but for one thing: Redis evicts before it is emptied, since it takes a
/// while to be full of what is old.
fn a_round(dice: &mut Dice) -> [Mishap; 12] {
    let mut round = Mishap::ALL;
    dice.shuffle(&mut round);
    let place = |round: &[Mishap; 12], is: &dyn Fn(Mishap) -> bool| {
        round.iter().position(|mishap| is(*mishap)).unwrap_or_default()
    };
    let evicts = place(&round, &|mishap| mishap == Mishap::Evict);
    let empties = place(&round, &Mishap::empties_redis);
    if empties < evicts {
        round.swap(evicts, empties);
    }
    round
}

#[test]
fn a_plan_is_of_its_seed_and_holds_everything_once_before_anything_twice() {
    let minute = Duration::from_secs(60);
    assert_eq!(plan(7, minute), plan(7, minute));
    assert_ne!(plan(7, minute), plan(8, minute));
    for seed in 0..100 {
        let planned = plan(seed, 10 * minute);
        let took: Duration = planned.iter().map(|one| one.rest + one.lasts).sum();
        assert!(took <= 10 * minute && took > 9 * minute, "seed {seed} takes {took:?}");
        for round in planned.chunks_exact(Mishap::ALL.len()) {
            let mut kinds: Vec<Mishap> = round.iter().map(|one| one.mishap).collect();
            kinds.sort_unstable();
            assert_eq!(kinds, Mishap::ALL, "seed {seed}");
        }
    }
}

#[test]
fn forty_seconds_are_enough_for_nearly_everything() {
    for seed in 0..100 {
        let planned = plan(seed, Duration::from_secs(40));
        assert!(planned.len() >= Mishap::ALL.len() - 1, "seed {seed}: {planned:?}");
    }
}
