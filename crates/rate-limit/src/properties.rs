//! What holds whatever is asked, in whatever order processes are told.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const CALLER: LimitKey = LimitKey(1);
const MILLI: u64 = 1_000_000;

/// The shared buckets, as whoever keeps them has to.
#[derive(Default)]
struct Buckets(HashMap<(LimitKey, Class), [u64; MAX_QUOTAS]>);

impl Buckets {
    fn charge(&mut self, charges: &[Charge], now: u64) -> Vec<Debts> {
        let charge = |charge: &Charge| -> Debts {
            let full_at = self.0.entry((charge.key, charge.class)).or_default();
            for (full_at, nanos) in full_at.iter_mut().zip(charge.nanos()) {
                *full_at = (*full_at).max(now) + nanos;
            }
            full_at.iter().map(|full_at| full_at.saturating_sub(now)).collect()
        };
        charges.iter().map(charge).collect()
    }
}

/// One process, and what it has to hear.
struct Process {
    limiter: Limiter,
    sent: Vec<Charge>,
    answer: Option<Vec<Debts>>,
}

#[derive(Debug, Clone)]
enum Step {
    /// So many requests reach a process at once.
    Ask { process: usize, requests: usize },
    /// What is to be charged leaves a process, or arrives, or its answer comes back.
    Charge { process: usize },
    /// Time goes on.
    Pass { nanos: u64 },
}

/// Of the strictest quotas there are.
static RATED: [Rated; 2] = [Rated::AUTH, Rated::READ];

fn steps(processes: usize) -> impl Strategy<Value = Vec<Step>> {
    let ask = (0..processes, prop_oneof![Just(1_usize), 1..10_usize, Just(500)])
        .prop_map(|(process, requests)| Step::Ask { process, requests });
    let charge = (0..processes).prop_map(|process| Step::Charge { process });
    let nanos = prop_oneof![0..MILLI, 0..200 * MILLI, 0..2_000 * MILLI, Just(60_000 * MILLI)];
    let pass = nanos.prop_map(|nanos| Step::Pass { nanos });
    prop::collection::vec(prop_oneof![4 => ask, 4 => charge, 1 => pass], 1..200)
}

/// Processes that share buckets, and when they let requests of one caller through.
struct Deployment {
    processes: Vec<Process>,
    buckets: Buckets,
    rated: Rated,
    now: u64,
    admitted: Vec<u64>,
}

impl Deployment {
    fn new(processes: usize, instances: u32, rated: Rated) -> Self {
        let limits = Limits { profile: &STRICT, factor: 1, instances, callers: 4 };
        let process =
            |_| Process { limiter: Limiter::new(limits, true), sent: Vec::new(), answer: None };
        Self {
            processes: (0..processes).map(process).collect(),
            buckets: Buckets::default(),
            rated,
            now: 0,
            admitted: Vec::new(),
        }
    }

    /// How many of so many requests are let through now.
    fn ask(&mut self, process: usize, requests: usize) -> usize {
        let limiter = &self.processes[process].limiter;
        let decide = |_: &usize| limiter.decide(CALLER, self.rated, Moment(self.now)).is_admitted;
        let admitted = (0..requests).filter(decide).count();
        self.admitted.extend(std::iter::repeat_n(self.now, admitted));
        admitted
    }

    /// The next thing that happens between a process and the buckets.
    fn charge(&mut self, process: usize) {
        let Process { limiter, sent, answer } = &mut self.processes[process];
        match answer.take() {
            Some(debts) => limiter.charged(&std::mem::take(sent), &debts, Moment(self.now)),
            None if sent.is_empty() => *sent = limiter.take(10, Moment(self.now)),
            None => *answer = Some(self.buckets.charge(sent, self.now)),
        }
    }

    /// Everything that is to be charged is, at once.
    fn settle(&mut self) {
        for process in 0..self.processes.len() {
            for _ in 0..6 {
                self.charge(process);
            }
        }
    }

    fn run(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Ask { process, requests } => {
                    self.ask(process, requests);
                }
                Step::Charge { process } => self.charge(process),
                Step::Pass { nanos } => self.now += nanos,
            }
        }
    }

    fn rule(&self) -> &rule::Rule {
        &self.processes[0].limiter.rules(self.rated.class)[0]
    }

    /// In no time were more let through than a bucket holds, what flowed in meanwhile, and this.
    fn must_keep_to(&self, buckets: u64, beyond: u64) -> Result<(), TestCaseError> {
        let unit = self.rule().shared.time_of(1);
        let full = self.rule().quota.units * unit;
        for (place, begin) in self.admitted.iter().enumerate() {
            for (count, end) in (1_u64..).zip(&self.admitted[place..]) {
                let allowed = buckets * (full + (end - begin)) + beyond * unit;
                prop_assert!(
                    count * unit <= allowed,
                    "{} requests from {} to {}, and {} are allowed",
                    count,
                    begin,
                    end,
                    allowed / unit
                );
            }
        }
        Ok(())
    }
}

/// How many processes, which class, and what happens.
fn deployments() -> impl Strategy<Value = (usize, Rated, Vec<Step>)> {
    (1..6_usize, prop::sample::select(&RATED[..]))
        .prop_flat_map(|(processes, rated)| (Just(processes), Just(rated), steps(processes)))
}

proptest! {
    #[test]
    fn one_process_never_lets_more_through_than_the_bucket_holds(
        steps in steps(1), rated in prop::sample::select(&RATED[..]),
    ) {
        let mut one = Deployment::new(1, 1, rated);
        one.run(steps);
        one.must_keep_to(1, 0)?;
    }

    #[test]
    fn processes_that_share_buckets_let_a_credit_each_through_beyond_them_and_no_more(
        (processes, rated, steps) in deployments(),
    ) {
        let mut deployment = Deployment::new(processes, 2, rated);
        deployment.run(steps);
        let credits = u64::from(deployment.rule().credit) * processes as u64;
        deployment.must_keep_to(1, credits)?;
    }

    #[test]
    fn where_nobody_answers_any_more_two_processes_stay_within_twice_the_quota(
        before in steps(2), after in steps(2), rated in prop::sample::select(&RATED[..]),
    ) {
        let mut deployment = Deployment::new(2, 2, rated);
        deployment.run(before);
        for process in &mut deployment.processes {
            // An answer that was under way does not come.
            process.answer = None;
            process.limiter.not_charged(&std::mem::take(&mut process.sent));
        }
        let cut = deployment.admitted.len();
        let without: Vec<Step> =
            after.into_iter().filter(|step| !matches!(step, Step::Charge { .. })).collect();
        deployment.run(without);
        deployment.must_keep_to(2, 0)?;
        // And from then on within the quota itself.
        deployment.admitted.drain(..cut);
        deployment.must_keep_to(1, 0)?;
    }

    #[test]
    fn whoever_rests_has_a_whole_bucket_again(
        (processes, rated, steps) in deployments(), of in 0..6_usize,
    ) {
        let mut deployment = Deployment::new(processes, 2, rated);
        deployment.run(steps);
        deployment.settle();
        // What every process has let through beyond the bucket has to flow in as well.
        let rule = deployment.rule();
        let (units, credits) = (rule.quota.units, u64::from(rule.credit) * processes as u64);
        let rest = rule.shared.time_of(units + credits);
        deployment.now += rest;
        let mut admitted = 0;
        for _ in 0..=units {
            admitted += deployment.ask(of % processes, 1);
            deployment.settle();
        }
        prop_assert_eq!(admitted as u64, units);
    }

    #[test]
    fn what_is_told_is_true(
        requests in prop::collection::vec((0..2_000 * MILLI, 0..3_usize), 1..300),
    ) {
        let limits = Limits { profile: &APP, factor: 1, instances: 1, callers: 4 };
        let limiter = Limiter::new(limits, false);
        let (rated, mut now) = ([Rated::READ, Rated::LIST, Rated::WRITE], 0);
        for (pause, which) in requests {
            now += pause / 20;
            let Decision { is_admitted, told, .. } =
                limiter.decide(CALLER, rated[which], Moment(now));
            let after = u64::try_from(told.after.as_nanos()).unwrap();
            if is_admitted {
                let window = u64::try_from(told.quota.window.as_nanos()).unwrap();
                prop_assert!(told.left < told.quota.units && (1..=window).contains(&after));
            } else {
                prop_assert!(after > 0);
                let sooner = limiter.decide(CALLER, rated[which], Moment(now + after - 1));
                prop_assert!(!sooner.is_admitted, "it was let through sooner than told");
                // The quota that was told is no hindrance then.
                let then = limiter.decide(CALLER, rated[which], Moment(now + after));
                prop_assert!(then.is_admitted, "it was not let through when told");
                now += after;
            }
        }
    }
}
