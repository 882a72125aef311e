//! A first connection: whether Redis refuses us for a reason that waiting does not mend.

use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike as _;
use settings::table;
use tokio::time::timeout;

use crate::config::CacheConfig;

/// Redis refuses us.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It does not know the user, or the password is not its.
    #[error("Redis refuses the user or its password; check {}", table::REDIS_URL.name)]
    Credentials(#[source] Error),
    /// No connection over TLS comes about: its certificate has lapsed, is another host's or is signed
    /// by nobody we believe; or it does not speak TLS.
    #[error(
        "no TLS with Redis; check {} and {}",
        table::REDIS_URL.name,
        table::TLS_CA_PATH.name
    )]
    Tls(#[source] Error),
}

impl CacheConfig {
    /// Connects once, for `within` at most. A Redis that is away is no refusal: it may come back.
    ///
    /// # Errors
    /// It refuses us for a reason that waiting does not mend.
    pub async fn probe(&self, within: Duration) -> Result<(), Refused> {
        let mut config = self.redis.clone();
        config.fail_fast = true;
        let client = Client::new(config, None, None, None);
        match timeout(within, client.init()).await {
            Ok(Ok(_)) => {
                // What matters is known; a goodbye that is lost costs nothing.
                let _ = timeout(within, client.quit()).await;
                Ok(())
            }
            Ok(Err(error)) => match error.kind() {
                ErrorKind::Auth => Err(Refused::Credentials(error)),
                ErrorKind::Tls => Err(Refused::Tls(error)),
                _ => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }
}
