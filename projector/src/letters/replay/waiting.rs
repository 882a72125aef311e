//! Letters that are still open after a replay.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::turns::Turn;
use super::{Outcome, Replay, ReplayError, Replayed, failed};
use crate::runner::{Projection, Scope};

impl<P: Projection> Replay<'_, P> {
    /// Does what cannot wait until these letters are folded: some of them may not have been readable
    /// when they were set aside. Returns the streams whose rows it changed.
    pub(super) async fn meanwhile(
        &self,
        connection: &mut PgConnection,
        scope: &Scope,
        turns: &[Turn<P::Event>],
        tried: &[Replayed],
    ) -> Result<BTreeSet<String>, ReplayError> {
        let is_settled = |at: usize| {
            tried.get(at).is_some_and(|tried| matches!(tried.outcome, Outcome::Settled(_)))
        };
        let open = turns.iter().enumerate().filter(|(at, turn)| {
            // One that was settled before was decided upon.
            turn.stored.is_open() && !is_settled(*at)
        });
        let waiting: Vec<_> = open.filter_map(|(_, turn)| turn.event.as_ref().ok()).collect();
        if waiting.is_empty() {
            return Ok(BTreeSet::new());
        }
        self.projection
            .on_set_aside(connection, scope.generation, &waiting)
            .await
            .map_err(failed("writing what cannot wait"))
    }
}
