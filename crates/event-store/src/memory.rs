//! A store in memory, for tests: the same answers as [`crate::postgres`], without a database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::Timestamp;
use domain::decision::ClaimKind;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard};
use uuid::Uuid;

use crate::append::{Append, AppendError, Closed};
use crate::beside::{Beside, DueMail, MailsBeside, SENT};
use crate::claim::{Claim, Digest};
use crate::event::{Event, LogPlace};
use crate::request::{AnsweredRequest, NewRequest, RequestKey};
use crate::store::{Ends, EventStore, Found, Outbox, StoreError, StoredStream, Uncompared};

/// A store in memory, not compared yet when it is new. Clones are the same.
#[derive(Clone, Default)]
pub struct Memory {
    rows: Arc<Mutex<Rows>>,
    /// Held by whoever owns the outbox.
    owner: Arc<tokio::sync::Mutex<()>>,
    wake: Arc<Notify>,
}

#[derive(Default)]
struct Rows {
    streams: BTreeMap<String, StoredStream>,
    events: BTreeMap<(String, u64), Event>,
    /// Events in the order in which they were appended.
    order: Vec<(String, u64)>,
    claims: BTreeMap<(&'static str, Digest), Held>,
    requests: BTreeMap<RequestKey, AnsweredRequest>,
    subject_keys: BTreeMap<String, Option<[u8; 32]>>,
    password_hashes: BTreeMap<String, String>,
    mails: BTreeMap<Uuid, KeptMail>,
    published_to: Ends,
    passed_over: BTreeSet<(String, i32, i64)>,
    is_compared: bool,
    ahead: u64,
}

/// A mail, also when it was settled.
struct KeptMail {
    mail: DueMail,
    next_try_at: Instant,
    /// Until when somebody is about to send it.
    taken_until: Option<Instant>,
    /// How and when it was.
    settled: Option<(&'static str, Instant)>,
}

impl KeptMail {
    fn is_under_way(&self, now: Instant) -> bool {
        self.settled.is_none() && self.taken_until.is_some_and(|until| until > now)
    }

    fn settle(&mut self, outcome: &'static str) {
        (self.settled, self.taken_until) = (Some((outcome, Instant::now())), None);
    }

    fn give_back(&mut self, wait: Duration) {
        (self.next_try_at, self.taken_until) = (Instant::now() + wait, None);
    }

    /// When it was sent, if it was.
    fn sent_at(&self) -> Option<Instant> {
        self.settled.filter(|(outcome, _)| *outcome == SENT).map(|(_, at)| at)
    }
}

/// A claim that a stream has.
struct Held {
    stream_id: String,
    taken_at: Timestamp,
    lapses_at: Option<Timestamp>,
}

impl Held {
    fn may_be_taken(&self, stream_id: &str, at: Timestamp) -> bool {
        self.stream_id == stream_id || self.lapses_at.is_some_and(|lapses_at| lapses_at <= at)
    }
}

impl Memory {
    /// An empty store that was not compared yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Woken after each append.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// The hash that is kept of a person's password.
    pub fn password_hash(&self, subject: &str) -> Option<String> {
        self.rows.lock().password_hashes.get(subject).cloned()
    }

    /// Every claim: kind, hash and whose it is.
    pub fn claims(&self) -> Vec<(&'static str, Digest, String)> {
        let rows = self.rows.lock();
        let claim =
            |((kind, digest), held): (&(_, _), &Held)| (*kind, *digest, held.stream_id.clone());
        rows.claims.iter().map(claim).collect()
    }
}

impl Rows {
    fn may_append(&self, append: &Append) -> Result<(), AppendError> {
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

    fn closed(&self) -> Option<Closed> {
        Closed::of(self.is_compared, self.ahead, true)
    }

    fn must_be_at(&self, append: &Append) -> Result<(), AppendError> {
        let version = self.streams.get(&append.stream_id).map_or(0, |stream| stream.version);
        let is_there = version == append.expected_version;
        if is_there { Ok(()) } else { Err(AppendError::VersionMismatch) }
    }

    fn may_claim(&self, claim: &Claim, stream: &str) -> Result<(), AppendError> {
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

    fn has_claim(&self, kind: &str, stream: &str) -> bool {
        self.claims.iter().any(|((of, _), held)| *of == kind && held.stream_id == stream)
    }

    fn claim(&mut self, claim: Claim, stream: &str) {
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
            Claim::Release { kind } => self.release(kind, stream),
        }
    }

    fn release(&mut self, kind: &str, stream: &str) {
        self.claims.retain(|(of, _), held| *of != kind || held.stream_id != stream);
    }

    /// Whether somebody has taken the value later than this claim would.
    fn is_taken_later(&self, claim: &Claim) -> bool {
        let Claim::Take { kind, digest, taken_at, .. } = claim else { return false };
        self.claims.get(&(*kind, *digest)).is_some_and(|held| held.taken_at > *taken_at)
    }

    fn write(&mut self, append: Append) {
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

    fn beside(&mut self, beside: Beside, stream_id: &str, version: u64) {
        match beside {
            Beside::SubjectKey { subject, key } => {
                self.subject_keys.insert(subject, Some(key));
            }
            Beside::Erasure { subject, stream_id } => self.erase(&subject, &stream_id),
            Beside::PasswordHash { subject, hash } => {
                self.password_hashes.insert(subject, hash);
            }
            Beside::Mail { id, kind } => {
                let (kind, stream_id) = (kind.to_owned(), stream_id.to_owned());
                let mail = DueMail { id, kind, stream_id, version, attempts: 0 };
                let (next_try_at, taken_until, settled) = (Instant::now(), None, None);
                self.mails.insert(id, KeptMail { mail, next_try_at, taken_until, settled });
            }
        }
    }

    fn erase(&mut self, subject: &str, stream_id: &str) {
        self.subject_keys.insert(subject.to_owned(), None);
        self.password_hashes.remove(subject);
        let mails = self.mails.values_mut().filter(|kept| kept.mail.stream_id == stream_id);
        mails.filter(|kept| kept.settled.is_none()).for_each(|kept| kept.settle("erased"));
        for request in self.requests.values_mut() {
            if request.subject.as_deref() == Some(subject) {
                (request.answer, request.body_hash) = (None, None);
            }
        }
    }

    fn keep(&mut self, request: NewRequest, event: Option<(String, u64)>) {
        let NewRequest { key, route, body_hash, subject, answer } = request;
        let (body_hash, answer) = (Some(body_hash), Some(answer));
        self.requests.insert(key, AnsweredRequest { route, body_hash, subject, answer, event });
    }

    fn move_end(&mut self, end: (String, i32), next: i64) {
        let known = self.published_to.entry(end).or_default();
        *known = (*known).max(next);
    }
}

impl EventStore for Memory {
    type Outbox = MemoryOutbox;

    async fn load(&self, stream_id: &str, subject: Option<&str>) -> Result<Found, StoreError> {
        let rows = self.rows.lock();
        let subject_key = subject.and_then(|subject| *rows.subject_keys.get(subject)?);
        let stream = rows.streams.get(stream_id).cloned();
        let stream = stream.map(|stream| StoredStream { subject_key, ..stream });
        Ok(Found { closed: rows.closed(), stream })
    }

    async fn history(&self, stream_id: &str) -> Result<Vec<Event>, StoreError> {
        let rows = self.rows.lock();
        let of_stream = (stream_id.to_owned(), 0)..=(stream_id.to_owned(), u64::MAX);
        Ok(rows.events.range(of_stream).map(|(_, event)| event.clone()).collect())
    }

    async fn event_at(&self, stream_id: &str, version: u64) -> Result<Option<Event>, StoreError> {
        Ok(self.rows.lock().events.get(&(stream_id.to_owned(), version)).cloned())
    }

    async fn event(&self, event_id: Uuid) -> Result<Option<Event>, StoreError> {
        Ok(self.rows.lock().events.values().find(|event| event.event_id == event_id).cloned())
    }

    async fn places(&self, events: &[(String, u64)]) -> Result<Vec<Option<LogPlace>>, StoreError> {
        let rows = self.rows.lock();
        Ok(events.iter().map(|event| rows.events.get(event)?.place).collect())
    }

    async fn answered(&self, key: &RequestKey) -> Result<Option<AnsweredRequest>, StoreError> {
        Ok(self.rows.lock().requests.get(key).cloned())
    }

    async fn subject_key(&self, subject: &str) -> Result<Option<Option<[u8; 32]>>, StoreError> {
        Ok(self.rows.lock().subject_keys.get(subject).copied())
    }

    async fn append(&self, append: Append) -> Result<(), AppendError> {
        let mut rows = self.rows.lock();
        rows.may_append(&append)?;
        rows.write(append);
        drop(rows);
        self.wake.notify_one();
        Ok(())
    }

    async fn answer(&self, request: NewRequest) -> Result<(), AppendError> {
        let mut rows = self.rows.lock();
        if rows.requests.contains_key(&request.key) {
            return Err(AppendError::Answered);
        }
        rows.keep(request, None);
        Ok(())
    }

    async fn forget(&self, _: Duration) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn due_mails(&self, at_once: u32, lease: Duration) -> Result<Vec<DueMail>, StoreError> {
        let now = Instant::now();
        let mut rows = self.rows.lock();
        let under_way = rows.mails.values().filter(|kept| kept.is_under_way(now));
        let busy: BTreeSet<_> = under_way.map(|kept| kept.mail.stream_id.clone()).collect();
        let is_due = |kept: &&mut KeptMail| {
            let is_open = kept.settled.is_none() && kept.next_try_at <= now;
            is_open && !busy.contains(&kept.mail.stream_id)
        };
        let take = |kept: &mut KeptMail| {
            kept.mail.attempts += 1;
            (kept.next_try_at, kept.taken_until) = (now + lease, Some(now + lease));
            kept.mail.clone()
        };
        Ok(rows.mails.values_mut().filter(is_due).take(at_once as usize).map(take).collect())
    }

    async fn mails_beside(&self, mail: &DueMail) -> Result<MailsBeside, StoreError> {
        let rows = self.rows.lock();
        let of_stream = || rows.mails.values().filter(|it| it.mail.stream_id == mail.stream_id);
        let is_newer = |it: &KeptMail| it.mail.kind == mail.kind && it.mail.version > mail.version;
        Ok(MailsBeside {
            has_newer: of_stream().any(is_newer),
            last_sent: of_stream().filter_map(KeptMail::sent_at).max().map(|at| at.elapsed()),
            holds_claim: rows.has_claim(ClaimKind::Email.as_str(), &mail.stream_id),
        })
    }

    async fn settle_mail(
        &self,
        id: Uuid,
        outcome: Result<&'static str, Duration>,
    ) -> Result<(), StoreError> {
        if let Some(kept) = self.rows.lock().mails.get_mut(&id) {
            match outcome {
                Ok(outcome) => kept.settle(outcome),
                Err(wait) => kept.give_back(wait),
            }
        }
        Ok(())
    }

    async fn put_off_mail(&self, id: Uuid, wait: Duration) -> Result<(), StoreError> {
        if let Some(kept) = self.rows.lock().mails.get_mut(&id) {
            kept.mail.attempts -= 1;
            kept.give_back(wait);
        }
        Ok(())
    }

    async fn own_outbox(&self) -> Result<Option<MemoryOutbox>, StoreError> {
        let owned = Arc::clone(&self.owner).try_lock_owned().ok();
        Ok(owned.map(|owned| MemoryOutbox { rows: Arc::clone(&self.rows), _owned: owned }))
    }
}

/// The outbox of a store in memory.
pub struct MemoryOutbox {
    rows: Arc<Mutex<Rows>>,
    _owned: OwnedMutexGuard<()>,
}

impl Outbox for MemoryOutbox {
    async fn uncompared(&mut self) -> Result<Option<Uncompared>, StoreError> {
        let uncompared = Uncompared { was_rested: false };
        Ok((!self.rows.lock().is_compared).then_some(uncompared))
    }

    async fn rest(self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn published_to(&mut self) -> Result<Ends, StoreError> {
        Ok(self.rows.lock().published_to.clone())
    }

    async fn lacking(&mut self, records: &[Event]) -> Result<Vec<usize>, StoreError> {
        let mut rows = self.rows.lock();
        let mut lacking = Vec::new();
        for (at, record) in records.iter().enumerate() {
            let last = rows.streams.get(&record.stream_id).map_or(0, |stream| stream.version);
            if record.version > last {
                let is_passed_over = record.place.is_some_and(|place| {
                    let of = (record.topic.clone(), place.partition, place.offset);
                    rows.passed_over.contains(&of)
                });
                lacking.extend((!is_passed_over).then_some(at));
                continue;
            }
            let known = rows.events.get_mut(&(record.stream_id.clone(), record.version));
            if let Some(known) = known.filter(|event| event.event_id == record.event_id) {
                known.place = known.place.or(record.place);
            }
        }
        Ok(lacking)
    }

    async fn absorb(&mut self, mut append: Append) -> Result<(), AppendError> {
        let mut rows = self.rows.lock();
        rows.must_be_at(&append)?;
        append.claims.retain(|claim| !rows.is_taken_later(claim));
        rows.write(append);
        Ok(())
    }

    async fn compared(&mut self, ahead: u64, ends: &Ends) -> Result<(), StoreError> {
        let mut rows = self.rows.lock();
        for (end, next) in ends.iter().filter(|(_, end)| **end > 0 && ahead == 0) {
            rows.move_end(end.clone(), *next);
        }
        (rows.is_compared, rows.ahead) = (ahead == 0, ahead);
        Ok(())
    }

    async fn pass_over(&mut self, topic: &str, place: LogPlace) -> Result<(), StoreError> {
        let of = (topic.to_owned(), place.partition, place.offset);
        self.rows.lock().passed_over.insert(of);
        Ok(())
    }

    async fn unpublished(
        &mut self,
        at_once: u32,
        besides: &[String],
    ) -> Result<Vec<Event>, StoreError> {
        let rows = self.rows.lock();
        let events = rows.order.iter().filter_map(|name| rows.events.get(name));
        let unpublished = events.filter(|e| e.place.is_none() && !besides.contains(&e.stream_id));
        Ok(unpublished.take(at_once as usize).cloned().collect())
    }

    async fn mark(&mut self, published: &[(Event, LogPlace)]) -> Result<(), StoreError> {
        let mut rows = self.rows.lock();
        for (event, place) in published {
            if let Some(known) = rows.events.get_mut(&(event.stream_id.clone(), event.version)) {
                known.place = known.place.or(Some(*place));
            }
            rows.move_end((event.topic.clone(), place.partition), place.offset + 1);
        }
        Ok(())
    }
}
