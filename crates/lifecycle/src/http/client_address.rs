//! Who sent a request, as far as the proxies in front of us can be believed.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use tokio::task::futures::TaskLocalFuture;

use super::TrustedProxies;

/// The address that a request comes from; handlers take it as an argument. It is that of the client where
/// all proxies between are [trusted](TrustedProxies), else that of the first one that is not: what a client
/// writes into `X-Forwarded-For` never changes it. Without a connection, as in tests of routes alone, it
/// is unspecified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The other end of a connection, and whom of those that come from there we believe. It stands beside the connection's
/// task: few requests ask for it, and each would carry it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) proxies: TrustedProxies,
}

tokio::task_local! {
    static PEER: Peer;
}

impl Peer {
    /// The future, whose requests come from there.
    pub(crate) fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        PEER.scope(self, future)
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    /// Only whoever asks pays for reading headers.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions, &parts.headers))
    }
}

impl ClientAddress {
    /// That of a request with these.
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap) -> Self {
        if let Some(known) = extensions.get::<Self>() {
            return *known;
        }
        let address = PEER.try_with(|peer| peer.proxies.client(peer.address, headers));
        Self(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}
