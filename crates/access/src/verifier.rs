//! From the `Authorization` header to the caller.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cache::{Cache, hash};
use crate::claims::{ClaimRules, Claims};
use crate::{AccessConfig, Caller, KeySet, Revocations, Unauthenticated};

/// The longest access token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How many names of keys of ours are remembered, those that were so last: with a new key every day, a year's and more.
const REMEMBERED_OWN: usize = 512;

/// Verifies access tokens. Shared by all requests of a process.
pub struct Verifier {
    keys: ArcSwap<NumberedKeys>,
    sources: Mutex<Sources>,
    rules: ClaimRules,
    cache: Cache,
    revocations: Revocations,
    /// There is an address of keys, and it was never read.
    awaits_key_set: AtomicBool,
    /// Somebody is about to bring the deployment's own keys, and has not yet.
    awaits_own_keys: AtomicBool,
    /// Somebody brings the deployment's own keys and what was revoked, again and again.
    is_watched: AtomicBool,
    pub(crate) unknown_key: Notify,
    pub(crate) keys_changed: Notify,
}

/// A key set, counted, so that what an older one verified is not believed.
struct NumberedKeys {
    number: u64,
    set: KeySet,
    /// Those of `set` that are the deployment's own.
    own: KeySet,
}

/// Where keys come from. Each source is replaced as a whole, and none takes away what another holds.
struct Sources {
    hs256: KeySet,
    /// Those of the file and the address.
    key_set: KeySet,
    /// The deployment's own.
    own: KeySet,
    /// The names of those that are the deployment's own or were. One that was revoked may be read elsewhere for as
    /// long as others remember what we publish.
    were_own: VecDeque<String>,
}

impl Sources {
    /// The keys of all. Nobody gives another key the name of one of ours, or brings one of ours back.
    fn together(&self) -> KeySet {
        let others = self.key_set.clone().without(&self.were_own);
        self.own.clone().and(others).and(self.hs256.clone())
    }

    fn use_own(&mut self, keys: KeySet) {
        for kid in keys.kids() {
            self.were_own.retain(|known| known != kid);
            self.were_own.push_back(kid.to_owned());
        }
        while self.were_own.len() > REMEMBERED_OWN {
            self.were_own.pop_front();
        }
        self.own = keys;
    }

    fn numbered(&self, number: u64) -> NumberedKeys {
        NumberedKeys { number, set: self.together(), own: self.own.clone() }
    }
}

impl Verifier {
    /// A verifier with the keys that the configuration holds itself; those of an address come by
    /// [`crate::refresh`], the deployment's own and what was revoked by [`crate::identity::watch`].
    pub fn new(config: &AccessConfig) -> Self {
        let (hs256, key_set) = (config.hs256.clone(), config.file.clone());
        let (own, were_own) = (KeySet::default(), VecDeque::new());
        let sources = Sources { hs256, key_set, own, were_own };
        Self {
            keys: ArcSwap::from_pointee(sources.numbered(0)),
            sources: Mutex::new(sources),
            rules: config.rules.clone(),
            cache: Cache::new(config.cache_entries),
            revocations: Revocations::new(config.when_unknown),
            awaits_key_set: AtomicBool::new(config.jwks_url.is_some()),
            awaits_own_keys: AtomicBool::new(false),
            is_watched: AtomicBool::new(false),
            unknown_key: Notify::new(),
            keys_changed: Notify::new(),
        }
    }

    /// The caller that the request's access token names; `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`Unauthenticated`], which becomes a 401 that tells a forger nothing, or a 503 while there is no
    /// key, or while it is not known whether the token was revoked.
    pub fn verify(&self, headers: &HeaderMap, now: i64) -> Result<Arc<Caller>, Unauthenticated> {
        let caller = self.believed(bearer_token(headers)?, now)?;
        // Also of a token that was verified before: what is remembered of it is what it says, and not
        // whether it was taken back since.
        if let Some(revocable) = &caller.revocable {
            self.revocations.check(revocable, caller.roles, Instant::now())?;
        }
        Ok(caller)
    }

    /// Whom the token names, if it is one of those that are given out here.
    fn believed(&self, token: &str, now: i64) -> Result<Arc<Caller>, Unauthenticated> {
        let hash = hash(token);
        let keys = self.keys.load();
        if let Some(caller) = self.cache.get(&hash, keys.number, now) {
            return Ok(caller);
        }
        if keys.set.is_empty() {
            return Err(Unauthenticated::NoKeys);
        }
        let caller = self.verify_token(token, &keys, now);
        if caller == Err(Unauthenticated::UnknownKey) {
            self.unknown_key.notify_one();
            // It may be one of ours that was made since.
            if self.awaits_keys() || self.is_cut_off() {
                return Err(Unauthenticated::NoKeys);
            }
        }
        let caller = Arc::new(caller?);
        self.cache.put(hash, keys.number, Arc::clone(&caller), now);
        Ok(caller)
    }

    /// What was revoked, as far as this process knows.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// True where there is a key, so that some token can be verified.
    pub fn has_keys(&self) -> bool {
        !self.keys.load().set.is_empty()
    }

    /// True where there is a key, and no more are awaited.
    pub(crate) fn knows_its_keys(&self) -> bool {
        self.has_keys() && !self.awaits_keys()
    }

    fn awaits_keys(&self) -> bool {
        self.awaits_key_set.load(Ordering::Relaxed) || self.awaits_own_keys.load(Ordering::Relaxed)
    }

    /// Whether whoever brings the deployment's own keys has not been heard of lately.
    fn is_cut_off(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed) && !self.revocations.is_known(Instant::now())
    }

    /// Somebody is about to [watch](crate::identity::watch) for this verifier: until the deployment's own keys
    /// are there, and while it is not known whether there are others, nobody is refused for want of them. To be
    /// said before the first request comes.
    pub fn expect_own_keys(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
        self.awaits_own_keys.store(true, Ordering::Relaxed);
        self.keys_changed.notify_one();
    }

    /// True where there is a key besides the deployment's own.
    pub(crate) fn has_configured_keys(&self) -> bool {
        let sources = self.sources.lock();
        !(sources.hs256.is_empty() && sources.key_set.is_empty())
    }

    /// Takes these for the keys of the file and the address from now on; true where that changes which
    /// keys are believed.
    pub(crate) fn use_key_set(&self, keys: KeySet) -> bool {
        let is_changed = self.replace(|sources| sources.key_set = keys);
        self.have_come(&self.awaits_key_set);
        is_changed
    }

    /// Takes these for the deployment's own keys from now on, and believes none that it was given before
    /// and is not among them, wherever else it is read; true where that changes which keys are believed.
    pub fn use_own_keys(&self, keys: KeySet) -> bool {
        let is_changed = self.replace(|sources| sources.use_own(keys));
        self.have_come(&self.awaits_own_keys);
        is_changed
    }

    /// These are awaited no more, since they are there.
    fn have_come(&self, awaited: &AtomicBool) {
        if awaited.swap(false, Ordering::Relaxed) {
            self.keys_changed.notify_one();
        }
    }

    fn replace(&self, one: impl FnOnce(&mut Sources)) -> bool {
        // Held to the end: two sources that change at once are both believed.
        let mut sources = self.sources.lock();
        one(&mut sources);
        let before = self.keys.load();
        let keys = sources.numbered(before.number + 1);
        let is_same = before.set.has_same_public_keys(&keys.set)
            && before.own.has_same_public_keys(&keys.own);
        if is_same {
            return false;
        }
        self.keys.store(Arc::new(keys));
        self.keys_changed.notify_one();
        true
    }

    fn verify_token(
        &self,
        token: &str,
        keys: &NumberedKeys,
        now: i64,
    ) -> Result<Caller, Unauthenticated> {
        let header = decode_header(token).map_err(|_| Unauthenticated::Malformed)?;
        self.must_be_access_token(&header)?;
        let key = keys.set.find(header.alg, header.kid.as_deref())?;
        let is_of_ours = keys.own.find(header.alg, header.kid.as_deref()).is_ok();
        let mut validation = Validation::new(header.alg);
        // The claims are checked by our own rules, against the time that the caller passes.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims: Claims = decode(token, key, &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => Unauthenticated::WrongSignature,
                ErrorKind::InvalidAlgorithm => Unauthenticated::AlgorithmNotAllowed,
                _ => Unauthenticated::Malformed,
            })?
            .claims;
        if is_of_ours {
            self.rules.caller_of_ours(claims, now)
        } else {
            self.rules.caller(claims, now)
        }
    }

    fn must_be_access_token(&self, header: &Header) -> Result<(), Unauthenticated> {
        let is_encoded = header.enc.is_some()
            || header.zip.is_some()
            || header.extras.inner().contains_key("b64");
        if header.crit.is_some() || is_encoded {
            return Err(Unauthenticated::Malformed);
        }
        let typ = header.typ.as_deref().map(str::to_ascii_lowercase);
        match typ.as_deref() {
            Some("at+jwt" | "application/at+jwt") => Ok(()),
            // What common libraries write unless told otherwise.
            None | Some("jwt") if self.rules.may_be_absent => Ok(()),
            _ => Err(Unauthenticated::WrongClaim("typ")),
        }
    }
}

fn bearer_token(headers: &HeaderMap) -> Result<&str, Unauthenticated> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Unauthenticated::Missing)?;
    if values.next().is_some() {
        return Err(Unauthenticated::NotBearer);
    }
    let text = value.to_str().map_err(|_| Unauthenticated::NotBearer)?;
    let (scheme, token) = text.split_once(' ').ok_or(Unauthenticated::NotBearer)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Unauthenticated::NotBearer);
    }
    let token = token.trim_matches(' ');
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Unauthenticated::TooLong);
    }
    Ok(token)
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("keys", &self.keys.load().set).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ours_last_is_remembered_and_not_without_end() {
        let key = |kid: &str| KeySet::from_public_keys([(kid.to_owned(), [1; 32])]);
        let mut sources = Sources {
            hs256: KeySet::default(),
            key_set: key("old").and(key("late")),
            own: KeySet::default(),
            were_own: VecDeque::new(),
        };
        // A key that stays is not forgotten for all those that come and go beside it.
        for number in 0..REMEMBERED_OWN {
            sources.use_own(key("old").and(key(&number.to_string())));
        }
        assert_eq!(sources.were_own.len(), REMEMBERED_OWN);
        sources.use_own(key("late"));
        assert_eq!(sources.together().kids().collect::<Vec<_>>(), ["late"]);
        sources.use_own(KeySet::default());
        assert!(sources.together().is_empty());
        assert_eq!(sources.were_own.len(), REMEMBERED_OWN);
    }
}
