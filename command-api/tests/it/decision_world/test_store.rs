//! The store in memory, with faults and encounters as tests want them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use event_store::beside::{DueMail, MailsBeside};
use event_store::claim::ClaimOf;
use event_store::memory::{Memory, MemoryOutbox};
use event_store::pending_registration::{NewRegistration, PendingRegistration};
use event_store::request::{AnsweredRequest, NewRequest, RequestKey};
use event_store::second_factor::{SecondFactor, UsedCode};
use event_store::{
    Account, Append, AppendError, Closed, Event, EventStore, Found, LogPlace, Nobody, State,
    StoreError, StoredStream,
};
use parking_lot::Mutex;
use tokio::sync::Barrier;
use tokio::time::timeout;
use uuid::Uuid;

/// What became of a mail: how it was settled, or when it is tried again.
pub(crate) type Settled = Result<&'static str, Duration>;

/// A store in memory that does as it is told. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct TestStore {
    memory: Memory,
    told: Arc<Told>,
}

/// How many still come, and where they meet.
#[derive(Default)]
struct Meeting(Mutex<Option<(usize, Arc<Barrier>)>>);

impl Meeting {
    fn is_of(&self, count: usize, times: usize) {
        *self.0.lock() = Some((count * times, Arc::new(Barrier::new(count))));
    }

    /// Waits for the others, if there are any.
    async fn attend(&self) {
        let next = {
            let mut meeting = self.0.lock();
            let next = meeting.take();
            if let Some((left @ 2.., barrier)) = &next {
                *meeting = Some((left - 1, Arc::clone(barrier)));
            }
            next
        };
        if let Some((_, barrier)) = next {
            let met = timeout(Duration::from_secs(60), barrier.wait()).await;
            assert!(met.is_ok(), "the others never came");
        }
    }
}

#[derive(Default)]
struct Told {
    appends_meet: Meeting,
    requests_meet: Meeting,
    /// Appends whose outcome stays unknown.
    silent_appends: AtomicI32,
    is_away: AtomicBool,
    /// Whether states are as an older program would have stored them.
    has_old_states: AtomicBool,
    /// Whether the keys of persons are lost.
    has_lost_keys: AtomicBool,
    /// Whether its claims are under another key than its callers'.
    is_of_another_key: AtomicBool,
    /// Times that it does not write down what became of a mail.
    unsettled: AtomicI32,
    settled: Mutex<Vec<Settled>>,
    put_off: Mutex<Vec<Duration>>,
    called: Mutex<Vec<&'static str>>,
}

impl TestStore {
    /// What keeps it all.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The next so many appends are made at once: none before all are about to be made. They have to be of
    /// as many instances, for in one of them those about one thing take turns.
    pub(crate) fn next_appends_meet(&self, count: usize) {
        self.told.appends_meet.is_of(count, 1);
    }

    /// So many named requests come at once: each time that an answer to them is looked for, none goes on
    /// before all were looked for.
    pub(crate) fn next_requests_meet(&self, count: usize, times: usize) {
        self.told.requests_meet.is_of(count, times);
    }

    /// The next append is made, and whoever makes it is not told.
    pub(crate) fn does_not_tell_of_the_next_append(&self) {
        self.told.silent_appends.store(1, Ordering::Relaxed);
    }

    /// Whether it answers nobody.
    pub(crate) fn is_away(&self, is_away: bool) {
        self.told.is_away.store(is_away, Ordering::Relaxed);
    }

    /// From now on stored states are of another revision than the program's.
    pub(crate) fn has_old_states(&self) {
        self.told.has_old_states.store(true, Ordering::Relaxed);
    }

    /// From now on it finds no person's key.
    pub(crate) fn has_lost_keys(&self) {
        self.told.has_lost_keys.store(true, Ordering::Relaxed);
    }

    /// From now on its claims are under another key than its callers'.
    pub(crate) fn is_of_another_key(&self) {
        self.told.is_of_another_key.store(true, Ordering::Relaxed);
    }

    /// The next so many times it does not write down what became of a mail.
    pub(crate) fn settles_no_mail(&self, times: i32) {
        self.told.unsettled.store(times, Ordering::Relaxed);
    }

    /// What became of mails, in the order in which it became of them.
    pub(crate) fn settled(&self) -> Vec<Settled> {
        self.told.settled.lock().clone()
    }

    /// For how long mails were put off that were not tried.
    pub(crate) fn put_off(&self) -> Vec<Duration> {
        self.told.put_off.lock().clone()
    }

    /// The state of a stream as it is stored.
    pub(crate) async fn state(&self, stream_id: &str) -> State {
        self.memory.load(stream_id, None).await.unwrap().stream.unwrap().state
    }

    /// The answer that is kept for a request.
    pub(crate) async fn kept(&self, principal: &str, key: &str) -> Option<AnsweredRequest> {
        let (principal, key) = (principal.to_owned(), key.to_owned());
        self.memory.answered(&RequestKey { principal, key }).await.unwrap()
    }

    /// What it was asked for since it was last asked here, where it can be away.
    pub(crate) fn called(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.told.called.lock())
    }

    /// What is found, where states are old or keys are lost.
    fn as_told(&self, Found { closed, mut stream }: Found) -> Found {
        if self.told.has_old_states.load(Ordering::Relaxed) {
            let old = State { json: "what nobody reads".to_owned(), revision: 0 };
            stream = stream.map(|stream| StoredStream { state: old, ..stream });
        }
        if self.told.has_lost_keys.load(Ordering::Relaxed) {
            stream = stream.map(|stream| StoredStream { subject_key: None, ..stream });
        }
        Found { closed, stream }
    }

    fn must_answer(&self, call: &'static str) -> Result<(), StoreError> {
        self.told.called.lock().push(call);
        match self.told.is_away.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)),
            false => Ok(()),
        }
    }
}

impl EventStore for TestStore {
    type Outbox = MemoryOutbox;

    async fn load(&self, stream_id: &str, subject: Option<&str>) -> Result<Found, StoreError> {
        self.must_answer("load")?;
        Ok(self.as_told(self.memory.load(stream_id, subject).await?))
    }

    async fn replace_state(
        &self,
        stream_id: &str,
        version: u64,
        state: &State,
    ) -> Result<bool, StoreError> {
        self.must_answer("replace_state")?;
        self.memory.replace_state(stream_id, version, state).await
    }

    async fn history(&self, stream_id: &str) -> Result<Vec<Event>, StoreError> {
        self.memory.history(stream_id).await
    }

    async fn event_at(&self, stream_id: &str, version: u64) -> Result<Option<Event>, StoreError> {
        self.memory.event_at(stream_id, version).await
    }

    async fn event(&self, event_id: Uuid) -> Result<Option<Event>, StoreError> {
        self.must_answer("event")?;
        self.memory.event(event_id).await
    }

    async fn places(&self, events: &[(String, u64)]) -> Result<Vec<Option<LogPlace>>, StoreError> {
        // Looking up takes its time, as it does in a database.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.memory.places(events).await
    }

    async fn answered(&self, key: &RequestKey) -> Result<Option<AnsweredRequest>, StoreError> {
        self.must_answer("answered")?;
        let answered = self.memory.answered(key).await;
        self.told.requests_meet.attend().await;
        answered
    }

    async fn subject_key(&self, subject: &str) -> Result<Option<Option<[u8; 32]>>, StoreError> {
        self.memory.subject_key(subject).await
    }

    async fn account(&self, value: &ClaimOf, nobody: Nobody<'_>) -> Result<Account, StoreError> {
        self.must_answer("account")?;
        let account = self.memory.account(value, nobody).await?;
        Ok(Account { found: self.as_told(account.found), ..account })
    }

    async fn password_hash(&self, subject: &str) -> Result<Option<String>, StoreError> {
        self.must_answer("password_hash")?;
        self.memory.password_hash(subject).await
    }

    async fn replace_password_hash(
        &self,
        subject: &str,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        self.must_answer("replace_password_hash")?;
        self.memory.replace_password_hash(subject, old, new).await
    }

    async fn second_factor(&self, subject: &str) -> Result<Option<SecondFactor>, StoreError> {
        self.must_answer("second_factor")?;
        self.memory.second_factor(subject).await
    }

    async fn use_second_factor(
        &self,
        subject: &str,
        sealed_secret: &[u8],
        used: UsedCode,
    ) -> Result<bool, StoreError> {
        self.must_answer("use_second_factor")?;
        self.memory.use_second_factor(subject, sealed_secret, used).await
    }

    async fn append(&self, append: Append) -> Result<(), AppendError> {
        self.told.appends_meet.attend().await;
        self.must_answer("append")?;
        self.memory.append(append).await?;
        match self.told.silent_appends.fetch_sub(1, Ordering::Relaxed) {
            1.. => Err(StoreError::Unknown(sqlx::Error::PoolClosed).into()),
            _ => Ok(()),
        }
    }

    async fn answer(&self, request: NewRequest) -> Result<(), AppendError> {
        self.must_answer("answer")?;
        self.memory.answer(request).await
    }

    async fn forget(&self, older_than: Duration) -> Result<u64, StoreError> {
        self.memory.forget(older_than).await
    }

    async fn keep_mail_for_holder(
        &self,
        id: Uuid,
        kind: &'static str,
        value: ClaimOf,
        good_for: Duration,
    ) -> Result<(), StoreError> {
        self.must_answer("keep_mail_for_holder")?;
        self.memory.keep_mail_for_holder(id, kind, value, good_for).await
    }

    async fn keep_registration(&self, registration: NewRegistration) -> Result<(), AppendError> {
        self.must_answer("keep_registration")?;
        if self.told.is_of_another_key.load(Ordering::Relaxed) {
            return Err(Closed::OtherKey.into());
        }
        self.memory.keep_registration(registration).await
    }

    async fn pending_registration(
        &self,
        id: Uuid,
    ) -> Result<Option<PendingRegistration>, StoreError> {
        self.must_answer("pending_registration")?;
        self.memory.pending_registration(id).await
    }

    async fn due_mails(&self, at_once: u32, lease: Duration) -> Result<Vec<DueMail>, StoreError> {
        self.must_answer("due_mails")?;
        self.memory.due_mails(at_once, lease).await
    }

    async fn mails_beside(&self, mail: &DueMail) -> Result<MailsBeside, StoreError> {
        self.must_answer("mails_beside")?;
        self.memory.mails_beside(mail).await
    }

    async fn settle_mail(&self, id: Uuid, outcome: Settled) -> Result<(), StoreError> {
        if self.told.unsettled.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut));
        }
        self.memory.settle_mail(id, outcome).await?;
        self.told.settled.lock().push(outcome);
        Ok(())
    }

    async fn put_off_mail(&self, id: Uuid, wait: Duration) -> Result<(), StoreError> {
        self.memory.put_off_mail(id, wait).await?;
        self.told.put_off.lock().push(wait);
        Ok(())
    }

    async fn own_outbox(&self) -> Result<Option<MemoryOutbox>, StoreError> {
        self.memory.own_outbox().await
    }
}
