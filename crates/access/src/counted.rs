//! Whose quotas a request is counted to.

use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, HeaderMap};
use lifecycle::http::{CallerKeys, LimitKey};

use crate::{Caller, Unauthenticated, Verifier, now};

/// What a request's access token was found to say, for whoever asks next.
#[derive(Clone)]
struct Found(Result<Arc<Caller>, Unauthenticated>);

/// Tells [`lifecycle::http::RateLimits`] who sends a request: the device that its access token is bound to,
/// else the token's subject; nobody where there is no token that is taken. No I/O, and what was found goes
/// with the request to its handler: a forged token costs its signature once.
pub fn counted(
    verifier: Arc<Verifier>,
) -> impl Fn(&mut Parts, &CallerKeys) -> Option<LimitKey> + Send + Sync + 'static {
    move |parts, keys| {
        let caller = find(&verifier, parts).ok()?;
        Some(match &caller.device_id {
            Some(device_id) => keys.device(&caller.issuer, device_id.as_str()),
            None => keys.user(&caller.issuer, &caller.subject),
        })
    }
}

/// Verifies a request's token, and leaves with the request what was found.
pub(crate) fn find(verifier: &Verifier, parts: &mut Parts) -> Result<Arc<Caller>, Unauthenticated> {
    let found = verifier.verify(&parts.headers, now());
    parts.extensions.insert(Found(found.clone()));
    found
}

impl Verifier {
    /// The caller that a request's access token names: as it was found for the quotas, or [verified](Self::verify)
    /// now where nothing is counted.
    ///
    /// # Errors
    /// Those of [`Self::verify`].
    pub fn caller(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Arc<Caller>, Unauthenticated> {
        match extensions.get::<Found>() {
            Some(Found(found)) => found.clone(),
            None => self.verify(headers, now()),
        }
    }
}
