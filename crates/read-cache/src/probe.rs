//! A first connection: whether Redis refuses us for a reason that waiting does not mend.

use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike as _;
use fred::types::config::Server;
use settings::{broke_off, table};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::CacheConfig;

/// How long a server that can be reached may take to say a word.
const PLAIN_ANSWER: Duration = Duration::from_secs(1);

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
    /// It speaks without TLS where we speak with it.
    #[error("Redis speaks no TLS at this address; check {}", table::REDIS_URL.name)]
    Plain,
}

impl CacheConfig {
    /// Connects once, for `within` at most. A Redis that is away is no refusal: it may come back.
    ///
    /// # Errors
    /// It refuses us for a reason that waiting does not mend.
    pub async fn probe(&self, within: Duration) -> Result<(), Refused> {
        let mut config = self.redis.clone();
        config.fail_fast = true;
        let (is_tls, servers) = (config.uses_tls(), config.server.hosts());
        let client = Client::new(config, None, None, None);
        let found = match timeout(within, client.init()).await {
            Ok(Ok(_)) => {
                // What matters is known; a goodbye that is lost costs nothing.
                let _ = timeout(within, client.quit()).await;
                return Ok(());
            }
            Ok(Err(error)) => judge(error),
            Err(_) => None,
        };
        match found {
            Some(refused) => Err(refused),
            // One that speaks no TLS may wait for the end of the line that it takes our first bytes for.
            None if is_tls && answers_plainly(&servers).await => Err(Refused::Plain),
            None => Ok(()),
        }
    }
}

fn judge(error: Error) -> Option<Refused> {
    match error.kind() {
        ErrorKind::Auth => Some(Refused::Credentials(error)),
        ErrorKind::Tls if !broke_off(error.details()) => Some(Refused::Tls(error)),
        _ => None,
    }
}

/// Whether a server answers what is not encrypted; it is told nothing but to answer.
async fn answers_plainly(servers: &[Server]) -> bool {
    let ask = async |server: &Server| {
        let mut stream = TcpStream::connect((&*server.host, server.port)).await.ok()?;
        stream.write_all(b"PING\r\n").await.ok()?;
        stream.read_u8().await.ok()
    };
    for server in servers {
        // `+` that it does, `-` that we should say first who we are.
        if let Ok(Some(b'+' | b'-')) = timeout(PLAIN_ANSWER, ask(server)).await {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use settings::Settings;
    use tokio::net::TcpListener;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(500);

    async fn probed(listener: TcpListener, says: Option<&'static [u8]>) -> Result<(), Refused> {
        let url = format!("rediss://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut first = [0; 6];
                let is_line = stream.read_exact(&mut first).await.is_ok() && &first == b"PING\r\n";
                if let Some(word) = says.filter(|_| is_line) {
                    stream.write_all(word).await.unwrap();
                }
                open.push(stream);
            }
        });
        let mut settings = Settings::new([(table::REDIS_URL.name.to_owned(), url)]);
        let config = CacheConfig::from_settings(&mut settings);
        settings.finish(config).unwrap().probe(WITHIN).await
    }

    #[tokio::test]
    async fn a_redis_that_waits_for_the_end_of_a_line_speaks_no_tls() {
        for word in [&b"+PONG\r\n"[..], b"-NOAUTH Authentication required.\r\n"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let refused = probed(listener, Some(word)).await.unwrap_err();
            assert!(matches!(refused, Refused::Plain), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn one_that_says_nothing_at_all_may_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        probed(listener, None).await.unwrap();
    }
}
