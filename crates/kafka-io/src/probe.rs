//! A first connection: whether the brokers refuse us for a reason that waiting does not mend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::task::spawn_blocking;

use crate::client_log;
use crate::config::KafkaConfig;

/// How long one question to the brokers may take; refusals are noticed in between.
const QUESTION: Duration = Duration::from_millis(250);

/// How long nothing more may happen until everything that happened is known.
const DRAIN: Duration = Duration::from_millis(20);

/// What the client says of a certificate that is not believed.
const UNBELIEVED: &str = "certificate verify failed";

/// What the client says of connections that ended while names or certificates were exchanged, under the
/// codes of refusals: what it found itself instead of an answer.
const BROKE_OFF: [&str; 2] = ["failed: Local: ", "SSL transport error"];

/// How long other brokers are given once one has refused us.
const OTHERS: Duration = Duration::from_secs(1);

/// The brokers refuse us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// They do not know the name, or the password is not its.
    #[error(
        "the brokers refuse our name and password; check {}, {} and {}",
        settings::table::KAFKA_SASL_USERNAME.name,
        settings::table::KAFKA_SASL_PASSWORD.name,
        settings::table::KAFKA_SASL_MECHANISM.name
    )]
    Credentials,
    /// No connection over TLS comes about: their certificate has lapsed, is another host's or is
    /// signed by nobody we believe; or they do not speak TLS.
    #[error(
        "no TLS with the brokers: {reason}; check {}, {} and {}",
        settings::table::KAFKA_SECURITY_PROTOCOL.name,
        settings::table::TLS_CA_PATH.name,
        settings::table::KAFKA_BROKERS.name
    )]
    Tls {
        /// What the client says.
        reason: String,
    },
}

/// Asks the brokers something, for `within` at most. Brokers that are away are no refusal: they may
/// come back.
///
/// # Errors
/// They refuse us for a reason that waiting does not mend.
pub async fn probe(kafka: &KafkaConfig, within: Duration) -> Result<(), Refused> {
    let kafka = kafka.clone();
    // A probe that panics has found nothing out.
    spawn_blocking(move || ask(&kafka, within)).await.unwrap_or(Ok(()))
}

fn ask(kafka: &KafkaConfig, within: Duration) -> Result<(), Refused> {
    let refused = Arc::new(Mutex::new(None));
    let context = Listening { refused: Arc::clone(&refused) };
    // Settings that the client does not take are told by the client that does the work.
    let Ok(client) = BaseConsumer::from_config_and_context(&kafka.client(), context) else {
        return Ok(());
    };
    let mut until = Instant::now() + within;
    let mut found = None;
    while Instant::now() < until {
        if client.fetch_metadata(None, QUESTION).is_ok() {
            return Ok(());
        }
        // Errors are handed out here, and lines of the log before all errors: one event at a time would
        // never come to them.
        while client.poll(DRAIN).is_some() && Instant::now() < until {}
        if let Some(refused) = refused.lock().take()
            && found.replace(refused).is_none()
        {
            until = until.min(Instant::now() + OTHERS);
        }
    }
    found.map_or(Ok(()), Err)
}

struct Listening {
    refused: Arc<Mutex<Option<Refused>>>,
}

impl ClientContext for Listening {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::emit(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if BROKE_OFF.iter().any(|text| reason.contains(text)) {
            return;
        }
        let found = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication) => Refused::Credentials,
            Some(RDKafkaErrorCode::SSL) => Refused::Tls { reason: reason.to_owned() },
            // A handshake that fails at once is no error of TLS to it.
            Some(RDKafkaErrorCode::BrokerTransportFailure) if reason.contains(UNBELIEVED) => {
                Refused::Tls { reason: reason.to_owned() }
            }
            _ => return,
        };
        *self.refused.lock() = Some(found);
    }
}

impl ConsumerContext for Listening {}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use settings::Settings;

    use crate::security::Security;

    use super::*;

    #[tokio::test]
    async fn who_answers_tls_with_something_else_is_noticed_among_all_lines_of_the_log() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let brokers = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        });
        let tls = ("KAFKA_SECURITY_PROTOCOL".to_owned(), "SSL".to_owned());
        let security = Security::from_settings(&mut Settings::new([tls]));
        let kafka = KafkaConfig { security, ..KafkaConfig::plaintext(brokers, "test") };
        let refused = probe(&kafka, Duration::from_secs(10)).await.unwrap_err();
        assert!(matches!(refused, Refused::Tls { .. }), "{refused}");
    }

    #[test]
    fn a_connection_that_ends_is_no_refusal() {
        let refused = Arc::new(Mutex::new(None));
        let context = Listening { refused: Arc::clone(&refused) };
        let error = |code| KafkaError::Global(code);
        for (code, reason) in [
            (
                RDKafkaErrorCode::Authentication,
                "SASL SCRAM-SHA-512 mechanism handshake failed: Local: Broker transport failure: broker's supported mechanisms: (n/a)",
            ),
            (RDKafkaErrorCode::SSL, "SSL transport error: Connection timed out"),
        ] {
            context.error(error(code), reason);
            assert_eq!(*refused.lock(), None, "{reason}");
        }
        let wrong = "SASL authentication error: Authentication failed during authentication due to \
                     invalid credentials with SASL mechanism SCRAM-SHA-512";
        context.error(error(RDKafkaErrorCode::Authentication), wrong);
        assert_eq!(*refused.lock(), Some(Refused::Credentials));
    }

    #[tokio::test]
    async fn brokers_that_are_away_are_no_refusal() {
        let kafka = KafkaConfig::plaintext("127.0.0.1:1", "test");
        assert_eq!(probe(&kafka, Duration::from_millis(300)).await, Ok(()));
    }
}
