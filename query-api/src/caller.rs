//! Who asks.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use access::{Caller, Unauthenticated};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::Api;
use crate::refused::Refused;

/// A caller whose access token was verified.
pub(crate) struct Authenticated(pub(crate) Arc<Caller>);

impl FromRequestParts<Api> for Authenticated {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
        let verified = api.verifier.verify(&parts.headers, now);
        Ok(Self(verified.map_err(Unauthenticated::refuse)?))
    }
}
