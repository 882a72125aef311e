//! Keeps what a process knows of the keys up to date, and the table in order.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use domain::Timestamp;
use lifecycle::Component;
use sqlx::Acquire as _;
use sqlx::postgres::PgListener;
use telemetry::{SecurityEvent, SecurityEventName};
use tokio::time::{sleep, timeout};

use super::SigningKeys;
use super::published::Keys;
use super::table::{CHANGED, KeyTable};
use crate::decision::now;

/// Between two looks at the table, where nobody tells of a change.
const EVERY: Duration = Duration::from_secs(5);

/// Longest time of a look.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a look failed. What was read before goes on signing.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("the database does not say which signing keys there are")]
    Database(#[from] sqlx::Error),
    #[error("the database did not say within {PATIENCE:?} which signing keys there are")]
    TooSlow,
}

struct Watching {
    table: KeyTable,
    keys: SigningKeys,
    /// For how long a key is published after another one took over.
    hold: Duration,
    listener: Option<PgListener>,
    told: Told,
}

/// What was logged already.
#[derive(Default)]
struct Told {
    failure: String,
    signer: String,
    unopened: BTreeSet<String>,
    /// The names of all keys; `None` before there was a look.
    all: Option<BTreeSet<String>>,
    is_others: bool,
}

/// Reads the keys again and again, and at once when somebody changes them. Makes the first one, and takes away
/// those that have lapsed. Says in `component` whether one signs. Never returns.
pub(crate) async fn watch(
    table: KeyTable,
    keys: SigningKeys,
    hold: Duration,
    component: Component,
) {
    let mut watching = Watching { table, keys, hold, listener: None, told: Told::default() };
    loop {
        watching.look().await;
        watching.tell(&component);
        tokio::select! {
            () = sleep(EVERY) => {}
            () = change(&mut watching.listener) => {}
        }
    }
}

/// Returns when somebody tells of a change; never while nobody listens.
async fn change(listener: &mut Option<PgListener>) {
    while let Some(ears) = listener.as_mut() {
        let heard = ears.try_recv().await;
        match heard {
            Ok(Some(notice)) if notice.payload() == CHANGED => return,
            Ok(Some(_)) => {}
            // The next look connects anew.
            Ok(None) | Err(_) => *listener = None,
        }
    }
    std::future::pending().await
}

impl Watching {
    async fn look(&mut self) {
        let looked = timeout(PATIENCE, self.read()).await;
        match looked.unwrap_or(Err(LookError::TooSlow)) {
            Ok(()) => self.told.failure.clear(),
            Err(error) => {
                self.listener = None;
                self.told.failed(&error);
            }
        }
    }

    async fn read(&mut self) -> Result<(), LookError> {
        let listener = match &mut self.listener {
            Some(listener) => listener,
            None => {
                let listener = self.table.listen().await?;
                self.listener.insert(listener)
            }
        };
        let connection = listener.acquire().await?;
        let keys = self.table.read(connection).await?;
        let is_in_order =
            !keys.all().is_empty() && keys.lapsed_at(keys.read_at(), self.hold).is_empty();
        self.keys.put(keys);
        if !is_in_order {
            let is_ours = self.table.keep(connection, self.hold).await?;
            self.told.whose(is_ours);
            self.keys.put(self.table.read(connection).await?);
        }
        Ok(())
    }

    fn tell(&mut self, component: &Component) {
        let (keys, now) = (self.keys.get(), now());
        match why_none_signs(keys.as_deref(), now) {
            None => component.ready(),
            Some(reason) => component.not_ready(reason),
        }
        if let Some(keys) = keys {
            self.told.of(&keys, now);
        }
    }
}

impl Told {
    fn failed(&mut self, error: &LookError) {
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        let whole = format!("{error}: {source}");
        if self.failure != whole {
            let error = error as &(dyn Error + 'static);
            tracing::warn!(error, "those read before go on signing");
            self.failure = whole;
        }
    }

    fn whose(&mut self, is_ours: bool) {
        if !is_ours && !self.is_others {
            tracing::warn!(
                "the event store knows another MILLRACE_TOKEN_SECRET: no signing key is made or taken away here"
            );
        }
        self.is_others = !is_ours;
    }

    /// Says for the audit which keys came and went, whoever made and took them.
    fn changes(&mut self, keys: &Keys) {
        let all: BTreeSet<String> = keys.all().iter().map(|key| key.kid.clone()).collect();
        if let Some(before) = &self.all {
            for kid in all.difference(before) {
                SecurityEvent::new(SecurityEventName::SigningKeyAdded).of_key(kid).emit();
            }
            for kid in before.difference(&all) {
                SecurityEvent::new(SecurityEventName::SigningKeyRemoved).of_key(kid).emit();
            }
        }
        self.all = Some(all);
    }

    fn of(&mut self, keys: &Keys, now: Timestamp) {
        self.changes(keys);
        for key in keys.all().iter().filter(|key| key.private.is_none()) {
            if self.unopened.insert(key.kid.clone()) {
                let kid = key.kid.as_str();
                tracing::warn!(kid, "a signing key cannot be opened: another secret sealed it");
            }
        }
        self.unopened.retain(|kid| keys.all().iter().any(|key| key.kid == *kid));
        if let Some((kid, _)) = keys.signer_at(now).filter(|(kid, _)| self.signer != *kid) {
            tracing::info!(kid, "this key signs access tokens from now on");
            kid.clone_into(&mut self.signer);
        }
    }
}

/// Why no access token can be signed, in words for operators.
fn why_none_signs(keys: Option<&Keys>, now: Timestamp) -> Option<&'static str> {
    let Some(keys) = keys else { return Some("the signing keys were not read yet") };
    if keys.signer_at(now).is_some() {
        return None;
    }
    let mut begun = keys.all().iter().filter(|key| key.signs_from <= now.max(keys.read_at()));
    Some(match begun.next() {
        Some(_) => {
            "no signing key can be opened: another MILLRACE_SESSION_SECRET sealed them; `command-api keys rotate \
             --at-once` makes a new one"
        }
        None if keys.all().is_empty() => "there is no signing key",
        None => "no signing key signs yet; `command-api keys rotate --at-once` makes one that does",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing_keys::Key;

    fn why(keys: impl IntoIterator<Item = Key>) -> Option<&'static str> {
        let keys = Keys::new(keys.into_iter().collect(), Timestamp(100));
        why_none_signs(Some(&keys), Timestamp(100))
    }

    #[test]
    fn it_is_told_why_nothing_is_signed() {
        let unopened = || Key { private: None, ..Key::generate(Timestamp(1)) };
        assert_eq!(why_none_signs(None, Timestamp(0)), Some("the signing keys were not read yet"));
        assert_eq!(why([]), Some("there is no signing key"));
        assert_eq!(why([Key::generate(Timestamp(100))]), None);
        assert_eq!(why([unopened(), Key::generate(Timestamp(100))]), None);
        let other = why([unopened(), Key::generate(Timestamp(101))]).unwrap_or_default();
        assert!(other.contains("another MILLRACE_SESSION_SECRET sealed them"), "{other}");
        let early = why([Key::generate(Timestamp(101))]).unwrap_or_default();
        assert!(early.starts_with("no signing key signs yet"), "{early}");
    }
}
