//! A first connection: whether Postgres refuses us for a reason that waiting does not mend.

use std::time::Duration;

use settings::{broke_off, table};
use sqlx::{Connection as _, Error, PgConnection};
use tokio::time::timeout;

use super::DatabaseConfig;

/// Postgres refuses us.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It does not know the role, the password is not its, or the role may not come this way.
    #[error("Postgres refuses the role or its password; check {}", table::DATABASE_URL.name)]
    Credentials(#[source] Error),
    /// No connection over TLS comes about: its certificate has lapsed, is another host's or is signed
    /// by nobody we believe; or it does not speak TLS.
    #[error(
        "no TLS with Postgres; check `sslmode` in {}, its host name, and {}",
        table::DATABASE_URL.name,
        table::TLS_CA_PATH.name
    )]
    Tls(#[source] Error),
}

impl DatabaseConfig {
    /// Connects once, for `within` at most. A database that is away is no refusal: it may come back.
    ///
    /// # Errors
    /// It refuses us for a reason that waiting does not mend.
    pub async fn probe(&self, within: Duration) -> Result<(), Refused> {
        match timeout(within, PgConnection::connect_with(&self.connect)).await {
            Ok(Ok(connection)) => {
                // What matters is known; a goodbye that is lost costs nothing.
                let _ = timeout(within, connection.close()).await;
                Ok(())
            }
            Ok(Err(error)) => judge(error).map_or(Ok(()), Err),
            Err(_) => Ok(()),
        }
    }
}

/// SQLSTATE class 28 is "invalid authorization specification".
fn judge(error: Error) -> Option<Refused> {
    let is_authorization = |error: &Error| {
        error.as_database_error().and_then(|error| error.code()?.get(..2).map(|c| c == "28"))
    };
    match error {
        Error::Tls(ref cause) if broke_off(&format!("{cause} {cause:?}")) => None,
        Error::Tls(_) => Some(Refused::Tls(error)),
        error if is_authorization(&error) == Some(true) => Some(Refused::Credentials(error)),
        _ => None,
    }
}
