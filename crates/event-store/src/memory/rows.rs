//! What a store in memory holds, and what a decision does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Timestamp;
use uuid::Uuid;

use crate::append::{Append, AppendError, Closed};
use crate::beside::{Beside, DueMail, NOT_NEEDED, Revoked, SENT};
use crate::claim::{Claim, Digest};
use crate::event::Event;
use crate::pending_registration::{is_of_registration, mails_of};
use crate::request::{AnsweredRequest, NewRequest, RequestKey};
use crate::second_factor::SecondFactor;
use crate::store::{Ends, Found, StoredStream};

#[derive(Default)]
pub(super) struct Rows {
    pub(super) streams: BTreeMap<String, StoredStream>,
    pub(super) events: BTreeMap<(String, u64), Event>,
    /// Events in the order in which they were appended.
    pub(super) order: Vec<(String, u64)>,
    pub(super) claims: BTreeMap<(&'static str, Digest), Held>,
    pub(super) requests: BTreeMap<RequestKey, AnsweredRequest>,
    pub(super) subject_keys: BTreeMap<String, Option<[u8; 32]>>,
    pub(super) passwords: BTreeMap<String, KeptPassword>,
    pub(super) second_factors: BTreeMap<String, KeptSecondFactor>,
    pub(super) revocations: Vec<Revocation>,
    pub(super) mails: BTreeMap<Uuid, KeptMail>,
    /// Those that wait.
    pub(super) registrations: BTreeMap<Uuid, KeptRegistration>,
    pub(super) published_to: Ends,
    pub(super) passed_over: BTreeSet<(String, i32, i64)>,
    pub(super) is_compared: bool,
    pub(super) ahead: u64,
}

/// The hash of a password, and since when it is this password.
pub(super) struct KeptPassword {
    pub(super) hash: String,
    pub(super) changed_at: Timestamp,
}

/// A second factor, and since when it is this one.
pub(super) struct KeptSecondFactor {
    pub(super) factor: SecondFactor,
    pub(super) enrolled_at: Timestamp,
}

/// A registration that waits for so long.
pub(super) struct KeptRegistration {
    pub(super) email: Digest,
    pub(super) sealed: Vec<u8>,
    pub(super) kept_at: Instant,
    pub(super) waits_for: Duration,
}

impl KeptRegistration {
    pub(super) fn waits(&self) -> bool {
        self.kept_at.elapsed() < self.waits_for
    }
}

/// What was revoked, and since when for how long it has to be known.
pub(super) struct Revocation {
    pub(super) what: Revoked,
    pub(super) written_at: Instant,
    pub(super) holds_for: Duration,
}

/// A mail, also when it was settled.
pub(super) struct KeptMail {
    pub(super) mail: DueMail,
    pub(super) next_try_at: Instant,
    /// Until when somebody is about to send it.
    pub(super) taken_until: Option<Instant>,
    /// How and when it was.
    pub(super) settled: Option<(&'static str, Instant)>,
}

impl KeptMail {
    pub(super) fn is_under_way(&self, now: Instant) -> bool {
        self.settled.is_none() && self.taken_until.is_some_and(|until| until > now)
    }

    pub(super) fn settle(&mut self, outcome: &'static str) {
        (self.settled, self.taken_until) = (Some((outcome, Instant::now())), None);
    }

    pub(super) fn give_back(&mut self, wait: Duration) {
        (self.next_try_at, self.taken_until) = (Instant::now() + wait, None);
    }

    /// When it was sent, if it was.
    pub(super) fn sent_at(&self) -> Option<Instant> {
        self.settled.filter(|(outcome, _)| *outcome == SENT).map(|(_, at)| at)
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A claim that a stream has.
pub(super) struct Held {
    pub(super) stream_id: String,
    pub(super) taken_at: Timestamp,
    pub(super) lapses_at: Option<Timestamp>,
}

impl Held {
    pub(super) fn may_be_taken(&self, stream_id: &str, at: Timestamp) -> bool {
        self.stream_id == stream_id || self.lapses_at.is_some_and(|lapses_at| lapses_at <= at)
    }

    pub(super) fn has_not_lapsed(&self) -> bool {
        self.lapses_at.is_none_or(|lapses_at| lapses_at > now())
    }
}

impl Rows {
    /// A stream with a person's key.
    pub(super) fn found(&self, stream_id: &str, subject: Option<&str>) -> Found {
        let subject_key = subject.and_then(|subject| *self.subject_keys.get(subject)?);
        let stream = self.streams.get(stream_id).cloned();
        let stream = stream.map(|stream| StoredStream { subject_key, ..stream });
        Found { closed: self.closed(), stream }
    }

    pub(super) fn may_append(&self, append: &Append) -> Result<(), AppendError> {
        if let Some(closed) = self.closed() {
            return Err(closed.into());
        }
        if let Some(request) = &append.request
            && self.requests.contains_key(&request.key)
        {
            return Err(AppendError::Answered);
        }
        self.must_be_at(append)?;
        append.claims.iter().try_for_each(|claim| self.may_claim(claim, &append.stream_id))
    }

    pub(super) fn closed(&self) -> Option<Closed> {
        Closed::of(self.is_compared, self.ahead, true)
    }

    pub(super) fn must_be_at(&self, append: &Append) -> Result<(), AppendError> {
        let version = self.streams.get(&append.stream_id).map_or(0, |stream| stream.version);
        let is_there = version == append.expected_version;
        if is_there { Ok(()) } else { Err(AppendError::VersionMismatch) }
    }

    pub(super) fn may_claim(&self, claim: &Claim, stream: &str) -> Result<(), AppendError> {
        match *claim {
            Claim::Take { kind, digest, taken_at, .. } => {
                let held = self.claims.get(&(kind, digest));
                let is_free = held.is_none_or(|held| held.may_be_taken(stream, taken_at));
                if is_free { Ok(()) } else { Err(AppendError::Taken(kind)) }
            }
            Claim::Confirm { kind } if !self.has_claim(kind, stream) => {
                Err(AppendError::Lapsed(kind))
            }
            Claim::Confirm { .. } | Claim::Release { .. } => Ok(()),
        }
    }

    pub(super) fn has_claim(&self, kind: &str, stream: &str) -> bool {
        self.claims.iter().any(|((of, _), held)| *of == kind && held.stream_id == stream)
    }

    pub(super) fn claim(&mut self, claim: Claim, stream: &str) {
        match claim {
            Claim::Take { kind, digest, taken_at, lapses_at } => {
                self.release(kind, stream);
                let stream_id = stream.to_owned();
                self.claims.insert((kind, digest), Held { stream_id, taken_at, lapses_at });
            }
            Claim::Confirm { kind } => {
                let all = self.claims.iter_mut();
                let own = all.filter(|((of, _), held)| *of == kind && held.stream_id == stream);
                own.for_each(|(_, held)| held.lapses_at = None);
            }
            Claim::Release { kind } => {
                let held = self.claims.iter();
                let own = held.filter(|((of, _), held)| *of == kind && held.stream_id == stream);
                let digests: Vec<Digest> = own.map(|((_, digest), _)| *digest).collect();
                for digest in digests {
                    self.registrations.retain(|_, kept| kept.email != digest);
                    self.mails.retain(|_, kept| kept.mail.stream_id != mails_of(&digest));
                }
                self.release(kind, stream);
            }
        }
    }

    pub(super) fn release(&mut self, kind: &str, stream: &str) {
        self.claims.retain(|(of, _), held| *of != kind || held.stream_id != stream);
    }

    /// Whether somebody has taken the value later than this claim would.
    pub(super) fn is_taken_later(&self, claim: &Claim) -> bool {
        let Claim::Take { kind, digest, taken_at, .. } = claim else { return false };
        self.claims.get(&(*kind, *digest)).is_some_and(|held| held.taken_at > *taken_at)
    }

    pub(super) fn write(&mut self, append: Append) {
        let Append { stream_id, events, state, claims, beside, request, .. } = append;
        for claim in claims {
            self.claim(claim, &stream_id);
        }
        let Some(last) = events.last() else { return };
        let (version, last_event_id) = (last.version, last.event_id);
        for beside in beside {
            self.beside(beside, &stream_id, version);
        }
        if let Some(request) = request {
            self.keep(request, Some((stream_id.clone(), version)));
        }
        let stream = StoredStream { version, last_event_id, state, subject_key: None };
        self.streams.insert(stream_id.clone(), stream);
        for event in events {
            let name = (stream_id.clone(), event.version);
            self.order.push(name.clone());
            self.events.insert(name, event);
        }
    }

    pub(super) fn beside(&mut self, beside: Beside, stream_id: &str, version: u64) {
        match beside {
            Beside::SubjectKey { subject, key } => {
                self.subject_keys.insert(subject, Some(key));
            }
            Beside::Erasure { subject, stream_id } => self.erase(&subject, &stream_id),
            Beside::PasswordHash { subject, hash } => {
                self.passwords.insert(subject, KeptPassword { hash, changed_at: now() });
            }
            Beside::NoPassword { subject, written_before } => {
                let is_old = |kept: &KeptPassword| kept.changed_at < written_before;
                if self.passwords.get(&subject).is_some_and(is_old) {
                    self.passwords.remove(&subject);
                }
            }
            Beside::SecondFactor { subject, factor } => {
                let kept = KeptSecondFactor { factor, enrolled_at: now() };
                self.second_factors.insert(subject, kept);
            }
            Beside::NoSecondFactor { subject } => {
                self.second_factors.remove(&subject);
            }
            Beside::NoSecondFactorBefore { subject, enrolled_before } => {
                let is_old = |kept: &KeptSecondFactor| kept.enrolled_at < enrolled_before;
                if self.second_factors.get(&subject).is_some_and(is_old) {
                    self.second_factors.remove(&subject);
                }
            }
            Beside::NoPendingRegistration { id } => {
                if let Some(confirmed) = self.registrations.remove(&id) {
                    self.registrations.retain(|_, kept| kept.email != confirmed.email);
                }
            }
            Beside::Revocation { what, holds_for } => {
                self.revocations.push(Revocation { what, written_at: Instant::now(), holds_for });
            }
            Beside::Mail { id, kind } => self.keep_mail(id, kind, stream_id, version),
            Beside::MailsNotNeeded { kind } => self.settle_waiting(stream_id, kind),
        }
    }

    pub(super) fn keep_mail(&mut self, id: Uuid, kind: &str, stream_id: &str, version: u64) {
        let (kind, stream_id) = (kind.to_owned(), stream_id.to_owned());
        let mail = DueMail { id, kind, stream_id, version, attempts: 0 };
        let (next_try_at, taken_until, settled) = (Instant::now(), None, None);
        self.mails.insert(id, KeptMail { mail, next_try_at, taken_until, settled });
    }

    /// Whether a mail of the kind, with an id above this one, waits for the stream.
    pub(super) fn has_waiting_mail(&self, stream_id: &str, kind: &str, since: Uuid) -> bool {
        self.mails.range(since..).any(|(_, kept)| {
            let is_it = kept.mail.stream_id == stream_id && kept.mail.kind == kind;
            is_it && kept.settled.is_none() && kept.taken_until.is_none()
        })
    }

    fn settle_waiting(&mut self, stream_id: &str, kind: &str) {
        let mails = self.mails.values_mut().filter(|kept| kept.mail.stream_id == stream_id);
        let of_kind = mails.filter(|kept| kept.mail.kind == kind);
        of_kind.filter(|kept| kept.settled.is_none()).for_each(|kept| kept.settle(NOT_NEEDED));
    }

    pub(super) fn erase(&mut self, subject: &str, stream_id: &str) {
        self.subject_keys.insert(subject.to_owned(), None);
        self.passwords.remove(subject);
        self.second_factors.remove(subject);
        let mails = self.mails.values_mut().filter(|kept| kept.mail.stream_id == stream_id);
        mails.filter(|kept| kept.settled.is_none()).for_each(|kept| kept.settle("erased"));
        if let Ok(id) = Uuid::parse_str(subject) {
            self.registrations.remove(&id);
            self.mails.retain(|_, kept| kept.mail.id != id || !is_of_registration(&kept.mail));
        }
        for request in self.requests.values_mut() {
            if request.subject.as_deref() == Some(subject) {
                (request.answer, request.body_hash) = (None, None);
            }
        }
    }

    pub(super) fn keep(&mut self, request: NewRequest, event: Option<(String, u64)>) {
        let NewRequest { key, route, body_hash, subject, answer } = request;
        let (body_hash, answer) = (Some(body_hash), Some(answer));
        self.requests.insert(key, AnsweredRequest { route, body_hash, subject, answer, event });
    }

    pub(super) fn move_end(&mut self, end: (String, i32), next: i64) {
        let known = self.published_to.entry(end).or_default();
        *known = (*known).max(next);
    }
}
