//! The order of decided events within a batch: what was folded of their streams is read before they
//! are sorted, and written down with what they do.

use read_models::recorded::Recorded;
use sqlx::PgConnection;

use super::sort::{Parked, Past, Sorted, Stray, sort, stream_of};
use super::{BatchError, Blamed, Folding, bookkeeping};
use crate::letters::set_aside::Item;
use crate::runner::sequence::{Chains, Link};
use crate::runner::stream_events::{self, OfStream};
use crate::runner::{Event, Order, Projection};

impl<P: Projection> Folding<'_, P> {
    /// Sorts the batch. Facts are asked nothing, and nothing is asked for them.
    pub(super) async fn sorted<'b>(
        &self,
        connection: &mut PgConnection,
        batch: &[&'b Item<P::Event>],
        past: &Past,
        parked: Parked,
    ) -> Result<Sorted<'b, P::Event>, BatchError> {
        let links = match P::ORDER {
            Order::Independent => Vec::new(),
            Order::Sequenced => links(batch),
        };
        let mut chains = self.chains(&mut *connection, &links).await?;
        let sorted = sort(batch, P::ORDER, past, &parked, &mut chains);
        if sorted.strays.is_empty() && sorted.hopeful.is_empty() {
            return Ok(sorted);
        }
        let mut chains = self.chains(&mut *connection, &links).await?;
        let early = early(&sorted);
        let sorted = match self.pass_over(&mut *connection, &mut chains, early).await? {
            true => sort(batch, P::ORDER, past, &parked, &mut chains),
            false => sorted,
        };
        if sorted.strays.is_empty() { Ok(sorted) } else { Err(blamed(&sorted.strays)) }
    }

    async fn chains(
        &self,
        connection: &mut PgConnection,
        links: &[OfStream<'_>],
    ) -> Result<Chains, BatchError> {
        stream_events::load(connection, self.scope, links)
            .await
            .map_err(bookkeeping("reading streams"))
    }

    /// Whether one of them follows what was folded after all, but for letters that were discarded.
    async fn pass_over(
        &self,
        connection: &mut PgConnection,
        chains: &mut Chains,
        early: Vec<OfStream<'_>>,
    ) -> Result<bool, BatchError> {
        let mut is_any = false;
        for event in early {
            is_any |= stream_events::pass_over(&mut *connection, self.scope, chains, event)
                .await
                .map_err(bookkeeping("passing discarded letters over"))?;
        }
        Ok(is_any)
    }

    /// Writes down that these were folded, and those passed over.
    pub(super) async fn record(
        &self,
        connection: &mut PgConnection,
        events: &[&Recorded<P::Event>],
        passed: Vec<OfStream<'_>>,
    ) -> Result<(), BatchError> {
        if P::ORDER == Order::Independent {
            return Ok(());
        }
        let link = |record: &Recorded<P::Event>| Link::of(&record.event);
        let folded: Vec<OfStream<'_>> = events
            .iter()
            .filter_map(|record| Some((record.event.stream_id(), link(record)?)))
            .chain(passed)
            .collect();
        stream_events::record(connection, self.scope, folded)
            .await
            .map_err(bookkeeping("writing streams"))
    }
}

/// Decided events of a batch, whatever becomes of them.
fn links<'b, E: Event>(batch: &[&'b Item<E>]) -> Vec<OfStream<'b>> {
    let of_stream = |item: &&'b Item<E>| Some((stream_of(item)?.1, item.link()?));
    batch.iter().filter_map(of_stream).collect()
}

/// Events that come too early, by what is known so far.
fn early<'b, E>(sorted: &Sorted<'b, E>) -> Vec<OfStream<'b>> {
    let gaps = sorted.strays.iter().filter(|stray| !stray.is_fork);
    let gaps = gaps.map(|stray| (stray.stream_id, stray.link));
    gaps.chain(sorted.hopeful.iter().copied()).collect()
}

fn blamed(strays: &[Stray<'_>]) -> BatchError {
    let blame = |stray: &Stray<'_>| {
        let (partition, offset) = stray.place;
        Blamed { partition, offset, failure: stray.failure() }
    };
    BatchError::Blamed(strays.iter().map(blame).collect())
}
