//! Taking from the log what the store has lost.

use std::time::Duration;

use domain::Timestamp;
use event_schema::decode::KnownId;
use event_schema::personal::SubjectKey;
use event_store::beside::Beside;
use event_store::claim::Claim;
use event_store::{Append, AppendError, Event, EventStore, LogPlace, Outbox, State};
use uuid::Uuid;

use super::aggregate::{Aggregate, subject};
use super::made::claim;
use super::{Deciding, now};
use crate::deployment::Deployed;

/// How much the clock of whoever decided may be before that of the database.
const CLOCKS_DIFFER: Duration = Duration::from_secs(10);

/// What was done to a stream.
#[derive(Debug, Default)]
pub(crate) struct Absorbed {
    /// Events appended.
    pub(crate) appended: usize,
    /// The stream, where the key of its personal fields is lost.
    pub(crate) without_key: Option<String>,
    /// What was left alone, and why.
    pub(crate) left: Vec<String>,
}

/// Appends events of one stream, as the log holds them. Whatever does not follow on the stream's last event
/// is somebody else's and left alone.
///
/// # Errors
/// The store did not do its part, as text.
pub(crate) async fn absorb<A: Aggregate, S: EventStore>(
    deciding: &Deciding<S>,
    deployed: &Deployed,
    outbox: &mut impl Outbox,
    events: Vec<Event>,
) -> Result<Absorbed, String> {
    let Some(stream_id) = events.first().map(|event| event.stream_id.clone()) else {
        return Ok(Absorbed::default());
    };
    let Some(id) = id_of::<A>(&stream_id) else {
        let why = format!("is no stream of a {}", A::KIND);
        let left = events.iter().map(|event| left_alone(event, &why)).collect();
        return Ok(Absorbed { left, ..Absorbed::default() });
    };
    let known: Vec<_> = deployed.of_family(A::FAMILY).known_ids().collect();
    let Some(mut held) = Held::<A>::load(deciding, &known, id, &stream_id).await? else {
        let left = vec![format!("{stream_id}: what the store has of it cannot be read")];
        return Ok(Absorbed { left, ..Absorbed::default() });
    };
    let mut taken = Taken::default();
    let mut left = Vec::new();
    for event in events {
        let last = held.last_version();
        if event.version <= last {
            // What the relay sent twice is there already.
            if !held.has(&event) {
                left.push(left_alone(&event, "is another than the store has of this version"));
            }
            continue;
        }
        let sealed = A::decode(&known, &event.value).filter(|_| held.is_followed_by(&event));
        let Some(sealed) = sealed else {
            left.push(left_alone(&event, &format!("does not follow on version {last}")));
            break;
        };
        taken.take(deciding, &mut held, event, sealed);
    }
    let appended = taken.events.len();
    let without_key = taken.is_without_key().then(|| stream_id.clone());
    let Some(append) = append_of(stream_id, held, taken) else {
        return Ok(Absorbed { left, ..Absorbed::default() });
    };
    match outbox.absorb(append).await {
        Ok(()) => Ok(Absorbed { appended, without_key, left }),
        Err(AppendError::VersionMismatch) => {
            let left = vec!["a stream moved on meanwhile; run it again".to_owned()];
            Ok(Absorbed { left, ..Absorbed::default() })
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A stream as the store has it, with what is taken of it.
struct Held<A: Aggregate> {
    id: Uuid,
    /// Whose stream it is.
    subject: Option<String>,
    key: Option<SubjectKey>,
    /// What the store has; 0 where there is no stream.
    expected_version: u64,
    /// Of all events, from the first.
    event_ids: Vec<Uuid>,
    /// The fold of them.
    stored: Option<A::Stored>,
}

impl<A: Aggregate> Held<A> {
    /// What the store has; `None` where that cannot be read.
    async fn load<S: EventStore>(
        deciding: &Deciding<S>,
        known: &[KnownId],
        id: Uuid,
        stream_id: &str,
    ) -> Result<Option<Self>, String> {
        let subject = subject::<A>(id);
        let found = deciding.store.load(stream_id, subject.as_deref()).await;
        let stream = found.map_err(|error| error.to_string())?.stream;
        let key = match &subject {
            Some(subject) => {
                let key = deciding.store.subject_key(subject).await;
                key.map_err(|error| error.to_string())?.flatten().map(SubjectKey::from_bytes)
            }
            None => None,
        };
        let history = deciding.store.history(stream_id).await.map_err(|error| error.to_string())?;
        let stored = history.iter().try_fold(None, |state, event| {
            let sealed = A::decode(known, &event.value)?;
            Some(A::evolve(state, sealed))
        });
        let expected_version = stream.map_or(0, |stream| stream.version);
        let event_ids = history.iter().map(|event| event.event_id).collect();
        Ok(stored.map(|stored| Self { id, subject, key, expected_version, event_ids, stored }))
    }

    fn last_version(&self) -> u64 {
        self.event_ids.len() as u64
    }

    /// Whether it is the event of its version.
    fn has(&self, event: &Event) -> bool {
        let at = event.version.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.event_ids.get(at)) == Some(&event.event_id)
    }

    fn is_followed_by(&self, event: &Event) -> bool {
        event.version == self.last_version() + 1
            && event.previous_id == self.event_ids.last().copied()
    }
}

/// What is taken of a stream.
#[derive(Default)]
struct Taken {
    events: Vec<Event>,
    claims: Vec<Claim>,
    /// What is revoked, as long as an access token may be left; and passwords and second factors of before.
    beside: Vec<Beside>,
    erases: bool,
    is_unreadable: bool,
}

impl Taken {
    /// One event more, which follows on what is held, with what belongs to it.
    fn take<A: Aggregate, S>(
        &mut self,
        deciding: &Deciding<S>,
        held: &mut Held<A>,
        mut event: Event,
        sealed: A::Sealed,
    ) {
        event.changed = A::what_changed(&sealed).into_iter().map(str::to_owned).collect();
        self.erases |= A::erases(&sealed);
        if let Some(subject) = &held.subject {
            self.beside.extend(nothing_older::<A>(&sealed, subject, event.occurred_at));
        }
        let holds_for = still_holds(deciding.revocations_hold, event.occurred_at, now());
        let revoked = A::revokes(&sealed, held.id, event.version).zip(holds_for);
        let revocation = |(what, holds_for)| Beside::Revocation { what, holds_for };
        self.beside.extend(revoked.map(revocation));
        match A::open_event(sealed.clone(), held.key.as_ref()) {
            Some(open) => {
                let changes = A::claims(&open, event.occurred_at, deciding.claim_term);
                let claims =
                    changes.iter().map(|c| claim(&deciding.claim_key, c, event.occurred_at));
                self.claims.extend(claims);
            }
            None => self.is_unreadable = true,
        }
        held.event_ids.push(event.event_id);
        held.stored = A::evolve(held.stored.take(), sealed);
        self.events.push(event);
    }

    /// Whether a person's fields stay unreadable, who is not erased.
    fn is_without_key(&self) -> bool {
        self.is_unreadable && !self.erases
    }
}

/// What is appended; `None` where nothing is taken.
fn append_of<A: Aggregate>(stream_id: String, held: Held<A>, taken: Taken) -> Option<Append> {
    let Held { subject, expected_version, stored, .. } = held;
    let Taken { events, claims, beside, erases, .. } = taken;
    let stored = stored.filter(|_| !events.is_empty())?;
    let erasure = subject.filter(|_| erases);
    let erasure = erasure.map(|subject| Beside::Erasure { subject, stream_id: stream_id.clone() });
    Some(Append {
        expected_version,
        state: State { json: A::write_state(&stored), revision: A::REVISION },
        events,
        claims,
        beside: erasure.into_iter().chain(beside).collect(),
        request: None,
        stream_id,
    })
}

/// Whoever still knows a password of before the change is nobody any more, and codes of a second factor that was
/// removed or replaced are none. Where the store has lost the decision alone, and not what belongs to persons,
/// theirs is that of the change or of a later one: it stays.
fn nothing_older<A: Aggregate>(
    event: &A::Sealed,
    subject: &str,
    changed_at: Timestamp,
) -> Vec<Beside> {
    let clocks_differ = i64::try_from(CLOCKS_DIFFER.as_micros()).unwrap_or_default();
    let before = Timestamp(changed_at.micros().saturating_sub(clocks_differ));
    let subject = subject.to_owned();
    let no_password = A::changes_password(event)
        .then(|| Beside::NoPassword { subject: subject.clone(), written_before: before });
    let no_second_factor = A::changes_second_factor(event)
        .then_some(Beside::NoSecondFactorBefore { subject, enrolled_before: before });
    no_password.into_iter().chain(no_second_factor).collect()
}

/// How much longer there may be an access token that was revoked at a time; `None` once all have expired:
/// a log of years says much that concerns none any more.
fn still_holds(holds_for: Duration, revoked_at: Timestamp, now: Timestamp) -> Option<Duration> {
    // By another clock it may have been in the future: then it was now.
    let since = now.micros().saturating_sub(revoked_at.micros());
    let since = Duration::from_micros(u64::try_from(since).unwrap_or_default());
    holds_for.checked_sub(since).filter(|left| !left.is_zero())
}

fn left_alone(event: &Event, why: &str) -> String {
    let Event { topic, stream_id, version, .. } = event;
    match event.place {
        Some(LogPlace { partition, offset }) => {
            format!("{topic}:{partition}:{offset}, {stream_id} version {version}, {why}")
        }
        None => format!("{stream_id} version {version}, {why}"),
    }
}

fn id_of<A: Aggregate>(stream_id: &str) -> Option<Uuid> {
    stream_id.strip_prefix(A::KIND)?.strip_prefix('-')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use consistency_token::TokenKey;
    use domain::decision::Decided;
    use domain::user::UserEvent;
    use event_schema::schema::{Family, Schema, UserSchema};
    use event_store::beside::Revoked;
    use event_store::claim::ClaimKey;
    use event_store::memory::Memory;
    use event_store::publications::Publications;
    use event_store::second_factor::SecondFactor;

    use super::*;
    use crate::decision::aggregate::Impersonal;
    use crate::deployment::{DeployedFamily, Known};
    use crate::user::Users;

    type Stored = <Users as Aggregate>::Stored;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_was_revoked_holds_until_the_last_access_token_has_expired() {
        let at = |minutes: i64| Timestamp(minutes * 60_000_000);
        let left = |revoked_at, now| still_holds(17 * MINUTE, at(revoked_at), at(now));
        assert_eq!(left(0, 0), Some(17 * MINUTE));
        assert_eq!(left(0, 5), Some(12 * MINUTE));
        assert_eq!(left(0, 17), None);
        assert_eq!(left(0, 99), None);
        assert_eq!(left(5, 0), Some(17 * MINUTE), "by another clock");
    }

    /// Something whose events are all the end of a session's access tokens.
    struct Visit;

    impl Impersonal for Visit {
        const KIND: &'static str = "visit";
        const FAMILY: Family = Family::User;
        const REVISION: i32 = 1;

        type State = ();
        type Event = ();

        fn evolve(_: Option<()>, (): ()) -> Option<()> {
            Some(())
        }

        fn schema((): &()) -> Schema {
            Schema::User(UserSchema::DeactivatedV1)
        }

        fn encode(_: &Decided<()>, _: u32) -> Option<Vec<u8>> {
            Some(Vec::new())
        }

        fn decode(_: &[KnownId], _: &[u8]) -> Option<()> {
            Some(())
        }

        fn write_state((): &()) -> String {
            String::new()
        }

        fn read_state(_: &str) -> Option<()> {
            Some(())
        }

        fn what_changed((): &()) -> Vec<&'static str> {
            Vec::new()
        }

        fn revokes((): &(), id: Uuid, _: u64) -> Option<Revoked> {
            Some(Revoked::Session(id))
        }
    }

    fn deciding() -> Deciding<Memory> {
        Deciding {
            store: Memory::new(),
            publications: Publications::default(),
            known: Known::default(),
            claim_key: ClaimKey::derive(b"a secret"),
            token_key: TokenKey::derive(b"a secret"),
            claim_term: MINUTE,
            revocations_hold: 17 * MINUTE,
            wait: Duration::ZERO,
            log_is_away: Arc::new(|| false),
        }
    }

    /// The first event of a stream, as the log holds it.
    fn logged(id: Uuid, occurred_at: Timestamp) -> Event {
        Event {
            stream_id: format!("visit-{id}"),
            version: 1,
            event_id: Uuid::now_v7(),
            previous_id: None,
            topic: "identity.user".to_owned(),
            event_type: "identity.user.deactivated.v1".to_owned(),
            occurred_at,
            correlation_id: None,
            causation_id: None,
            actor: None,
            traceparent: None,
            changed: Vec::new(),
            value: Vec::new(),
            place: Some(LogPlace { partition: 0, offset: 0 }),
        }
    }

    #[tokio::test]
    async fn what_the_log_says_was_revoked_is_unless_it_was_long_ago() {
        let deciding = deciding();
        let deployed = Deployed::new(|_| DeployedFamily {
            topic: "identity.user".to_owned(),
            epoch: 1,
            schema_ids: Vec::new(),
        });
        let mut outbox = deciding.store.own_outbox().await.unwrap().unwrap();
        let (now, lately, long_ago) = (now(), Uuid::from_u128(1), Uuid::from_u128(2));
        for (id, at) in [(lately, now), (long_ago, Timestamp(now.micros() - 3_600_000_000))] {
            let events = vec![logged(id, at)];
            let absorbed = absorb::<Visit, _>(&deciding, &deployed, &mut outbox, events).await;
            assert_eq!(absorbed.unwrap().appended, 1);
        }
        let revoked = deciding.store.revocations();
        let [(what, holds_for)] = revoked[..] else { panic!("{revoked:?}") };
        assert_eq!(what, Revoked::Session(lately));
        assert!(holds_for > 16 * MINUTE && holds_for <= 17 * MINUTE, "{holds_for:?}");
    }

    /// The event of a user as the log holds it, and the state after it.
    fn decided(
        deployed: &Deployed,
        before: Option<&Event>,
        state: Option<Stored>,
        event: UserEvent<String>,
        (key, occurred_at): (&SubjectKey, Timestamp),
    ) -> (Event, Stored) {
        let id = Uuid::from_u128(7);
        let event_id = Uuid::now_v7();
        let version = before.map_or(1, |event| event.version + 1);
        let previous_id = before.map(|event| event.event_id);
        let sealed = Users::seal(event, event_id, Some(key)).unwrap();
        let schema = Users::schema(&sealed);
        let schema_id = deployed.of_family(Family::User).schema_id(schema).unwrap();
        let state = Users::evolve(state, sealed.clone()).unwrap();
        let decided = Decided {
            event_id,
            aggregate_id: id,
            version,
            previous_id,
            occurred_at,
            event: sealed,
        };
        let event = Event {
            stream_id: format!("user-{id}"),
            version,
            event_id,
            previous_id,
            event_type: schema.event_type().to_owned(),
            value: Users::encode(&decided, schema_id).unwrap(),
            ..logged(id, occurred_at)
        };
        (event, state)
    }

    #[tokio::test]
    async fn what_was_changed_after_what_the_store_has_of_it_lets_nobody_in() {
        absorbs_what_was_lost(UserEvent::PasswordChanged, true).await;
        absorbs_what_was_lost(UserEvent::SecondFactorEnrolled, false).await;
        absorbs_what_was_lost(UserEvent::SecondFactorRemoved, false).await;
    }

    /// Somebody is restored with a password and a second factor, of which one is gone once it is known that it was
    /// changed since.
    async fn absorbs_what_was_lost(changed: UserEvent<String>, is_of_password: bool) {
        let deciding = deciding();
        let deployed = Deployed::new(|family| DeployedFamily {
            topic: "identity.user".to_owned(),
            epoch: 1,
            schema_ids: family.schemas().zip(7 + 100 * family as u32..).collect(),
        });
        let (key, subject) = (SubjectKey::generate(), Uuid::from_u128(7).to_string());
        let registration = UserEvent::Registered {
            username: "ann".to_owned(),
            email: "ann@example.org".to_owned(),
            full_name: None,
            bio: None,
            image: None,
            roles: Vec::new(),
        };
        let at = |seconds: i64| Timestamp(now().micros() + seconds * 1_000_000);
        let place = (&key, at(-60));
        let (registered, state) = decided(&deployed, None, None, registration, place);
        let mut outbox = deciding.store.own_outbox().await.unwrap().unwrap();
        let (sealed_secret, recovery_codes) = (vec![7], Vec::new());
        let factor = SecondFactor { sealed_secret, last_step: 7, recovery_codes };
        let restored = Append {
            stream_id: registered.stream_id.clone(),
            expected_version: 0,
            events: vec![registered.clone()],
            state: State { json: Users::write_state(&state), revision: Users::REVISION },
            claims: Vec::new(),
            beside: vec![
                Beside::SubjectKey { subject: subject.clone(), key: *key.as_bytes() },
                Beside::PasswordHash { subject: subject.clone(), hash: "a hash".to_owned() },
                Beside::SecondFactor { subject: subject.clone(), factor },
            ],
            request: None,
        };
        outbox.absorb(restored).await.unwrap();
        // A change of long ago, after which it became what it is, and one that the store has lost.
        let mut before = (registered, state);
        for (seconds, is_lost) in [(-50, false), (60, true)] {
            let (last, state) = before;
            let place = (&key, at(seconds));
            before = decided(&deployed, Some(&last), Some(state), changed.clone(), place);
            let events = vec![before.0.clone()];
            let absorbed = absorb::<Users, _>(&deciding, &deployed, &mut outbox, events).await;
            assert_eq!(absorbed.unwrap().appended, 1);
            let hash = deciding.store.password_hash(&subject).await.unwrap();
            let factor = deciding.store.second_factor(&subject).await.unwrap();
            let gone = (hash.is_none(), factor.is_none());
            let expected = (is_lost && is_of_password, is_lost && !is_of_password);
            assert_eq!(gone, expected, "{changed:?} {seconds}");
        }
    }
}
