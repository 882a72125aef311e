//! Taking from the log what the store has lost.

use event_schema::personal::SubjectKey;
use event_store::beside::Beside;
use event_store::{Append, AppendError, Event, EventStore, LogPlace, Outbox, State};
use uuid::Uuid;

use super::Deciding;
use super::aggregate::{Aggregate, subject};
use super::made::claim;
use crate::deployment::Deployed;

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
    let subject = subject::<A>(id);
    let found = deciding.store.load(&stream_id, subject.as_deref()).await;
    let stream = found.map_err(|error| error.to_string())?.stream;
    let key = match &subject {
        Some(subject) => {
            let key =
                deciding.store.subject_key(subject).await.map_err(|error| error.to_string())?;
            key.flatten().map(SubjectKey::from_bytes)
        }
        None => None,
    };
    let known: Vec<_> = deployed.of_family(A::FAMILY).known_ids().collect();
    let history = deciding.store.history(&stream_id).await.map_err(|error| error.to_string())?;
    let stored = history.iter().try_fold(None, |state, event| {
        let sealed = A::decode(&known, &event.value)?;
        Some(A::evolve(state, sealed))
    });
    let Some(mut stored) = stored else {
        let left = vec![format!("{stream_id}: what the store has of it cannot be read")];
        return Ok(Absorbed { left, ..Absorbed::default() });
    };
    let expected_version = stream.as_ref().map_or(0, |stream| stream.version);
    let mut known_ids: Vec<Uuid> = history.iter().map(|event| event.event_id).collect();
    let mut taken = Taken::default();
    let mut left = Vec::new();
    for mut event in events {
        let version = event.version;
        let last = known_ids.len() as u64;
        if version <= last {
            // What the relay sent twice is there already.
            let at = version.checked_sub(1).and_then(|at| usize::try_from(at).ok());
            let known = at.and_then(|at| known_ids.get(at));
            if known != Some(&event.event_id) {
                left.push(left_alone(&event, "is another than the store has of this version"));
            }
            continue;
        }
        let follows = version == last + 1 && event.previous_id == known_ids.last().copied();
        let sealed = A::decode(&known, &event.value).filter(|_| follows);
        let Some(sealed) = sealed else {
            left.push(left_alone(&event, &format!("does not follow on version {last}")));
            break;
        };
        event.changed = A::what_changed(&sealed).into_iter().map(str::to_owned).collect();
        known_ids.push(event.event_id);
        taken.erases |= A::erases(&sealed);
        match A::open_event(sealed.clone(), key.as_ref()) {
            Some(open) => {
                let changes = A::claims(&open, event.occurred_at, deciding.claim_term);
                let claims =
                    changes.iter().map(|c| claim(&deciding.claim_key, c, event.occurred_at));
                taken.claims.extend(claims);
            }
            None => taken.is_unreadable = true,
        }
        stored = A::evolve(stored, sealed);
        taken.events.push(event);
    }
    let appended = taken.events.len();
    let is_lost = taken.is_unreadable && !taken.erases;
    let without_key = is_lost.then(|| stream_id.clone());
    let Some(stored) = stored.filter(|_| appended > 0) else {
        return Ok(Absorbed { left, ..Absorbed::default() });
    };
    let erasure = subject.filter(|_| taken.erases);
    let append = Append {
        expected_version,
        state: State { json: A::write_state(&stored), revision: A::REVISION },
        events: taken.events,
        claims: taken.claims,
        beside: erasure
            .map(|subject| Beside::Erasure { subject, stream_id: stream_id.clone() })
            .into_iter()
            .collect(),
        request: None,
        stream_id,
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

/// What is taken of a stream.
#[derive(Default)]
struct Taken {
    events: Vec<Event>,
    claims: Vec<event_store::claim::Claim>,
    erases: bool,
    is_unreadable: bool,
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
