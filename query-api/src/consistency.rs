//! Reading one's writes: what a consistency token asks of a read, and what the answer says of it.

mod decisions;
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

use crate::positions::map::{LogPartition, Need, StreamEvent};
use crate::positions::{Positions, Unreached};
use crate::prefer::{Handling, Prefer};
use crate::refused::Refused;

pub(crate) use decisions::{Decisions, Places};
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
#[derive(Clone, Copy)]
pub(crate) struct LogTopic<'a> {
    pub(crate) projection: &'static str,
    pub(crate) topic: &'a str,
    /// The streams of the topic, where its events are decided ones.
    pub(crate) decisions: Option<Decisions<'a>>,
}

/// What a reader asks for. One that is read by several views is settled for each of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Consistency {
    token: Option<Token>,
    prefer: Prefer,
    /// Its wait is counted from here.
    asked_at: Instant,
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
        Ok(Self { token: all, prefer: Prefer::from_headers(headers), asked_at: Instant::now() })
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
        let mut reaching = Reaching { needs: needs(&token, view.topic), placed: Vec::new() };
        let wait = self.prefer.wait.unwrap_or(waits.usual).min(waits.longest);
        let (began, until) = (Instant::now(), self.asked_at + wait);
        let traced = trace::step(Step::WaitForPosition);
        let reached = reaching.reach(positions, view, &token, until);
        let reached = reached.instrument(traced.clone()).await;
        record(view.projection, &reached, began.elapsed(), &traced);
        let age = match (reached, self.prefer.handling) {
            (Ok(()), _) => Some(Duration::ZERO),
            (Err(Unreached::Behind { position, .. }), Some(Handling::Lenient)) => position.age,
            (
                Err(Unreached::NotLogged | Unreached::Unknown | Unreached::TooManyWaiting),
                Some(Handling::Lenient),
            ) => None,
            (Err(unreached), _) => return Err(Refused::unreached(view.projection, unreached)),
        };
        let applied = applied(self.prefer, wait);
        let Reaching { needs, placed } = reaching;
        Ok(Settled {
            is_stale: age != Some(Duration::ZERO),
            token: Some(token),
            placed,
            unsure: if positions.are_clear(view.projection, &needs) { Vec::new() } else { needs },
            handling: self.prefer.handling,
            letters: Vec::new(),
            age,
            applied,
        })
    }
}

/// What is waited for.
struct Reaching {
    /// What the view has to show.
    needs: Vec<Need>,
    /// Where the log has what the token names by its streams, as far as it was looked for.
    placed: Vec<(StreamEvent, Need)>,
}

impl Reaching {
    /// Waits until the log has what the token names by its streams, which then is needed like the rest, and
    /// until the view shows all of it.
    async fn reach(
        &mut self,
        positions: &Positions,
        view: LogTopic<'_>,
        token: &Token,
        until: Instant,
    ) -> Result<(), Unreached> {
        if let Some(ours) = view.decisions {
            for event in decisions::of_kind(token, ours.kind) {
                let (topic, places) = (view.topic, ours.places);
                let need = decisions::need_of(event.clone(), topic, places, positions, until);
                let need = need.await?;
                self.placed.push((event, need.clone()));
                self.needs.push(need);
            }
        }
        let left = until.saturating_duration_since(Instant::now());
        positions.reach(view.projection, &self.needs, left).await
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
        Err(Unreached::Behind { .. } | Unreached::NotLogged) => "behind",
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
    /// Where the log has what the token names by its streams, as far as it was looked for.
    placed: Vec<(StreamEvent, Need)>,
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

    /// Both reads as one: it lacks what either lacks, and is as old as the older.
    pub(crate) fn beside(mut self, other: Self) -> Self {
        self.age = match (self.is_stale, other.is_stale) {
            (true, true) => self.age.zip(other.age).map(|(age, other)| age.max(other)),
            (false, true) => other.age,
            (_, false) => self.age,
        };
        self.is_stale |= other.is_stale;
        self.letters.extend(other.letters);
        self.placed.extend(other.placed);
        self
    }

    /// Tells the reader what it was shown: the preferences honoured, the age of what is stale, and a
    /// token by which no later read shows less. A stale answer's token promises no more than was
    /// shown. What was found in the log is named by its place there: whoever writes and reads again
    /// and again has a token that does not grow.
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
        let asked = asked.map(|token| by_place(token, &self.placed));
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

fn by_place(mut token: Token, placed: &[(StreamEvent, Need)]) -> Token {
    for (StreamEvent { stream_id, version }, Need { log, offset }) in placed {
        let record = Token::of_record(&log.topic, log.epoch, log.partition, *offset);
        token.place(stream_id, *version, &record);
    }
    token
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
