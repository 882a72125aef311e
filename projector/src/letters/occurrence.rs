//! What happens to letters, each with its log line and its metric.

use telemetry::Metric;

use super::set_aside::SetAside;
use crate::runner::{Failure, Scope};

/// A record was set aside.
pub(crate) struct LetterWritten<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) letter: &'a SetAside,
}

impl LetterWritten<'_> {
    pub(crate) fn emit(self) {
        let Scope { projection, topic, .. } = self.scope;
        let Failure { class, code, message } = &self.letter.failure;
        Metric::LettersWritten.counter(&[projection, class.label()]).increment(1);
        tracing::warn!(
            projection,
            kafka.topic = topic,
            kafka.partition = self.letter.partition,
            kafka.offset = self.letter.position.offset,
            error.class = class.label(),
            error.code = code,
            "a record was set aside: {message}"
        );
    }
}

/// A letter was tried again.
pub(crate) struct LetterTried<'a> {
    pub(crate) projection: &'a str,
    pub(crate) letter: uuid::Uuid,
    pub(crate) outcome: &'static str,
}

impl LetterTried<'_> {
    pub(crate) fn emit(self) {
        Metric::LettersTried.counter(&[self.projection, self.outcome]).increment(1);
        tracing::info!(
            projection = self.projection,
            letter.id = %self.letter,
            outcome = self.outcome,
            "a letter was tried again"
        );
    }
}

/// A projection stopped itself.
pub(crate) struct BrakePulled<'a> {
    pub(crate) projection: &'a str,
    pub(crate) reason: &'a str,
}

impl BrakePulled<'_> {
    pub(crate) fn emit(self) {
        Metric::ProjectionBraked.gauge(&[self.projection]).set(1.0);
        tracing::error!(
            projection = self.projection,
            "the projection stopped itself and folds nothing until `dlq-replayer resume`: {}",
            self.reason
        );
    }
}

/// A projection goes on.
pub(crate) struct BrakeReleased<'a> {
    pub(crate) projection: &'a str,
}

impl BrakeReleased<'_> {
    pub(crate) fn emit(self) {
        Metric::ProjectionBraked.gauge(&[self.projection]).set(0.0);
        tracing::info!(projection = self.projection, "the projection was resumed");
    }
}

/// The copy of a letter is in `events-dlq`.
pub(crate) struct NoticePublished<'a> {
    pub(crate) projection: &'a str,
    pub(crate) letter: uuid::Uuid,
}

impl NoticePublished<'_> {
    pub(crate) fn emit(self) {
        Metric::LetterNoticesPublished.counter(&[self.projection]).increment(1);
        tracing::debug!(projection = self.projection, letter.id = %self.letter, "a letter's copy was published");
    }
}
