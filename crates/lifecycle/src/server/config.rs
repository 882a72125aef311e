//! The limits of a server.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use problem_details::BodyLimits;
use settings::{Setting, Settings, table};

use crate::http::{TrustedProxies, cross_origin, protection};

/// Where a server listens and what it allows a client.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where it listens; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Connections served at once; one more is answered 503 and closed.
    pub max_connections: usize,
    /// From the first byte of a request to the end of its head; the first head counts from the
    /// connection's start.
    pub header_timeout: Duration,
    /// From the end of a request's head to the end of its body.
    pub body_timeout: Duration,
    /// Without a request, or without taking its answer.
    pub idle_timeout: Duration,
    /// From the end of a request's head to its answer.
    pub request_timeout: Duration,
    /// Bytes of a request's body.
    pub max_body: usize,
    /// Origins whose pages may read answers.
    pub cors_origins: Vec<HeaderValue>,
    /// What answers say of TLS, where there is nothing else in front.
    pub strict_transport: Option<HeaderValue>,
    /// Who is believed about whom a request comes from.
    pub trusted_proxies: TrustedProxies,
}

impl HttpConfig {
    /// Reads the limits, and the address from the setting of the process.
    pub fn from_settings(settings: &mut Settings, bind: &'static Setting) -> Self {
        let config = Self {
            bind: settings.socket_address(bind),
            max_connections: settings.size(&table::HTTP_MAX_CONNECTIONS),
            header_timeout: settings.millis(&table::HTTP_HEADER_TIMEOUT),
            body_timeout: settings.millis(&table::HTTP_BODY_TIMEOUT),
            idle_timeout: settings.millis(&table::HTTP_IDLE_TIMEOUT),
            request_timeout: settings.millis(&table::HTTP_REQUEST_TIMEOUT),
            max_body: settings.size(&table::HTTP_MAX_BODY),
            cors_origins: cross_origin::origins(settings),
            strict_transport: protection::strict_transport(settings),
            trusted_proxies: TrustedProxies::from_settings(settings),
        };
        if config.body_timeout > config.request_timeout {
            settings.fault(format!(
                "{} must not be longer than {}, which includes it",
                table::HTTP_BODY_TIMEOUT.name,
                table::HTTP_REQUEST_TIMEOUT.name
            ));
        }
        config
    }

    /// The limits of a body, for handlers that read one.
    pub fn body_limits(&self) -> BodyLimits {
        BodyLimits { bytes: self.max_body, timeout: self.body_timeout }
    }
}
