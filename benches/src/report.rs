//! One JSON line for each figure: subject, baseline and their ratio, from one run.

use std::time::Duration;

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What one side of a comparison has used.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// What was measured, and with which settings.
    pub(crate) name: String,
    /// Events or requests.
    pub(crate) units: u64,
    /// Wall time.
    pub(crate) wall: Duration,
    /// CPU time (user and system) of each process that took part.
    pub(crate) cpu: Vec<(&'static str, Duration)>,
    /// Row versions that Postgres wrote, where it took part.
    pub(crate) rows: Option<u64>,
}

impl Measured {
    /// CPU microseconds for one unit, of all processes together.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.iter().map(|(_, cpu)| self.per_unit(*cpu)).sum()
    }

    /// Units in a second of wall time.
    pub(crate) fn rate(&self) -> f64 {
        self.units as f64 / self.wall.as_secs_f64()
    }

    fn per_unit(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.units as f64
    }

    fn to_json(&self) -> Value {
        let by_process: Map<String, Value> = self
            .cpu
            .iter()
            .map(|(process, cpu)| ((*process).to_owned(), json!(round(self.per_unit(*cpu)))))
            .collect();
        let mut line = json!({
            "name": self.name,
            "units": self.units,
            "wall_s": round(self.wall.as_secs_f64()),
            "rate_per_s": self.rate().round(),
            "cpu_us_per_unit": round(self.cpu_us()),
            "cpu_us_by_process": by_process,
        });
        if let Some(rows) = self.rows {
            line["rows_per_unit"] = json!(round(rows as f64 / self.units as f64));
        }
        line
    }
}

/// The middle of several runs by CPU, so that one disturbed run does not decide.
pub(crate) fn median(mut runs: Vec<Measured>) -> Option<Measured> {
    runs.sort_by(|a, b| a.cpu_us().total_cmp(&b.cpu_us()));
    let middle = runs.len() / 2;
    (!runs.is_empty()).then(|| runs.swap_remove(middle))
}

/// A comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    bench: &'static str,
    subject: Value,
    baseline: Value,
    /// Baseline's CPU for a unit over the subject's: 1 is as cheap as the baseline.
    ratio_cpu: f64,
    /// The subject's over the baseline's: 1.15 is 15 % more.
    cost_cpu: f64,
    ratio_rate: f64,
    /// `ratio_cpu` of each turn, which tells how far the figure is to be trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ratio_cpu_by_turn: Vec<f64>,
}

impl Comparison {
    fn of(bench: &'static str, subject: &Measured, baseline: &Measured) -> Self {
        Self {
            bench,
            subject: subject.to_json(),
            baseline: baseline.to_json(),
            ratio_cpu: round(ratio_cpu(subject, baseline)),
            cost_cpu: round(subject.cpu_us() / baseline.cpu_us()),
            ratio_rate: round(subject.rate() / baseline.rate()),
            ratio_cpu_by_turn: Vec::new(),
        }
    }

    #[allow(clippy::print_stdout, reason = "a tool for terminals")]
    fn print(&self) {
        println!("{}", json!(self));
    }
}

fn ratio_cpu(subject: &Measured, baseline: &Measured) -> f64 {
    baseline.cpu_us() / subject.cpu_us()
}

/// Prints the line of a comparison.
pub(crate) fn compare(bench: &'static str, subject: &Measured, baseline: &Measured) {
    Comparison::of(bench, subject, baseline).print();
}

/// Prints the line of the medians of two sides that took turns.
pub(crate) fn compare_turns(
    bench: &'static str,
    subject: Vec<Measured>,
    baseline: Vec<Measured>,
) -> Result<()> {
    let turns = subject.iter().zip(&baseline);
    let by_turn = turns.map(|(subject, baseline)| round(ratio_cpu(subject, baseline))).collect();
    let (Some(subject), Some(baseline)) = (median(subject), median(baseline)) else {
        bail!("no run was asked for");
    };
    let comparison = Comparison::of(bench, &subject, &baseline);
    Comparison { ratio_cpu_by_turn: by_turn, ..comparison }.print();
    Ok(())
}

/// Three decimals are more than the machine's noise leaves meaningful.
pub(crate) fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
