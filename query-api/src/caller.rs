//! Who asks.

use std::sync::Arc;

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
        let verified = api.verifier.caller(&parts.headers, &parts.extensions);
        Ok(Self(verified.map_err(Unauthenticated::refuse)?))
    }
}
