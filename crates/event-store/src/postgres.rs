//! The store in Postgres: the tables of `migrations/event-store` and `migrations/identity`.

mod append;
mod claims;
mod forget;
mod mails;
mod outbox;
mod passwords;
mod pending_registrations;
mod read;
mod revocations;
mod rows;
mod second_factors;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool};
use sqlx::{ConnectOptions as _, Transaction};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::append::{Append, AppendError, State};
use crate::beside::{Beside, DueMail, MailsBeside};
use crate::claim::{ClaimKey, ClaimOf, Digest};
use crate::event::{Event, LogPlace};
use crate::pending_registration::{NewRegistration, PendingRegistration};
use crate::publications::Publications;
use crate::request::{AnsweredRequest, NewRequest, RequestKey};
use crate::second_factor::{SecondFactor, UsedCode};
use crate::store::{Account, EventStore, Found, Nobody, StoreError};
use outbox::Channels;

pub use outbox::PostgresOutbox;

/// Notices of the database: something was appended; something was published.
const APPENDED: &str = "millrace_appended";
const PUBLISHED: &str = "millrace_published";

/// Between two notices of what was appended: several appends share one.
const NOTICE_EVERY: Duration = Duration::from_millis(2);

/// The store in Postgres. Clones are the same.
#[derive(Clone)]
pub struct Postgres(Arc<Shared>);

struct Shared {
    pool: PgPool,
    /// Sessions of the outbox's owner: it holds its lock for as long as it lives.
    owner: PgConnectOptions,
    /// Distinguishes deployments that share a database.
    lock: i64,
    /// The channel on which is told whose access tokens are taken.
    changed: String,
    /// The session of a process that waits until the owner ends.
    waiting: Mutex<Option<PgConnection>>,
    claim_key: Digest,
    /// Something was appended by this process, and is published by another one.
    appended: Notify,
    /// Held by the outbox too, while this process owns it.
    ownership: Arc<()>,
    /// The relay of this process is to look at the outbox.
    wake: Arc<Notify>,
    /// A mail of this process is due.
    mail_wake: Arc<Notify>,
}

impl Postgres {
    /// A store whose sessions find its tables by their search path; those of `owner` have no limit on
    /// how long they idle. `deployment` is the deployment's prefix, `identity_schema` the schema of what
    /// belongs to persons.
    pub fn new(
        pool: PgPool,
        owner: PgConnectOptions,
        deployment: &str,
        identity_schema: &str,
        claim_key: &ClaimKey,
    ) -> Self {
        let lock = outbox_lock(deployment);
        Self(Arc::new(Shared {
            pool,
            owner,
            lock,
            changed: settings::changed_channel(identity_schema),
            waiting: Mutex::default(),
            claim_key: claim_key.fingerprint(),
            appended: Notify::new(),
            ownership: Arc::default(),
            wake: Arc::default(),
            mail_wake: Arc::default(),
        }))
    }

    /// Woken when something was appended, by whichever process.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.0.wake)
    }

    /// Woken when this process has caused a mail.
    pub fn mail_wake(&self) -> Arc<Notify> {
        Arc::clone(&self.0.mail_wake)
    }

    /// Tells another process's relay of what this one appends, unless the relay that publishes it is its own. Never
    /// returns.
    pub async fn tell_appended(&self) {
        loop {
            self.0.appended.notified().await;
            // A notice that is lost costs a relay's second look, nothing more.
            let _ = sqlx::query("SELECT pg_notify($1, '')")
                .bind(self.channel(APPENDED))
                .execute(&self.0.pool)
                .await;
            tokio::time::sleep(NOTICE_EVERY).await;
        }
    }

    /// Hears what other processes append and publish. Never returns.
    pub async fn hear(&self, publications: &Publications) {
        loop {
            if let Ok(mut listener) = PgListener::connect_with(&self.0.pool).await {
                let (appended, published) = (self.channel(APPENDED), self.channel(PUBLISHED));
                if listener.listen_all([appended.as_str(), published.as_str()]).await.is_ok() {
                    // What was said before somebody listened.
                    self.0.wake.notify_one();
                    publications.stirred();
                    while let Ok(notice) = listener.recv().await {
                        if notice.channel() == appended {
                            self.0.wake.notify_one();
                        } else {
                            publications.stirred();
                        }
                    }
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// A session that takes from the log what the store lacks, beside whoever owns the outbox: nothing
    /// is decided meanwhile, and each append says which version it was made on.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn repairing(&self) -> Result<PostgresOutbox, StoreError> {
        let channels = self.channels();
        PostgresOutbox::beside(&self.0.owner, channels, self.0.claim_key).await.map_err(failed)
    }

    /// Deployments that share a database hear each other's notices and learn nothing from them; the lock
    /// keeps them apart.
    fn channel(&self, name: &str) -> String {
        format!("{name}_{:x}", self.0.lock.cast_unsigned())
    }

    fn channels(&self) -> Channels {
        Channels { published: self.channel(PUBLISHED), changed: self.0.changed.clone() }
    }
}

fn outbox_lock(deployment: &str) -> i64 {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(format!("millrace outbox {deployment}"));
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(first)
}

impl EventStore for Postgres {
    type Outbox = PostgresOutbox;

    async fn load(&self, stream_id: &str, subject: Option<&str>) -> Result<Found, StoreError> {
        read::stream(&self.0.pool, stream_id, subject, &self.0.claim_key).await.map_err(failed)
    }

    async fn replace_state(
        &self,
        stream_id: &str,
        version: u64,
        state: &State,
    ) -> Result<bool, StoreError> {
        stream::replace_state(&self.0.pool, stream_id, version, state).await.map_err(failed)
    }

    async fn history(&self, stream_id: &str) -> Result<Vec<Event>, StoreError> {
        read::history(&self.0.pool, stream_id).await.map_err(failed)
    }

    async fn event_at(&self, stream_id: &str, version: u64) -> Result<Option<Event>, StoreError> {
        read::event_at(&self.0.pool, stream_id, version).await.map_err(failed)
    }

    async fn event(&self, event_id: Uuid) -> Result<Option<Event>, StoreError> {
        read::event(&self.0.pool, event_id).await.map_err(failed)
    }

    async fn places(&self, events: &[(String, u64)]) -> Result<Vec<Option<LogPlace>>, StoreError> {
        read::places(&self.0.pool, events).await.map_err(failed)
    }

    async fn answered(&self, key: &RequestKey) -> Result<Option<AnsweredRequest>, StoreError> {
        read::answered(&self.0.pool, key).await.map_err(failed)
    }

    async fn subject_key(&self, subject: &str) -> Result<Option<Option<[u8; 32]>>, StoreError> {
        read::subject_key(&self.0.pool, subject).await.map_err(failed)
    }

    async fn account(&self, value: &ClaimOf, nobody: Nobody<'_>) -> Result<Account, StoreError> {
        read::account(&self.0.pool, value, nobody, &self.0.claim_key).await.map_err(failed)
    }

    async fn password_hash(&self, subject: &str) -> Result<Option<String>, StoreError> {
        passwords::hash(&self.0.pool, subject).await.map_err(failed)
    }

    async fn replace_password_hash(
        &self,
        subject: &str,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        passwords::replace_hash(&self.0.pool, subject, old, new).await.map_err(failed)
    }

    async fn second_factor(&self, subject: &str) -> Result<Option<SecondFactor>, StoreError> {
        second_factors::find(&self.0.pool, subject).await.map_err(failed)
    }

    async fn use_second_factor(
        &self,
        subject: &str,
        sealed_secret: &[u8],
        used: UsedCode,
    ) -> Result<bool, StoreError> {
        let using = second_factors::use_up(&self.0.pool, subject, sealed_secret, used);
        using.await.map_err(failed)
    }

    async fn append(&self, append: Append) -> Result<(), AppendError> {
        append::append(&self.0.pool, &append, &self.0.claim_key, &self.0.changed).await?;
        self.0.wake.notify_one();
        let is_owner = Arc::strong_count(&self.0.ownership) > 1;
        if !is_owner {
            self.0.appended.notify_one();
        }
        if append.beside.iter().any(|beside| matches!(beside, Beside::Mail { .. })) {
            self.0.mail_wake.notify_one();
        }
        Ok(())
    }

    async fn answer(&self, request: NewRequest) -> Result<(), AppendError> {
        append::answer(&self.0.pool, &request).await
    }

    async fn forget(&self, older_than: Duration) -> Result<u64, StoreError> {
        forget::forget(&self.0.pool, older_than).await.map_err(failed)
    }

    async fn keep_mail_for_holder(
        &self,
        id: Uuid,
        kind: &'static str,
        value: ClaimOf,
        good_for: Duration,
    ) -> Result<(), StoreError> {
        let keeping = mails::for_holder(&self.0.pool, id, kind, value, good_for);
        keeping.await.map_err(failed)?;
        self.0.mail_wake.notify_one();
        Ok(())
    }

    async fn keep_registration(&self, registration: NewRegistration) -> Result<(), AppendError> {
        let Shared { pool, claim_key, .. } = &*self.0;
        pending_registrations::keep(pool, &registration, claim_key).await?;
        self.0.mail_wake.notify_one();
        Ok(())
    }

    async fn pending_registration(
        &self,
        id: Uuid,
    ) -> Result<Option<PendingRegistration>, StoreError> {
        pending_registrations::find(&self.0.pool, id).await.map_err(failed)
    }

    async fn due_mails(&self, at_once: u32, lease: Duration) -> Result<Vec<DueMail>, StoreError> {
        mails::due(&self.0.pool, at_once, lease).await.map_err(failed)
    }

    async fn mails_beside(&self, mail: &DueMail) -> Result<MailsBeside, StoreError> {
        mails::beside(&self.0.pool, mail).await.map_err(failed)
    }

    async fn settle_mail(
        &self,
        id: Uuid,
        outcome: Result<&'static str, Duration>,
    ) -> Result<(), StoreError> {
        mails::settle(&self.0.pool, id, outcome).await.map_err(failed)
    }

    async fn put_off_mail(&self, id: Uuid, wait: Duration) -> Result<(), StoreError> {
        mails::put_off(&self.0.pool, id, wait).await.map_err(failed)
    }

    async fn own_outbox(&self) -> Result<Option<PostgresOutbox>, StoreError> {
        // Taken out: a session that an error or a cancelled wait leaves in any state is not used again.
        let waiting = self.0.waiting.lock().take();
        let session = match waiting {
            Some(session) => session,
            None => self.0.owner.connect().await.map_err(failed)?,
        };
        let channels = self.channels();
        match PostgresOutbox::own(session, self.0.lock, channels, self.0.claim_key).await {
            Ok(Ok(outbox)) => Ok(Some(outbox.holding(&self.0.ownership))),
            Ok(Err(session)) => {
                *self.0.waiting.lock() = Some(session);
                Ok(None)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Begins a transaction, to the end also where nobody waits for it any more. The library knows of a transaction once the
/// server has said so: a session whose caller has gone before that would come back to the pool within one that nobody ends,
/// and what is written there next would be told as done and rolled back later (sqlx issue 4393).
async fn begin(pool: &PgPool) -> Result<Transaction<'static, sqlx::Postgres>, sqlx::Error> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin().await }).await;
    begun.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// A failure of a statement outside a commit: nothing was written.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if is_passing(&code) {
                StoreError::Unavailable(error)
            } else {
                StoreError::Fault(error)
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed => StoreError::Unavailable(error),
        _ => StoreError::Fault(error),
    }
}

/// Codes that another attempt may not meet: contention, read-only, and classes of connections, resources,
/// and operators' interventions (Postgres manual, appendix A).
fn is_passing(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "55P03" | "57014" | "25006" | "25P03" | "25P04")
        || matches!(code.get(..2), Some("08" | "28" | "53" | "57" | "58" | "3D" | "XX"))
}
