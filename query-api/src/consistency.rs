//! Reading one's writes: what a consistency token asks of a read, and what the answer says of it.

mod letters;
mod open_letters;

use std::time::Duration;

use axum::http::header::AGE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use consistency_token::{Entry, Token, TokenKey};
use lifecycle::http::PREFERENCE_APPLIED;
use read_models::partitioner::partition_of;
use read_models::recorded::LogPosition;
use telemetry::Metric;
use telemetry::trace::{self, Step};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::positions::map::{LogPartition, Need};
use crate::positions::{Positions, Unreached};
use crate::prefer::{Handling, Prefer};
use crate::refused::Refused;

pub(crate) use letters::{OldestLetter, OpenLetters, Shown};
pub(crate) use open_letters::{Whose, find as find_letters};

/// The header of consistency tokens, in and out.
pub(crate) const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// How long reads wait for a view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// Where the reader does not say.
    pub(crate) usual: Duration,
    /// At most.
    pub(crate) longest: Duration,
}

/// The view that is read and the topic whose records it shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogTopic<'a> {
    pub(crate) projection: &'static str,
    pub(crate) topic: &'a str,
}

/// What a reader asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Consistency {
    token: Option<Token>,
    prefer: Prefer,
}

impl Consistency {
    /// Reads `Consistency-Token`, several of which count together, and `Prefer`.
    pub(crate) fn from_headers(headers: &HeaderMap, key: &TokenKey) -> Result<Self, Refused> {
        let mut all: Option<Token> = None;
        for line in headers.get_all(CONSISTENCY_TOKEN) {
            // What is no text is no token either.
            for text in line.to_str().unwrap_or("?").split(',') {
                let token = Token::decode(text.trim(), key)?;
                match &mut all {
                    Some(all) => all.merge(&token)?,
                    None => all = Some(token),
                }
            }
        }
        Ok(Self { token: all, prefer: Prefer::from_headers(headers) })
    }

    /// Waits until the view's position is past what the token asks for. Where it does not come so
    /// far, a strict read is refused and a lenient one goes on. What is set aside behind the
    /// position is judged [afterwards](Settled::despite).
    pub(crate) async fn settle(
        self,
        positions: &Positions,
        view: LogTopic<'_>,
        waits: Waits,
    ) -> Result<Settled, Refused> {
        let Some(token) = self.token else { return Ok(Settled::default()) };
        let needs = needs(&token, view.topic);
        let wait = self.prefer.wait.unwrap_or(waits.usual).min(waits.longest);
        let began = Instant::now();
        let traced = trace::step(Step::WaitForPosition);
        let reaching = positions.reach(view.projection, &needs, wait);
        let reached = reaching.instrument(traced.clone()).await;
        record(view.projection, &reached, began.elapsed(), &traced);
        let age = match (reached, self.prefer.handling) {
            (Ok(()), _) => Some(Duration::ZERO),
            (Err(Unreached::Behind { position, .. }), Some(Handling::Lenient)) => position.age,
            (Err(Unreached::Unknown | Unreached::TooManyWaiting), Some(Handling::Lenient)) => None,
            (Err(unreached), _) => return Err(Refused::unreached(view.projection, unreached)),
        };
        let applied = applied(self.prefer, wait);
        Ok(Settled {
            is_stale: age != Some(Duration::ZERO),
            token: Some(token),
            unsure: if positions.are_clear(view.projection, &needs) { Vec::new() } else { needs },
            handling: self.prefer.handling,
            letters: Vec::new(),
            age,
            applied,
        })
    }
}

/// What the token asks of the topic. What it says of others, this view does not show.
fn needs(token: &Token, our_topic: &str) -> Vec<Need> {
    token
        .entries()
        .filter_map(|entry| match entry {
            Entry::Log { topic, epoch, partition, offset } if topic == our_topic => {
                let log = LogPartition { topic: topic.to_owned(), epoch, partition };
                Some(Need { log, offset })
            }
            Entry::Log { .. } | Entry::Stream { .. } => None,
        })
        .collect()
}

fn record(projection: &str, reached: &Result<(), Unreached>, waited: Duration, traced: &Span) {
    let outcome = match reached {
        Ok(()) => "reached",
        Err(Unreached::Behind { .. }) => "behind",
        Err(_) => "unavailable",
    };
    let timer = Metric::QueryApiTokenWait.histogram(&[projection, outcome]);
    timer.record(waited.as_secs_f64());
    if reached.is_err() {
        trace::failed(traced, outcome);
    }
}

/// The preferences that were honoured, as they were.
fn applied(prefer: Prefer, wait: Duration) -> Option<String> {
    let wait = prefer.wait.map(|_| format!("wait={}", wait.as_secs()));
    let handling = prefer.handling.map(|handling| match handling {
        Handling::Strict => "handling=strict".to_owned(),
        Handling::Lenient => "handling=lenient".to_owned(),
    });
    let applied: Vec<String> = wait.into_iter().chain(handling).collect();
    (!applied.is_empty()).then(|| applied.join(", "))
}

/// A read that may go on.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Settled {
    token: Option<Token>,
    /// What the token asks of the view, where some of it may be set aside.
    unsure: Vec<Need>,
    handling: Option<Handling>,
    /// What is set aside where the token looks.
    letters: Vec<OpenLetters>,
    /// The view may lack what the token asks for.
    is_stale: bool,
    /// How old the view is, if it lacks something and that is known.
    age: Option<Duration>,
    applied: Option<String>,
}

impl Settled {
    /// What the token asks of the view, where letters are to be looked for.
    pub(crate) fn take_unsure(&mut self) -> Vec<Need> {
        std::mem::take(&mut self.unsure)
    }

    /// Tells the reader what it was shown: the preferences honoured, the age of what is stale, and a
    /// token by which no later read shows less. A stale answer's token promises no more than was
    /// shown.
    pub(crate) fn onto(
        self,
        mut response: Response,
        shown: impl IntoIterator<Item = Shown>,
        key: &TokenKey,
    ) -> Response {
        let promised = shown.into_iter().filter_map(|shown| self.promised(shown));
        let shown = promised.reduce(|mut all, shown| {
            // One that is full names as much as it can.
            let _ = all.merge(&shown);
            all
        });
        let headers = response.headers_mut();
        if let Some(applied) = self.applied.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(PREFERENCE_APPLIED, applied);
        }
        if self.is_stale {
            // An age that is not known is none that could be trusted: the oldest there is.
            let age = self.age.map_or(u64::from(u32::MAX >> 1), |age| age.as_secs().max(1));
            headers.insert(AGE, HeaderValue::from(age));
        }
        let asked = if self.is_stale { None } else { self.token };
        let token = match (asked, shown) {
            (Some(mut asked), Some(shown)) => {
                // A token that is full already asks for as much as it can.
                let _ = asked.merge(&shown);
                Some(asked)
            }
            (asked, shown) => asked.or(shown),
        };
        if let Some(token) = token.and_then(|t| HeaderValue::from_str(&t.encode(key)).ok()) {
            headers.insert(CONSISTENCY_TOKEN, token);
        }
        response
    }
}

impl Positions {
    /// The record that a row which is shown was folded from last. `None` while it is not known how
    /// many partitions there are.
    pub(crate) fn shown(&self, topic: &str, key: &str, last: LogPosition) -> Option<Shown> {
        let epoch = u32::try_from(last.epoch).ok()?;
        let offset = u64::try_from(last.offset).ok()?;
        let partitions = self.partitions(topic, epoch)?;
        let partition = partition_of(key.as_bytes(), partitions);
        Some(Shown { log: LogPartition { topic: topic.to_owned(), epoch, partition }, offset })
    }

    /// The same record where no letter of its partition is open at or below it, else the one before
    /// the first that may be: what may be promised of a view as a whole.
    pub(crate) fn clear(&self, projection: &str, shown: Shown) -> Option<Shown> {
        let below = self.clear_below(projection, &shown.log)?;
        let offset = shown.offset.min(below.checked_sub(1)?);
        Some(Shown { offset, ..shown })
    }

    /// The partition that a key's records go to now. `None` while it is not known how many there
    /// are.
    pub(crate) fn partition_now(&self, topic: &str, key: &str) -> Option<u32> {
        let partitions = self.partitions_now(topic)?;
        Some(partition_of(key.as_bytes(), partitions))
    }
}

#[cfg(test)]
mod tests;
