//! The projections of this release, which fold letters again.

use std::time::Duration;

use domain::device::DeviceEvent;
use event_schema::decode::{Decoder, KnownId};
use event_schema::registry::{Registry, RegistryConfig};
use projector::cache::Announcer;
use projector::device_history::DeviceHistory;
use projector::letters::LetterState as Became;
use projector::letters::replay::{self, By, Mode, Replay};
use projector::resource::Resource;
use projector::runner::{Failure, FailureClass, Projection};
use projector::session::{Session, SessionStreamEvent};
use projector::user::{User, UserStreamEvent};
use read_cache::CacheConfig;
use read_models::deployment;
use settings::{Prefix, Settings};
use sqlx::PgConnection;

use crate::audit::Actor;
use crate::database::Database;
use crate::diff::RowChange;
use crate::letter::Letter;
use crate::replay::{Failed, Outcome, ReplayError, Replayed, Replays};
use crate::trouble::told;

/// Longest wait for the first connection to Redis.
const CONNECT_CACHE: Duration = Duration::from_secs(5);

/// Folds letters by the projection that failed on them, as the projector of the same release does.
pub struct Projections {
    database: Database,
    registry: RegistryConfig,
    cache: Option<CacheConfig>,
    user: User,
    ready: Option<Ready>,
}

/// What is read once, before the first letter.
struct Ready {
    device: Decoder<DeviceEvent>,
    user: Decoder<UserStreamEvent>,
    session: Decoder<SessionStreamEvent>,
    registry: Registry,
    /// `None` where the cache is switched off.
    announcer: Option<Announcer>,
}

impl Projections {
    /// Reads what folding needs; faults are noted in the settings.
    pub fn from_settings(settings: &mut Settings, prefix: &Prefix) -> Self {
        Self {
            database: Database::from_settings(settings, prefix),
            registry: RegistryConfig::from_settings(settings),
            cache: CacheConfig::if_on(settings),
            user: User::of(prefix),
            ready: None,
        }
    }

    async fn ready(&mut self) -> Result<&Ready, ReplayError> {
        let ready = match self.ready.take() {
            Some(ready) => ready,
            None => self.prepare().await?,
        };
        Ok(self.ready.insert(ready))
    }

    async fn prepare(&self) -> Result<Ready, ReplayError> {
        event_schema::limit_allocations();
        let registry = Registry::new(&self.registry)
            .map_err(|error| unprepared("registry", error.to_string()))?;
        let pool = self.database.pool();
        let schemas = deployment::schemas(&pool)
            .await
            .map_err(|error| unprepared("schema-ids", told(&error)))?;
        pool.close().await;
        // Each family's decoder knows which of them are its own.
        let known: Vec<KnownId> = schemas
            .into_iter()
            .map(|schema| KnownId {
                schema_id: schema.schema_id,
                record_name: schema.record_name,
                version: schema.version,
            })
            .collect();
        let announcer = self.cache.as_ref().map(Announcer::start);
        if let Some(announcer) = &announcer {
            // One that it cannot connect to refuses each replay, and says so.
            announcer.connected_within(CONNECT_CACHE).await;
        }
        let device = Decoder::new(known.clone());
        let (user, session) = (Decoder::new(known.clone()), Decoder::new(known));
        Ok(Ready { device, user, session, registry, announcer })
    }
}

impl Replays for Projections {
    async fn replay(
        &mut self,
        connection: &mut PgConnection,
        letter: &Letter,
        actor: Actor<'_>,
        dry_run: bool,
    ) -> Result<Replayed, ReplayError> {
        let by = By::Operator { who: actor.who, reason: actor.reason };
        let mode = if dry_run { Mode::DryRun } else { Mode::Commit };
        let of_user = self.user.clone();
        let Ready { device, user, session, registry, announcer } = self.ready().await?;
        let announcer = announcer.as_ref();
        let replayed = match Which::named(&letter.projection)? {
            Which::Resource => {
                let replay = Replay { projection: &Resource, decoder: device, registry, announcer };
                replay.letter(connection, letter.id, by, mode).await
            }
            Which::DeviceHistory => {
                let projection = &DeviceHistory::default();
                let replay = Replay { projection, decoder: device, registry, announcer };
                replay.letter(connection, letter.id, by, mode).await
            }
            Which::User => {
                let replay = Replay { projection: &of_user, decoder: user, registry, announcer };
                replay.letter(connection, letter.id, by, mode).await
            }
            Which::Session => {
                let replay = Replay { projection: &Session, decoder: session, registry, announcer };
                replay.letter(connection, letter.id, by, mode).await
            }
        };
        replayed.map(taken).map_err(not_taken)
    }
}

/// A projection of this release.
#[derive(Debug, Clone, Copy)]
enum Which {
    Resource,
    DeviceHistory,
    User,
    Session,
}

impl Which {
    fn named(name: &str) -> Result<Self, ReplayError> {
        match name {
            Resource::NAME => Ok(Self::Resource),
            DeviceHistory::NAME => Ok(Self::DeviceHistory),
            User::NAME => Ok(Self::User),
            Session::NAME => Ok(Self::Session),
            other => Err(ReplayError::Refused(format!("this release has no projection {other}"))),
        }
    }
}

fn taken(report: replay::Report) -> Replayed {
    let rows = RowChange::between(&report.before, &report.after);
    let letters =
        report.letters.into_iter().map(|replayed| (replayed.letter, outcome(replayed.outcome)));
    Replayed { letters: letters.collect(), rows }
}

fn outcome(outcome: replay::Outcome) -> Outcome {
    match outcome {
        replay::Outcome::Settled(Became::Applied) => Outcome::Applied,
        replay::Outcome::Settled(Became::Superseded) => Outcome::Superseded,
        replay::Outcome::Settled(Became::Duplicate) => Outcome::Duplicate,
        replay::Outcome::Settled(other) => Outcome::Skipped(format!("it is {}", other.as_str())),
        replay::Outcome::Failed(failure) => Outcome::Failed(failed(failure)),
        replay::Outcome::Skipped(reason) => Outcome::Skipped(reason.to_owned()),
    }
}

fn not_taken(error: replay::ReplayError) -> ReplayError {
    match error {
        replay::ReplayError::Unknown(_) | replay::ReplayError::Retired => {
            ReplayError::Refused(error.to_string())
        }
        replay::ReplayError::Failed(failure) => match failure.class {
            FailureClass::Transient | FailureClass::DeployFault => {
                ReplayError::Unreachable(failed(failure))
            }
            FailureClass::Contention | FailureClass::Poison | FailureClass::Bug => {
                ReplayError::Failed(failed(failure))
            }
        },
    }
}

fn failed(failure: Failure) -> Failed {
    let Failure { class, code, message } = failure;
    Failed { class: class.label().to_owned(), code, message }
}

fn unprepared(code: &str, message: String) -> ReplayError {
    let class = FailureClass::DeployFault.label().to_owned();
    ReplayError::Unreachable(Failed { class, code: code.to_owned(), message })
}

#[cfg(test)]
mod tests {
    use settings::table::PROJECTOR_PROJECTIONS;

    use super::*;

    #[test]
    fn letters_of_every_projection_are_folded_again() {
        for name in PROJECTOR_PROJECTIONS.default.unwrap().split(',') {
            assert!(Which::named(name).is_ok(), "{name}");
        }
        assert!(matches!(Which::named("nobody"), Err(ReplayError::Refused(_))));
    }

    fn failure(class: FailureClass) -> replay::ReplayError {
        replay::ReplayError::Failed(Failure {
            class,
            code: "55P03".to_owned(),
            message: "the database refused while locking letters".to_owned(),
        })
    }

    #[test]
    fn what_every_replay_needs_ends_the_call_and_a_lock_only_the_letter() {
        for class in [FailureClass::Transient, FailureClass::DeployFault] {
            assert!(matches!(not_taken(failure(class)), ReplayError::Unreachable(_)), "{class:?}");
        }
        for class in [FailureClass::Contention, FailureClass::Bug] {
            assert!(matches!(not_taken(failure(class)), ReplayError::Failed(_)), "{class:?}");
        }
    }
}
