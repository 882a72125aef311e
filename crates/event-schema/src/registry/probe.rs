//! A first question: whether the registry refuses us for a reason that waiting does not mend.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;
use settings::{broke_off, table};

use super::RegistryConfig;

/// What a registry that does not refuse us says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It knows us.
    Accepted,
    /// Nothing, or that it cannot say: nothing is known of whether it refuses us.
    Missing,
}

/// The registry refuses us.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It asks for another name or password.
    #[error(
        "the schema registry refuses our name and password; check {} and {}",
        table::SCHEMA_REGISTRY_USERNAME.name,
        table::SCHEMA_REGISTRY_PASSWORD.name
    )]
    Credentials,
    /// No connection over TLS comes about: its certificate has lapsed, is another host's or is signed
    /// by nobody we believe; or it does not speak TLS.
    #[error(
        "no TLS with the schema registry; check {} and {}",
        table::SCHEMA_REGISTRY_URL.name,
        table::TLS_CA_PATH.name
    )]
    Tls(#[source] reqwest::Error),
}

impl RegistryConfig {
    /// Whether there is something to refuse: a name, or TLS.
    pub fn can_refuse(&self) -> bool {
        self.credentials.is_some() || self.url.starts_with("https://")
    }

    /// Asks once, for `within` at most. A registry that is away is no refusal: it may come back.
    ///
    /// # Errors
    /// It refuses us for a reason that waiting does not mend.
    pub async fn probe(&self, within: Duration) -> Result<Reply, Refused> {
        // Settings that the client does not take are told by the client that does the work.
        let Ok(client) = self.client().and_then(|client| client.no_proxy().build()) else {
            return Ok(Reply::Missing);
        };
        let request = client.get(format!("{}/schemas/types", self.url)).timeout(within);
        match self.authorized(request).send().await.map(|answer| answer.status()) {
            // Not 403: rights may be given to a name while we wait.
            Ok(StatusCode::UNAUTHORIZED) => Err(Refused::Credentials),
            Err(error) if is_tls(&error) => Err(Refused::Tls(error.without_url())),
            Ok(status) if status.is_server_error() => Ok(Reply::Missing),
            Ok(_) => Ok(Reply::Accepted),
            Err(_) => Ok(Reply::Missing),
        }
    }
}

/// Whether the cause of an error is TLS, which stands somewhere inside it, and not a connection that
/// ended.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<native_tls::Error>());
        if let Some(tls) = error.downcast_ref::<native_tls::Error>().or(inner) {
            return !broke_off(&format!("{tls} {tls:?}"));
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::Credentials;
    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);

    /// A registry that takes one request and answers it, if only one is known by name, by the name.
    async fn registry_of(only: Option<&'static str>) -> RegistryConfig {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = RegistryConfig::open(&format!("http://{}", listener.local_addr().unwrap()));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            let is_known = only.is_none_or(|only| request.contains(&only.to_lowercase()));
            let status = if is_known { "200 OK" } else { "401 Unauthorized" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n[]");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        config
    }

    fn as_ann(config: RegistryConfig, password: &str) -> RegistryConfig {
        let (username, password) = ("ann".to_owned(), password.to_owned());
        RegistryConfig { credentials: Some(Credentials { username, password }), ..config }
    }

    /// `ann:hunter2`, as a request carries it.
    const ANN: Option<&str> = Some("authorization: Basic YW5uOmh1bnRlcjI=");

    #[tokio::test]
    async fn a_wrong_password_is_refused_and_told_without_it() {
        let refused = as_ann(registry_of(ANN).await, "hunter3").probe(WITHIN).await.unwrap_err();
        assert!(matches!(refused, Refused::Credentials), "{refused:?}");
        let told = format!("{refused} {refused:?}");
        assert!(told.contains("MILLRACE_SCHEMA_REGISTRY_PASSWORD"), "{told}");
        assert!(!told.contains("hunter3"), "{told}");
        let accepted = as_ann(registry_of(ANN).await, "hunter2").probe(WITHIN).await.unwrap();
        assert_eq!(accepted, Reply::Accepted);
    }

    #[tokio::test]
    async fn a_registry_that_speaks_no_tls_is_refused() {
        let mut config = registry_of(None).await;
        config.url = config.url.replace("http://", "https://");
        let refused = config.probe(WITHIN).await.unwrap_err();
        assert!(matches!(refused, Refused::Tls(_)), "{refused:?}");
    }

    #[test]
    fn a_registry_without_name_and_tls_has_nothing_to_refuse() {
        let plain = RegistryConfig::open("http://registry:8081");
        assert!(!plain.can_refuse());
        assert!(as_ann(plain, "hunter2").can_refuse());
        assert!(RegistryConfig::open("https://registry").can_refuse());
    }

    #[tokio::test]
    async fn a_registry_that_is_away_is_no_refusal() {
        for url in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
            let reply = RegistryConfig::open(url).probe(WITHIN).await.unwrap();
            assert_eq!(reply, Reply::Missing);
        }
    }
}
