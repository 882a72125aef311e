//! Several events in one request: appended together, each with a result of its own.

use std::collections::BTreeMap;

use axum::response::Response;
use consistency_token::Token;
use kafka_io::producer::{Delivered, LostOutcome};
use problem_details::Problem;
use telemetry::trace;
use tracing::Span;

use super::Shared;
use super::answer::{ItemResult, several, token};
use super::append::{Asked, NewEvent, NotQueued, Queued};
use super::fields::Place;
use super::reading::Many;
use crate::deployment::DeployedFamily;
use crate::log::Log;

impl<L: Log> Shared<L> {
    /// Hands all events to the log, in order, then waits for all, and answers with a result for each.
    pub(super) async fn append_all(
        &self,
        many: Many,
        asked: Asked<'_>,
    ) -> Result<Response, Problem> {
        let deployed = self.deployed()?;
        let sending = trace::send(&deployed.topic, many.len());
        let queued = self.queue_all(deployed, many, asked, &sending);
        let mut results = Vec::with_capacity(queued.len());
        let mut delivered = Vec::with_capacity(queued.len());
        for queued in queued {
            results.push(match queued {
                Err(problem) => ItemResult::Refused(problem),
                Ok(queued) => {
                    let request_id = queued.event.request_id;
                    match self.settled(queued).await {
                        Ok(place) => {
                            delivered.push(place);
                            ItemResult::Accepted(request_id)
                        }
                        Err(problem) => {
                            trace::failed(&sending, "unknown");
                            ItemResult::Unknown(request_id, problem)
                        }
                    }
                }
            });
        }
        let token = token_of_all(deployed, &delivered);
        Ok(several(&results, token.map(|token| token.encode(&self.reporting.token_key))))
    }

    /// Once the log takes nothing, what follows is not tried: an event of a device must not get ahead
    /// of one that the client will send again.
    fn queue_all(
        &self,
        deployed: &DeployedFamily,
        many: Many,
        asked: Asked<'_>,
        sending: &Span,
    ) -> Vec<
        Result<
            Queued<impl Future<Output = Result<Delivered, LostOutcome>> + Send + use<L>>,
            Problem,
        >,
    > {
        let mut closed = None;
        let mut queue = |new: &NewEvent, place| match closed {
            Some(why) => Err(why),
            None => self.queue(deployed, new, place, asked, sending).inspect_err(|why| {
                closed = Some(*why).filter(|why: &NotQueued| why.is_of_the_log());
            }),
        };
        let queue = |(index, item): (usize, Result<NewEvent, Problem>)| {
            let place = Place::Item(index);
            let new = item.inspect_err(|problem| self.outcomes.not_taken(problem))?;
            queue(&new, place).map_err(|why| self.not_queued(new.reference(place), why))
        };
        many.into_iter().enumerate().map(queue).collect()
    }
}

/// The token of all these records. None where the log did not say of one where it stands, or where
/// they are in more partitions than a token names: a read with less would promise too much.
fn token_of_all(deployed: &DeployedFamily, delivered: &[Delivered]) -> Option<Token> {
    let mut last = BTreeMap::new();
    for place in delivered {
        let offset = last.entry(place.partition).or_insert(place.offset?);
        *offset = place.offset?.max(*offset);
    }
    let mut all = Token::default();
    for (partition, offset) in last {
        let one = token(deployed, Delivered { partition, offset: Some(offset) })?;
        all.merge(&one).ok()?;
    }
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use consistency_token::{Entry, MAX_ENTRIES};

    use super::*;

    fn entries(places: &[(i32, Option<u64>)]) -> Option<Vec<(u32, u64)>> {
        let deployed = DeployedFamily { topic: "t".into(), epoch: 1, schema_ids: Vec::new() };
        let delivered = |&(partition, offset)| Delivered { partition, offset };
        let token = token_of_all(&deployed, &places.iter().map(delivered).collect::<Vec<_>>())?;
        let entry = |entry: Entry<'_>| match entry {
            Entry::Log { partition, offset, .. } => (partition, offset),
            Entry::Stream { .. } => panic!("{entry:?}"),
        };
        Some(token.entries().map(entry).collect())
    }

    #[test]
    fn the_token_names_the_last_record_of_each_partition() {
        let places = [(3, Some(7)), (1, Some(9)), (3, Some(8)), (1, Some(2)), (0, Some(0))];
        assert_eq!(entries(&places), Some(vec![(0, 0), (1, 9), (3, 8)]));
    }

    #[test]
    fn a_token_that_cannot_name_all_is_none() {
        assert_eq!(entries(&[]), None);
        assert_eq!(entries(&[(0, Some(1)), (1, None)]), None);
        assert_eq!(entries(&[(0, Some(1)), (-1, Some(1))]), None);
        let many = |count: usize| (0..).map(|n| (n, Some(1))).take(count).collect::<Vec<_>>();
        assert_eq!(entries(&many(MAX_ENTRIES)).unwrap().len(), MAX_ENTRIES);
        assert_eq!(entries(&many(MAX_ENTRIES + 1)), None);
    }
}
