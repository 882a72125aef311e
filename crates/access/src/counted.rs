//! Whose quotas a request is counted to.

use std::sync::Arc;

use http::HeaderMap;
use lifecycle::http::{CallerKeys, LimitKey};

use crate::{Verifier, now};

/// Tells [`lifecycle::http::RateLimits`] who sends a request: the device that its access token is bound to,
/// else the token's subject; nobody where there is no token that is taken. No I/O, and what was verified is
/// remembered for the handler, which asks again.
pub fn counted(
    verifier: Arc<Verifier>,
) -> impl Fn(&HeaderMap, &CallerKeys) -> Option<LimitKey> + Send + Sync + 'static {
    move |headers, keys| {
        let caller = verifier.verify(headers, now()).ok()?;
        Some(match &caller.device_id {
            Some(device_id) => keys.device(&caller.issuer, device_id.as_str()),
            None => keys.user(&caller.issuer, &caller.subject),
        })
    }
}
