//! From the `Authorization` header to the caller.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use tokio::sync::Notify;

use crate::cache::{Cache, hash};
use crate::claims::{ClaimRules, Claims};
use crate::{AccessConfig, Caller, KeySet, Unauthenticated};

/// The longest access token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Verifies access tokens. Shared by all requests of a process.
pub struct Verifier {
    keys: ArcSwap<NumberedKeys>,
    rules: ClaimRules,
    cache: Cache,
    pub(crate) unknown_key: Notify,
}

/// A key set, counted, so that what an older one verified is not believed.
struct NumberedKeys {
    number: u64,
    set: KeySet,
}

impl Verifier {
    /// A verifier with the keys that the configuration holds itself; those of an address come by
    /// [`crate::refresh`].
    pub fn new(config: &AccessConfig) -> Self {
        Self {
            keys: ArcSwap::from_pointee(NumberedKeys { number: 0, set: config.keys.clone() }),
            rules: config.rules.clone(),
            cache: Cache::new(config.cache_entries),
            unknown_key: Notify::new(),
        }
    }

    /// The caller that the request's access token names; `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`Unauthenticated`], which becomes a 401 that tells a forger nothing, or a 503 while there is no key.
    pub fn verify(&self, headers: &HeaderMap, now: i64) -> Result<Arc<Caller>, Unauthenticated> {
        let token = bearer_token(headers)?;
        let hash = hash(token);
        let keys = self.keys.load();
        if let Some(caller) = self.cache.get(&hash, keys.number, now) {
            return Ok(caller);
        }
        if keys.set.is_empty() {
            return Err(Unauthenticated::NoKeys);
        }
        let caller = self.verify_token(token, &keys.set, now);
        if caller == Err(Unauthenticated::UnknownKey) {
            self.unknown_key.notify_one();
        }
        let caller = Arc::new(caller?);
        self.cache.put(hash, keys.number, Arc::clone(&caller), now);
        Ok(caller)
    }

    /// True where there is a key, so that some token can be verified.
    pub fn has_keys(&self) -> bool {
        !self.keys.load().set.is_empty()
    }

    /// Verifies by these keys from now on; true where they differ from those before.
    pub(crate) fn use_keys(&self, set: KeySet) -> bool {
        let before = self.keys.load();
        if before.set.has_same_public_keys(&set) {
            return false;
        }
        self.keys.store(Arc::new(NumberedKeys { number: before.number + 1, set }));
        true
    }

    fn verify_token(
        &self,
        token: &str,
        keys: &KeySet,
        now: i64,
    ) -> Result<Caller, Unauthenticated> {
        let header = decode_header(token).map_err(|_| Unauthenticated::Malformed)?;
        self.must_be_access_token(&header)?;
        let key = keys.find(header.alg, header.kid.as_deref())?;
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
        self.rules.caller(claims, now)
    }

    fn must_be_access_token(&self, header: &Header) -> Result<(), Unauthenticated> {
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
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
