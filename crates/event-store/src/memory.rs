//! A store in memory, for tests: the same answers as [`crate::postgres`], without a database.

mod outbox;
mod rows;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::decision::ClaimKind;
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::append::{Append, AppendError, State};
use crate::beside::{DueMail, FOR_NOBODY, LATELY, MailsBeside, NOBODY, Revoked, asked_for_before};
use crate::claim::{ClaimOf, Digest};
use crate::event::{Event, LogPlace};
use crate::pending_registration::{NewRegistration, PendingRegistration, mails_of};
use crate::request::{AnsweredRequest, NewRequest, RequestKey};
use crate::second_factor::{SecondFactor, UsedCode};
use crate::store::{Account, EventStore, Found, Nobody, StoreError, StoredStream};

pub use outbox::MemoryOutbox;

use rows::{Held, KeptMail, KeptRegistration, Rows};

/// A store in memory, not compared yet when it is new. Clones are the same.
#[derive(Clone, Default)]
pub struct Memory {
    rows: Arc<Mutex<Rows>>,
    /// Held by whoever owns the outbox.
    owner: Arc<tokio::sync::Mutex<()>>,
    wake: Arc<Notify>,
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

    /// What was revoked and is not forgotten, in its order, each with how long it has to be known.
    pub fn revocations(&self) -> Vec<(Revoked, Duration)> {
        let rows = self.rows.lock();
        rows.revocations.iter().map(|revocation| (revocation.what, revocation.holds_for)).collect()
    }

    /// How many mails are kept, whoever they are for and whatever became of them.
    pub fn mails(&self) -> usize {
        self.rows.lock().mails.len()
    }

    /// Every claim: kind, hash and whose it is.
    pub fn claims(&self) -> Vec<(&'static str, Digest, String)> {
        let rows = self.rows.lock();
        let claim =
            |((kind, digest), held): (&(_, _), &Held)| (*kind, *digest, held.stream_id.clone());
        rows.claims.iter().map(claim).collect()
    }
}

impl EventStore for Memory {
    type Outbox = MemoryOutbox;

    async fn load(&self, stream_id: &str, subject: Option<&str>) -> Result<Found, StoreError> {
        Ok(self.rows.lock().found(stream_id, subject))
    }

    async fn replace_state(
        &self,
        stream_id: &str,
        version: u64,
        state: &State,
    ) -> Result<bool, StoreError> {
        let mut rows = self.rows.lock();
        let stream = rows.streams.get_mut(stream_id);
        let is_older = |stream: &&mut StoredStream| {
            stream.version == version && stream.state.revision < state.revision
        };
        let Some(stream) = stream.filter(is_older) else { return Ok(false) };
        stream.state = state.clone();
        Ok(true)
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

    async fn account(&self, value: &ClaimOf, nobody: Nobody<'_>) -> Result<Account, StoreError> {
        let rows = self.rows.lock();
        let held = rows.claims.get(&(value.kind, value.digest));
        let holder = held.map(|held| held.stream_id.clone());
        let stream_id = holder.clone().unwrap_or_else(|| [nobody.prefix, nobody.subject].concat());
        let subject = stream_id.strip_prefix(nobody.prefix);
        let found = rows.found(&stream_id, subject);
        let kept = subject.and_then(|subject| rows.passwords.get(subject));
        let password_hash = kept.map(|kept| kept.hash.clone());
        Ok(Account { holder, found, password_hash })
    }

    async fn password_hash(&self, subject: &str) -> Result<Option<String>, StoreError> {
        Ok(self.rows.lock().passwords.get(subject).map(|kept| kept.hash.clone()))
    }

    async fn replace_password_hash(
        &self,
        subject: &str,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let mut rows = self.rows.lock();
        let Some(present) = rows.passwords.get_mut(subject) else { return Ok(false) };
        let is_old = present.hash == old;
        if is_old {
            new.clone_into(&mut present.hash);
        }
        Ok(is_old)
    }

    async fn second_factor(&self, subject: &str) -> Result<Option<SecondFactor>, StoreError> {
        Ok(self.rows.lock().second_factors.get(subject).map(|kept| kept.factor.clone()))
    }

    async fn use_second_factor(
        &self,
        subject: &str,
        sealed_secret: &[u8],
        used: UsedCode,
    ) -> Result<bool, StoreError> {
        let mut rows = self.rows.lock();
        let factor = rows.second_factors.get_mut(subject).map(|kept| &mut kept.factor);
        let factor = factor.filter(|factor| factor.sealed_secret == sealed_secret);
        Ok(factor.is_some_and(|factor| factor.use_up(used)))
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

    /// Revocations and registrations that wait no more.
    async fn forget(&self, _: Duration) -> Result<u64, StoreError> {
        let mut rows = self.rows.lock();
        let before = rows.revocations.len() + rows.registrations.len();
        rows.revocations.retain(|known| known.written_at.elapsed() < known.holds_for);
        rows.registrations.retain(|_, kept| kept.waits());
        Ok((before - rows.revocations.len() - rows.registrations.len()) as u64)
    }

    async fn keep_mail_for_holder(
        &self,
        id: Uuid,
        kind: &'static str,
        value: ClaimOf,
        good_for: Duration,
    ) -> Result<(), StoreError> {
        let mut rows = self.rows.lock();
        let held = rows.claims.get(&(value.kind, value.digest));
        let held = held.filter(|held| held.has_not_lapsed());
        let holder = held.map(|held| held.stream_id.clone());
        let since = asked_for_before(id, good_for);
        let holder = holder.filter(|stream_id| !rows.has_waiting_mail(stream_id, kind, since));
        let stream = holder.and_then(|id| Some((rows.streams.get(&id)?.version, id)));
        let (version, stream_id) = stream.unwrap_or_else(|| (0, NOBODY.to_owned()));
        rows.keep_mail(id, kind, &stream_id, version);
        let for_nobody = rows.mails.get_mut(&id).filter(|_| stream_id == NOBODY);
        if let Some(kept) = for_nobody {
            kept.settle(FOR_NOBODY);
        }
        Ok(())
    }

    async fn keep_registration(&self, registration: NewRegistration) -> Result<(), AppendError> {
        let NewRegistration { id, email, sealed, mail, waits_for } = registration;
        let mut rows = self.rows.lock();
        let kept = KeptRegistration { email, sealed, kept_at: Instant::now(), waits_for };
        rows.registrations.insert(id, kept);
        rows.keep_mail(id, mail, &mails_of(&email), 0);
        Ok(())
    }

    async fn pending_registration(
        &self,
        id: Uuid,
    ) -> Result<Option<PendingRegistration>, StoreError> {
        let rows = self.rows.lock();
        let kept = rows.registrations.get(&id).filter(|kept| kept.waits());
        Ok(kept.map(|kept| {
            let held = rows.claims.get(&(ClaimKind::Email.as_str(), kept.email));
            let held = held.filter(|held| held.has_not_lapsed());
            let holder = held.map(|held| held.stream_id.clone());
            PendingRegistration { sealed: kept.sealed.clone(), holder }
        }))
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
        let is_newer = |it: &KeptMail| {
            it.mail.kind == mail.kind && (it.mail.version, it.mail.id) > (mail.version, mail.id)
        };
        let is_lately = |it: &&KeptMail| it.sent_at().is_some_and(|at| at.elapsed() < LATELY);
        let of_kind = || of_stream().filter(|it| it.mail.kind == mail.kind);
        Ok(MailsBeside {
            has_newer: of_stream().any(is_newer),
            sent_lately: u32::try_from(of_kind().filter(is_lately).count()).unwrap_or(u32::MAX),
            last_sent: of_kind().filter_map(KeptMail::sent_at).max().map(|at| at.elapsed()),
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
