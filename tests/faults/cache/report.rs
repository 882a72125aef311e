//! What a run of the soak came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::checker::Broken;
use super::mishap::Happened;
use super::schedule::Mishap;
use super::tally::Counts;

/// Counters at a time since the beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) counts: Counts,
}

/// Everything that is said of a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) took: Duration,
    pub(super) broken: Broken,
    pub(super) samples: Vec<Sample>,
    pub(super) happened: Vec<Happened>,
}

impl Report {
    /// All of the run.
    pub(super) fn counts(&self) -> Counts {
        self.samples.last().map_or(Counts::default(), |sample| sample.counts)
    }

    /// While nothing was wrong: between the end of a mishap and the beginning of the next.
    pub(super) fn quiet(&self) -> Counts {
        let is_quiet = |from: Duration, to: Duration| {
            self.happened.iter().all(|one| one.ended <= from || one.began >= to)
        };
        self.steps()
            .filter(|(from, to, _)| is_quiet(*from, *to))
            .fold(Counts::default(), |sum, (.., counts)| sum.and(counts))
    }

    /// Before anything went wrong.
    fn undisturbed(&self) -> Counts {
        let first = self.happened.first().map_or(Duration::MAX, |one| one.began);
        self.steps()
            .filter(|(_, to, _)| *to <= first)
            .fold(Counts::default(), |sum, (.., counts)| sum.and(counts))
    }

    /// How often each happened.
    pub(super) fn times(&self) -> BTreeMap<Mishap, usize> {
        let mut times = BTreeMap::new();
        for one in &self.happened {
            *times.entry(one.mishap).or_default() += 1;
        }
        times
    }

    /// Keys that Redis has evicted.
    pub(super) fn evicted(&self) -> u64 {
        self.happened.iter().map(|one| one.evicted).sum()
    }

    /// From the end of a mishap until more than half of the reads were hits.
    fn cold(&self, mishap: &Happened) -> Option<Duration> {
        self.steps()
            .find(|(from, _, counts)| *from >= mishap.ended && counts.hit_rate() > 50.0)
            .map(|(_, to, _)| to - mishap.ended)
    }

    /// What was counted between each two samples.
    fn steps(&self) -> impl Iterator<Item = (Duration, Duration, Counts)> {
        self.samples
            .windows(2)
            .map(|two| (two[0].at, two[1].at, two[1].counts.since(two[0].counts)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, took, broken, happened, .. } = self;
        let counts = self.counts();
        let (quiet, undisturbed) = (self.quiet(), self.undisturbed());
        writeln!(f, "seed {seed}, {took:.1?}")?;
        writeln!(
            f,
            "reads {} ({:.0}/s; with token {}, unchanged {}, missing {}), looks into Postgres {}",
            counts.reads,
            counts.reads as f64 / took.as_secs_f64(),
            counts.with_token,
            counts.unchanged,
            counts.missing,
            counts.looks
        )?;
        let Broken { stale, lies, impossible } = broken;
        writeln!(f, "stale {stale}, lies {lies}, impossible {impossible}")?;
        writeln!(
            f,
            "honest refusals {}, errors {}; written {}, written again {}",
            counts.behind, counts.errors, counts.written, counts.rewritten
        )?;
        writeln!(
            f,
            "hits {:.1} % (undisturbed {:.1} %, quiet {:.1} % of {}); collapsed {}, other \
             generation {}, bypassed {}; evicted {}",
            counts.hit_rate(),
            undisturbed.hit_rate(),
            quiet.hit_rate(),
            quiet.reads,
            counts.collapsed,
            counts.outdated,
            counts.bypassed,
            self.evicted()
        )?;
        for one in happened {
            let told = |time: Option<Duration>| match time {
                Some(time) => format!("{time:.1?}"),
                None => "never".to_owned(),
            };
            writeln!(
                f,
                "{:>6.1} s  {:<16} of {}  {:>5.1} s  cold {:>7}  caught up {:>7}  evicted {}",
                one.began.as_secs_f64(),
                format!("{:?}", one.mishap),
                one.victim,
                (one.ended - one.began).as_secs_f64(),
                told(self.cold(one)),
                told(one.caught_up),
                one.evicted
            )?;
        }
        Ok(())
    }
}
