//! The table of keys, as processes and tools reach it.
//!
//! Whoever changes it holds one lock, so that changes follow one another, and tells of it on the channel on
//! which verifiers listen for public keys.

use std::time::Duration;

use domain::Timestamp;
use event_store::claim::Digest;
use read_models::database::{DatabaseConfig, event_store_schema, identity_schema};
use settings::changed_channel;
use sqlx::postgres::{PgConnection, PgListener};
use sqlx::{ConnectOptions as _, Connection as _, Postgres, Transaction};

use super::key::{Key, PrivateKey, PublicKey, kid_of};
use super::published::Keys;
use super::sealing::SealingKey;
use crate::Config;
use crate::database::{CONNECT_TIMEOUT, LIMITS};

/// What a notice of these keys says; others of its channel say something else, or nothing.
pub(super) const CHANGED: &str = "signing-keys";

/// Most keys that are published at once: a verifier has to hold all of them.
const MOST_KEYS: i64 = 32;

/// By this name operators see the sessions in `pg_stat_activity`.
const NAME: &str = "command-api signing keys";

/// Where the keys are kept, and what opens them.
#[derive(Clone)]
pub(crate) struct KeyTable {
    database: DatabaseConfig,
    /// The Postgres schema of the table.
    schema: String,
    sealing: SealingKey,
    /// What the key of claims is known by that our secret makes.
    claim_key: Digest,
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotateError {
    /// As many are published as may be.
    #[error("{MOST_KEYS} keys are published already; wait until older ones lapse, or revoke some")]
    TooMany,
    /// The database did not do it, or its answer was lost.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Why no key was revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeError {
    /// Whoever decides here has another secret.
    #[error(
        "the event store knows another MILLRACE_TOKEN_SECRET: what looks as if nobody could open it may be what \
         others sign with"
    )]
    OtherSecret,
    /// The database did not do it, or its answer was lost.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What came of revoking a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RevokedKey {
    /// No key has this name.
    Unknown,
    /// It is published no more; another one signs.
    Gone,
    /// The same, and since no other one would have signed, a new one of this name does from now on.
    Replaced(String),
}

/// A row: name, public part, sealed private part, microseconds since 1970 from which it signs.
type Row = (String, Vec<u8>, Vec<u8>, i64);

/// The newest where somebody has written more by hand than there may be.
const READ: &str = "
    SELECT kid, public_key, sealed_private_key,
           (extract(epoch FROM signs_from) * 1000000)::bigint
    FROM signing_keys ORDER BY signs_from DESC, kid DESC LIMIT $1";

/// Asked last: by it every key that was read and signs at once has begun to.
const READ_TIME: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Whether the event store has claims under another secret. Nothing is known before it was opened.
const IS_OTHERS: &str = "SELECT coalesce(claim_key <> $1, false) FROM standing";

const INSERT: &str = "
    INSERT INTO signing_keys (kid, public_key, sealed_private_key, signs_from)
    VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 second')";

impl KeyTable {
    /// The table of a deployment.
    pub(crate) fn new(config: &Config) -> Self {
        let schema = identity_schema(&config.prefix);
        let both = format!("{schema}, {}", event_store_schema(&config.prefix));
        let database = DatabaseConfig { schema: both, ..config.database.clone() };
        let claim_key = config.decisions.claim_key.fingerprint();
        Self { database, schema, sealing: config.access_tokens.sealing.clone(), claim_key }
    }

    /// A session for a tool.
    pub(crate) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.database.session(NAME, LIMITS).connect().await
    }

    /// A session that hears of changes. It has a pool to itself: where it hangs, the next one does not wait
    /// for it.
    pub(super) async fn listen(&self) -> Result<PgListener, sqlx::Error> {
        let pool = self.database.pool(NAME, LIMITS, 1, CONNECT_TIMEOUT);
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(&self.channel()).await?;
        Ok(listener)
    }

    /// Every key.
    pub(crate) async fn read(&self, connection: &mut PgConnection) -> Result<Keys, sqlx::Error> {
        let rows: Vec<Row> =
            sqlx::query_as(READ).bind(MOST_KEYS).fetch_all(&mut *connection).await?;
        let read_at: i64 = sqlx::query_scalar(READ_TIME).fetch_one(connection).await?;
        let keys = rows.into_iter().filter_map(|row| self.key(row)).collect();
        Ok(Keys::new(keys, Timestamp(read_at)))
    }

    /// Makes the first key, which signs at once, or takes away those that have lapsed. Of several processes
    /// that do so at once, one does it. A process with another secret than the others does nothing: for it,
    /// theirs have lapsed. False then.
    pub(super) async fn keep(
        &self,
        connection: &mut PgConnection,
        hold: Duration,
    ) -> Result<bool, sqlx::Error> {
        let mut transaction = self.locked(connection).await?;
        if self.is_others(&mut transaction).await? {
            return Ok(false);
        }
        let keys = self.read(&mut transaction).await?;
        if keys.all().is_empty() {
            let kid = self.insert(&mut transaction, Duration::ZERO).await?;
            tracing::info!(kid, "the first signing key is made");
        }
        let lapsed = keys.lapsed_at(keys.read_at(), hold);
        if !lapsed.is_empty() {
            tracing::info!(kids = lapsed.join(" "), "signing keys have lapsed");
            self.delete(&mut transaction, lapsed).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Makes a key that signs once it was published for so long, and names it.
    ///
    /// # Errors
    /// [`RotateError`]
    pub(crate) async fn rotate(
        &self,
        connection: &mut PgConnection,
        lead: Duration,
    ) -> Result<String, RotateError> {
        let mut transaction = self.locked(connection).await?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM signing_keys")
            .fetch_one(&mut *transaction)
            .await?;
        if count >= MOST_KEYS {
            return Err(RotateError::TooMany);
        }
        let kid = self.insert(&mut transaction, lead).await?;
        transaction.commit().await?;
        Ok(kid)
    }

    /// Takes a key away, so that nothing it signed is taken any more.
    ///
    /// # Errors
    /// [`RevokeError`]
    pub(crate) async fn revoke(
        &self,
        connection: &mut PgConnection,
        kid: &str,
    ) -> Result<RevokedKey, RevokeError> {
        let mut transaction = self.locked(connection).await?;
        if self.is_others(&mut transaction).await? {
            return Err(RevokeError::OtherSecret);
        }
        if self.delete(&mut transaction, vec![kid.to_owned()]).await? == 0 {
            return Ok(RevokedKey::Unknown);
        }
        let left = self.read(&mut transaction).await?;
        let revoked = if left.signer_at(left.read_at()).is_some() {
            RevokedKey::Gone
        } else {
            RevokedKey::Replaced(self.insert(&mut transaction, Duration::ZERO).await?)
        };
        transaction.commit().await?;
        Ok(revoked)
    }

    /// A transaction that nobody else changes the keys beside.
    async fn locked<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, sqlx::Error> {
        let mut transaction = connection.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("{} signing keys", self.schema))
            .execute(&mut *transaction)
            .await?;
        Ok(transaction)
    }

    async fn is_others(&self, transaction: &mut PgConnection) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(IS_OTHERS).bind(&self.claim_key[..]).fetch_one(transaction).await
    }

    async fn insert(
        &self,
        transaction: &mut PgConnection,
        lead: Duration,
    ) -> Result<String, sqlx::Error> {
        let private = PrivateKey::generate();
        let public = private.public();
        let kid = kid_of(&public);
        sqlx::query(INSERT)
            .bind(&kid)
            .bind(public.to_vec())
            .bind(self.sealing.seal(&kid, &private))
            .bind(lead.as_secs_f64())
            .execute(&mut *transaction)
            .await?;
        self.tell(transaction).await?;
        Ok(kid)
    }

    async fn delete(
        &self,
        transaction: &mut PgConnection,
        kids: Vec<String>,
    ) -> Result<u64, sqlx::Error> {
        let deleted = sqlx::query("DELETE FROM signing_keys WHERE kid = ANY($1)")
            .bind(kids)
            .execute(&mut *transaction)
            .await?;
        self.tell(transaction).await?;
        Ok(deleted.rows_affected())
    }

    /// Heard after the commit.
    async fn tell(&self, transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(self.channel())
            .bind(CHANGED)
            .execute(transaction)
            .await
            .map(drop)
    }

    fn channel(&self) -> String {
        changed_channel(&self.schema)
    }

    /// A key whose private part is of another pair, or has another name, is as one that cannot be opened.
    fn key(&self, (kid, public, sealed, signs_from): Row) -> Option<Key> {
        let public: PublicKey = public.try_into().ok()?;
        let private = self.sealing.open(&kid, &sealed);
        let private = private.filter(|key| key.public() == public && kid_of(&public) == kid);
        Some(Key { kid, public, signs_from: Timestamp(signs_from), private })
    }
}

#[cfg(test)]
mod tests {
    use settings::{Prefix, Settings};

    use super::*;

    fn table(sealing: SealingKey) -> KeyTable {
        let url = ("DATABASE_URL".to_owned(), "postgres://u:p@h/d".to_owned());
        let mut settings = Settings::new([url]);
        let database = DatabaseConfig::from_settings(&mut settings, &Prefix::default());
        KeyTable { database, schema: "t_identity".to_owned(), sealing, claim_key: [0; 32] }
    }

    fn row(sealing: &SealingKey, kid: &str, private: &PrivateKey) -> Row {
        (kid.to_owned(), private.public().to_vec(), sealing.seal(kid, private), 7)
    }

    #[test]
    fn a_row_is_a_key_that_signs_where_all_of_it_belongs_together() {
        let sealing = SealingKey::derive(b"a secret");
        let (private, other) = (PrivateKey::generate(), PrivateKey::generate());
        let kid = kid_of(&private.public());
        let can_sign =
            |table: &KeyTable, row| table.key(row).is_some_and(|key| key.private.is_some());
        let ours = table(sealing.clone());
        assert!(can_sign(&ours, row(&sealing, &kid, &private)));
        assert!(!can_sign(&ours, row(&sealing, "another name", &private)));
        assert!(!can_sign(&ours, row(&sealing, &kid, &other)));
        let (kid_of_row, public, _, from) = row(&sealing, &kid, &private);
        assert!(!can_sign(&ours, (kid_of_row, public, sealing.seal(&kid, &other), from)));
        let theirs = table(SealingKey::derive(b"another secret"));
        assert!(!can_sign(&theirs, row(&sealing, &kid, &private)));
        assert!(theirs.key(row(&sealing, &kid, &private)).is_some(), "it is published");
    }

    #[test]
    fn deployments_hear_of_their_own_keys_alone() {
        assert_eq!(table(SealingKey::derive(b"a secret")).channel(), "t_identity_changed");
    }
}
