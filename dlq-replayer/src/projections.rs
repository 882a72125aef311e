//! The projections of this release, which fold letters again.

use settings::{Prefix, Settings};
use sqlx::PgConnection;

use crate::audit::Actor;
use crate::letter::Letter;
use crate::replay::{ReplayError, Replayed, Replays};

/// Folds letters by the projection that failed on them.
#[derive(Debug, Clone, Copy)]
pub struct Projections;

impl Projections {
    /// Reads what folding needs; faults are noted in the settings.
    pub fn from_settings(_settings: &mut Settings, _prefix: &Prefix) -> Self {
        Self
    }
}

impl Replays for Projections {
    async fn replay(
        &mut self,
        _connection: &mut PgConnection,
        letter: &Letter,
        _actor: Actor<'_>,
        _dry_run: bool,
    ) -> Result<Replayed, ReplayError> {
        Err(ReplayError::Refused(format!("this release cannot fold {}", letter.projection)))
    }
}
