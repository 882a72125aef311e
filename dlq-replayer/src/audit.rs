//! Who did what to which letter or projection, when and why, and what came of it.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::trouble::Trouble;

/// What operators do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Replay,
    Discard,
    Resume,
}

impl Action {
    fn label(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
            Self::Resume => "resume",
        }
    }
}

/// On whose behalf an action is done.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// Who.
    pub who: &'a str,
    /// Why, where it was said.
    pub reason: Option<&'a str>,
}

/// One line of the audit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) actor: Actor<'a>,
    pub(crate) action: Action,
    pub(crate) projection: &'a str,
    pub(crate) letter: Option<Uuid>,
    pub(crate) outcome: &'a str,
}

/// Writes the line: within the transaction of the action's effect, or alone where it had none.
pub(crate) async fn write(
    connection: &mut PgConnection,
    entry: Entry<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO letter_actions (id, acted_by, action, projection, letter_id, reason, outcome)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(Uuid::now_v7())
    .bind(entry.actor.who)
    .bind(entry.action.label())
    .bind(entry.projection)
    .bind(entry.letter)
    .bind(entry.actor.reason)
    .bind(entry.outcome)
    .execute(connection)
    .await
    .map(drop)
}

/// Writes the line of an action without effect, in a transaction of its own.
pub(crate) async fn write_alone(
    connection: &mut PgConnection,
    entry: Entry<'_>,
) -> Result<(), Trouble> {
    write(connection, entry).await.map_err(Trouble::database("writing the audit"))
}
