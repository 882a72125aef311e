//! Letters in the order in which they are tried, and how decided events among them are judged.

use event_schema::decode::Decoder;
use read_models::recorded::Recorded;
use sqlx::PgConnection;

use super::letter::{self, Place, Stored};
use super::{ReplayError, failed};
use crate::runner::sequence::{Chains, Link, Verdict, turn};
use crate::runner::stream_events::{self, OfStream};
use crate::runner::{Event, Failure, Order, Scope};

/// A letter whose turn comes, with its event as today's code reads it.
pub(super) struct Turn<E> {
    pub(super) stored: Stored,
    pub(super) event: Result<Recorded<E>, Failure>,
    /// Its event's place in its stream, where order is kept and it has one.
    link: Option<Link>,
}

/// Decided events are tried in the order of their versions, however they came.
pub(super) fn turns<E: Event>(
    letters: Vec<Stored>,
    order: Order,
    decoder: &Decoder<E>,
    place: &Place,
) -> Vec<Turn<E>> {
    let read = |stored: Stored| {
        let event = stored.decode(decoder, place.among());
        let read = event.as_ref().ok().filter(|_| order == Order::Sequenced);
        let link = read.and_then(|recorded| Link::of(&recorded.event));
        Turn { stored, event, link }
    };
    let mut turns: Vec<_> = letters.into_iter().map(read).collect();
    turns.sort_by_key(|letter| turn(letter.link.as_ref(), letter.stored.offset()));
    turns
}

impl<E: Event> Turn<E> {
    /// Its event, by its stream and place, if it was decided.
    pub(super) fn of_stream(&self) -> Option<OfStream<'_>> {
        let recorded = self.event.as_ref().ok()?;
        Some((recorded.event.stream_id(), self.link?))
    }
}

/// What the letters are judged by. Places in the stream that were not known yet are written down, so
/// that whoever asks for the stream's letters has them in the same order.
pub(super) async fn chains<E: Event>(
    connection: &mut PgConnection,
    scope: &Scope,
    turns: &[Turn<E>],
) -> Result<Chains, ReplayError> {
    for turn in turns.iter().filter(|turn| turn.stored.lacks_version()) {
        if let Some(link) = &turn.link {
            letter::number(&mut *connection, turn.stored.id, link)
                .await
                .map_err(failed("numbering a letter"))?;
        }
    }
    let events: Vec<OfStream<'_>> = turns.iter().filter_map(Turn::of_stream).collect();
    stream_events::load(connection, scope, &events).await.map_err(failed("reading a stream"))
}

/// Judges an event; one that follows discarded letters alone is the next. One that was discarded under
/// another record is passed over, and a duplicate from then on.
pub(super) async fn judge(
    connection: &mut PgConnection,
    scope: &Scope,
    chains: &mut Chains,
    (stream_id, link): OfStream<'_>,
) -> Result<Verdict, ReplayError> {
    let mut verdict = chains.judge(stream_id, &link);
    if verdict == Verdict::Gap {
        let event = (stream_id, link);
        let is_next = stream_events::pass_over(&mut *connection, scope, chains, event)
            .await
            .map_err(failed("passing discarded letters over"))?;
        if is_next {
            verdict = chains.judge(stream_id, &link);
        }
    }
    if verdict == Verdict::Discarded {
        chains.add(stream_id, link.version, link.event_id);
        stream_events::record(connection, scope, vec![(stream_id, link)])
            .await
            .map_err(failed("passing a discarded event over"))?;
        verdict = Verdict::Duplicate;
    }
    Ok(verdict)
}
