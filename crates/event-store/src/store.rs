//! What a store does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::append::{Append, AppendError, Closed, State};
use crate::beside::{DueMail, MailsBeside};
use crate::claim::ClaimOf;
use crate::event::{Event, LogPlace};
use crate::pending_registration::{NewRegistration, PendingRegistration};
use crate::request::{AnsweredRequest, NewRequest, RequestKey};
use crate::second_factor::{SecondFactor, UsedCode};

/// Where a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStream {
    /// The version of its last event.
    pub version: u64,
    /// The identity of its last event.
    pub last_event_id: uuid::Uuid,
    /// The fold of its events.
    pub state: State,
    /// The key of the person that was asked for with it; `None` where there is none, or no more.
    pub subject_key: Option<[u8; 32]>,
}

/// A stream as it was found, and whether anything may be decided on that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Why nothing may: also that there is no such stream, or that a command is refused by it, is then
    /// nothing to tell.
    pub closed: Option<Closed>,
    /// Where the stream stands; `None` where it has no event.
    pub stream: Option<StoredStream>,
}

/// Whoever has a value, all of one moment. Never printed.
pub struct Account {
    /// The stream that has it; `None` where none has.
    pub holder: Option<String>,
    /// That stream with the person's key; where there is none, the one that was looked for in its place.
    pub found: Found,
    /// The hash of the person's password, as a PHC string; `None` where there is none, or no more.
    pub password_hash: Option<String>,
}

/// What is looked for where nobody has a value, so that as much is looked up as of somebody.
#[derive(Debug, Clone, Copy)]
pub struct Nobody<'a> {
    /// How streams of persons begin; behind it stands the subject.
    pub prefix: &'a str,
    /// A subject that is nobody.
    pub subject: &'a str,
}

/// Why the store did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, or is busy; nothing was written.
    #[error("the event store does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// It did not say what became of a commit.
    #[error("whether the decision was stored is unknown")]
    Unknown(#[source] sqlx::Error),
    /// Tables, rights or the program are not what they must be.
    #[error("the event store is not as this program needs it")]
    Fault(#[source] sqlx::Error),
}

/// A store of decisions.
pub trait EventStore: Clone + Send + Sync + 'static {
    /// The outbox, as its only owner has it.
    type Outbox: Outbox;

    /// Where a stream stands, with a person's key.
    fn load(
        &self,
        stream_id: &str,
        subject: Option<&str>,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// Puts a state that was folded anew in place of one of an older revision, if the stream still stands at this
    /// version: it is no decision. Returns whether it did. Where the store does not say, it may have done so, which
    /// does no harm.
    fn replace_state(
        &self,
        stream_id: &str,
        version: u64,
        state: &State,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The events of a stream, from the first.
    fn history(
        &self,
        stream_id: &str,
    ) -> impl Future<Output = Result<Vec<Event>, StoreError>> + Send;

    /// The event of this version.
    fn event_at(
        &self,
        stream_id: &str,
        version: u64,
    ) -> impl Future<Output = Result<Option<Event>, StoreError>> + Send;

    /// The event of this identity.
    fn event(
        &self,
        event_id: uuid::Uuid,
    ) -> impl Future<Output = Result<Option<Event>, StoreError>> + Send;

    /// Where the log holds these events (stream and version), in the same order.
    fn places(
        &self,
        events: &[(String, u64)],
    ) -> impl Future<Output = Result<Vec<Option<LogPlace>>, StoreError>> + Send;

    /// The answer to a request that was answered before.
    fn answered(
        &self,
        key: &RequestKey,
    ) -> impl Future<Output = Result<Option<AnsweredRequest>, StoreError>> + Send;

    /// A person's key; `Some(None)` where it was destroyed.
    fn subject_key(
        &self,
        subject: &str,
    ) -> impl Future<Output = Result<Option<Option<[u8; 32]>>, StoreError>> + Send;

    /// The person who has a value; also where the claim on it has lapsed and nobody else has taken it. By one
    /// statement, whoever has it: what is known of them and their password are of one moment. Of a stream that is no
    /// person's neither key nor hash is found.
    fn account(
        &self,
        value: &ClaimOf,
        nobody: Nobody<'_>,
    ) -> impl Future<Output = Result<Account, StoreError>> + Send;

    /// The hash of a person's password, as a PHC string; `None` where there is none, or no more.
    fn password_hash(
        &self,
        subject: &str,
    ) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;

    /// Puts another hash of the same password in place of one, if that is still the person's: it is no
    /// change of the password and no decision. Returns whether it was. Where the store does not say, it
    /// may have been replaced, which does no harm.
    fn replace_password_hash(
        &self,
        subject: &str,
        old: &str,
        new: &str,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// What is kept of a person's second factor; `None` where there is none, or no more.
    fn second_factor(
        &self,
        subject: &str,
    ) -> impl Future<Output = Result<Option<SecondFactor>, StoreError>> + Send;

    /// Uses up a code of a person's second factor, if that is still the one with this secret and the code was
    /// not used: of several who say the same code at once, to whichever process, one has used it. Returns
    /// whether it was this one. Where the store does not say, it may have been used up.
    fn use_second_factor(
        &self,
        subject: &str,
        sealed_secret: &[u8],
        used: UsedCode,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Appends a decision, all of it or nothing.
    fn append(&self, append: Append) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Keeps the answer to a request that decided nothing.
    ///
    /// # Errors
    /// [`AppendError::Answered`] where it has an answer.
    fn answer(&self, request: NewRequest) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Forgets some answers, and mails that were settled, which are older than this; and, however old,
    /// revocations of access tokens that have all expired, and registrations that wait no more. Returns how many,
    /// 0 once there are no more.
    fn forget(&self, older_than: Duration) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Keeps a mail, without an event that causes it, for the stream that has a value: it is due at once.
    /// Where no stream has it, or not for longer than until now, or where a mail of the kind waits for the
    /// stream already that was asked for less than `good_for` before (as the ids tell, which are of version
    /// 7), a mail that is for nobody and settled is kept in its place, by the same statement: whoever asks is
    /// told by nothing whether there is anybody.
    fn keep_mail_for_holder(
        &self,
        id: uuid::Uuid,
        kind: &'static str,
        value: ClaimOf,
        good_for: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps a registration until somebody has shown that the address is theirs, beside those that wait for the
    /// address already, with its mail, which is due at once. By the same statements whoever has the address: whoever
    /// asks is told by nothing whether there is anybody. A store that was not compared keeps it too: nothing is decided
    /// by it.
    ///
    /// # Errors
    /// [`AppendError::Closed`] where the hash of the address is under another key than those of claims.
    fn keep_registration(
        &self,
        registration: NewRegistration,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// A registration that waits; `None` where there is none of this id, or where it waits no more: its time is over,
    /// somebody has become a user with its address, by it or another one, or whoever had the address was erased.
    fn pending_registration(
        &self,
        id: uuid::Uuid,
    ) -> impl Future<Output = Result<Option<PendingRegistration>, StoreError>> + Send;

    /// Takes over mails that are due, so that nobody else does for `lease`; nor does anybody take over
    /// other mails of their streams meanwhile.
    fn due_mails(
        &self,
        at_once: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<DueMail>, StoreError>> + Send;

    /// What there is beside a mail that was taken over.
    fn mails_beside(
        &self,
        mail: &DueMail,
    ) -> impl Future<Output = Result<MailsBeside, StoreError>> + Send;

    /// What became of a mail: `Ok` with how, or tried again after the wait.
    fn settle_mail(
        &self,
        id: uuid::Uuid,
        outcome: Result<&'static str, Duration>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives back a mail that was taken over and not tried: it is due after the wait, tried as often as
    /// before.
    fn put_off_mail(
        &self,
        id: uuid::Uuid,
        wait: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The outbox, if nobody owns it.
    fn own_outbox(&self) -> impl Future<Output = Result<Option<Self::Outbox>, StoreError>> + Send;
}

/// A run of the store in which the log was not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncompared {
    /// Whether the owner before this one rested: it left nothing under way.
    pub was_rested: bool,
}

/// Behind the last record that is known, by topic and partition.
pub type Ends = BTreeMap<(String, i32), i64>;

/// The outbox in the hands of the one relay that owns it. An error ends the ownership.
pub trait Outbox: Send + 'static {
    /// How the store stands, if the log was not compared in this run of it.
    fn uncompared(&mut self)
    -> impl Future<Output = Result<Option<Uncompared>, StoreError>> + Send;

    /// Nothing is under way, and this owner sends nothing any more.
    fn rest(self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Behind the last record that the store is known to have with all before it. Only marks of an open
    /// store and a comparison that found nothing lacking move it.
    fn published_to(&mut self) -> impl Future<Output = Result<Ends, StoreError>> + Send;

    /// Which of these events of the log are beyond what the store has of their streams, by their place
    /// in the list; without records that an operator passed over. Those that the store has are known to be
    /// published from then on.
    fn lacking(
        &mut self,
        records: &[Event],
    ) -> impl Future<Output = Result<Vec<usize>, StoreError>> + Send;

    /// Takes from the log what the store lacks: like [`EventStore::append`], also while the store is closed.
    /// A value that two streams have taken is that of the later one.
    ///
    /// # Errors
    /// Also [`AppendError::Closed`], where claims were made under another key.
    fn absorb(&mut self, append: Append) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// The log was compared up to these ends and holds so many events that the store lacks: with none it
    /// is open.
    fn compared(
        &mut self,
        ahead: u64,
        ends: &Ends,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// This record is somebody else's and is not compared any more: an operator says so.
    fn pass_over(
        &mut self,
        topic: &str,
        place: LogPlace,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Events that were not published, each stream's in their order, of other streams than these.
    fn unpublished(
        &mut self,
        at_once: u32,
        besides: &[String],
    ) -> impl Future<Output = Result<Vec<Event>, StoreError>> + Send;

    /// Marks events as published, of an open store.
    fn mark(
        &mut self,
        published: &[(Event, LogPlace)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
