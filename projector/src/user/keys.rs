//! The keys that persons' fields are opened with.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;

use domain::user::{UserEvent, UserId};
use event_schema::personal::{Sealed, SubjectKey};
use read_models::recorded::Recorded;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::UserStreamEvent;

/// Where the keys are. What belongs to persons is in a schema of its own, which is named: on nobody's
/// search path it is not found by accident.
#[derive(Debug, Clone)]
pub(super) struct SubjectKeys {
    find_and_lock: String,
}

impl SubjectKeys {
    pub(super) fn in_schema(identity: &str) -> Self {
        let find_and_lock = format!(
            "SELECT subject, key FROM {identity}.subject_keys
             WHERE subject = ANY($1) ORDER BY subject FOR SHARE"
        );
        Self { find_and_lock }
    }

    /// The keys of those of whom the batch brings something sealed, locked until the transaction ends:
    /// nobody is erased meanwhile. Whose key is gone is missing.
    pub(super) async fn lock(
        &self,
        transaction: &mut PgConnection,
        batch: &[&Recorded<UserStreamEvent>],
    ) -> Result<HashMap<Uuid, SubjectKey>, sqlx::Error> {
        let sealed = batch
            .iter()
            .map(|record| record.event.decided())
            .filter(|decided| holds_sealed(&decided.event));
        let subjects: BTreeSet<Uuid> = sealed.map(|decided| decided.aggregate_id).collect();
        if subjects.is_empty() {
            return Ok(HashMap::new());
        }
        let subjects: Vec<String> = subjects.into_iter().map(|id| UserId(id).to_string()).collect();
        let found: Vec<(String, Option<Vec<u8>>)> =
            sqlx::query_as(AssertSqlSafe(self.find_and_lock.clone()))
                .bind(subjects)
                .fetch_all(transaction)
                .await?;
        let mut keys = HashMap::with_capacity(found.len());
        for (subject, key) in found {
            let (Ok(UserId(id)), Some(key)) = (UserId::parse(&subject), key) else { continue };
            let bytes = <[u8; SubjectKey::LENGTH]>::try_from(key)
                .map_err(|_| sqlx::Error::Decode("a subject's key has another length".into()))?;
            keys.insert(id, SubjectKey::from_bytes(bytes));
        }
        Ok(keys)
    }
}

/// Whether there is anything to open.
fn holds_sealed(event: &UserEvent<Sealed>) -> bool {
    let mut is_any = false;
    let _ = event.clone().map(&mut |_, _| {
        is_any = true;
        Ok::<(), Infallible>(())
    });
    is_any
}
