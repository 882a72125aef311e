//! How the brokers are told who we are, and how we know that they are the brokers.

use std::fmt;

use rdkafka::ClientConfig;
use settings::{Authorities, Settings, table};

/// How a connection to the brokers is secured. The default is not at all.
#[derive(Clone, Default)]
pub struct Security {
    tls: Option<Tls>,
    sasl: Option<Sasl>,
}

/// The brokers' certificates are checked, their host names included.
#[derive(Debug, Clone)]
struct Tls {
    /// The file of the authorities that are believed; the system's where there is none.
    authorities: Option<String>,
}

#[derive(Clone)]
struct Sasl {
    mechanism: String,
    username: String,
    password: String,
}

impl Security {
    /// Reads the `KAFKA` settings of who we are, and the authorities that are believed.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let protocol = settings.text(&table::KAFKA_SECURITY_PROTOCOL);
        let path = settings.optional_text(&table::TLS_CA_PATH);
        let authorities = Authorities::from_settings(settings).and(path);
        let tls = protocol.ends_with("SSL").then_some(Tls { authorities });
        let sasl = Sasl::from_settings(settings, protocol.starts_with("SASL"));
        Self { tls, sasl }
    }

    /// Sets what the client has to know.
    pub(crate) fn apply(&self, client: &mut ClientConfig) {
        let protocol = match (&self.sasl, &self.tls) {
            (None, None) => "plaintext",
            (None, Some(_)) => "ssl",
            (Some(_), None) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        if let Some(Tls { authorities }) = &self.tls {
            client.set("ssl.endpoint.identification.algorithm", "https");
            if let Some(authorities) = authorities {
                // Not as a text: of its end the client leaves an error in OpenSSL, which whoever uses that
                // next on this thread takes for its own, such as a session of Postgres.
                client.set("ssl.ca.location", authorities);
            }
        }
        if let Some(Sasl { mechanism, username, password }) = &self.sasl {
            client
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", username)
                .set("sasl.password", password);
        }
    }
}

impl Sasl {
    /// Name and password are both needed, and make no sense for a protocol that does not send them.
    fn from_settings(settings: &mut Settings, is_sent: bool) -> Option<Self> {
        let mechanism = settings.text(&table::KAFKA_SASL_MECHANISM);
        let username = settings.optional_text(&table::KAFKA_SASL_USERNAME);
        let password = settings.optional_text(&table::KAFKA_SASL_PASSWORD);
        let protocol = table::KAFKA_SECURITY_PROTOCOL.name;
        for (setting, value) in
            [(&table::KAFKA_SASL_USERNAME, &username), (&table::KAFKA_SASL_PASSWORD, &password)]
        {
            match value {
                None if is_sent => {
                    settings.fault(format!("{} is needed by {protocol}", setting.name));
                }
                Some(_) if !is_sent => settings.fault(format!(
                    "{} is set, but {protocol} is one that sends no name",
                    setting.name
                )),
                _ => {}
            }
        }
        is_sent.then(|| Self {
            mechanism,
            username: username.unwrap_or_default(),
            password: password.unwrap_or_default(),
        })
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("tls", &self.tls)
            .field("sasl", &self.sasl.as_ref().map(|sasl| &sasl.mechanism))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Security, Vec<String>> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut settings = Settings::new(pairs);
        let security = Security::from_settings(&mut settings);
        settings.finish(security).map_err(|error| error.0)
    }

    fn applied(security: &Security, name: &str) -> Option<String> {
        let mut client = ClientConfig::new();
        security.apply(&mut client);
        client.get(name).map(str::to_owned)
    }

    #[test]
    fn nothing_is_secured_unless_asked_for() {
        let security = read(&[]).unwrap();
        assert_eq!(applied(&security, "security.protocol").as_deref(), Some("plaintext"));
    }

    #[test]
    fn what_confluent_cloud_asks_for_is_passed_on() {
        let security = read(&[
            ("MILLRACE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            ("KAFKA_API_KEY", "key"),
            ("KAFKA_API_SECRET", "hunter2"),
        ])
        .unwrap();
        let is = |name: &str| applied(&security, name);
        assert_eq!(is("security.protocol").as_deref(), Some("sasl_ssl"));
        assert_eq!(is("sasl.mechanism").as_deref(), Some("PLAIN"));
        assert_eq!(is("sasl.username").as_deref(), Some("key"));
        assert_eq!(is("sasl.password").as_deref(), Some("hunter2"));
        assert_eq!(is("ssl.endpoint.identification.algorithm").as_deref(), Some("https"));
        assert_eq!(is("ssl.ca.location"), None);
        assert!(!format!("{security:?}").contains("hunter2"));
    }

    #[test]
    fn authorities_are_named_to_the_client_by_their_file() {
        let path = std::env::temp_dir().join(format!("authorities-{}.pem", std::process::id()));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .unwrap();
        let path = path.to_str().unwrap();
        let pairs = [("KAFKA_SECURITY_PROTOCOL", "SSL"), ("MILLRACE_TLS_CA_PATH", path)];
        let security = read(&pairs).unwrap();
        assert_eq!(applied(&security, "ssl.ca.location").as_deref(), Some(path));
        assert_eq!(applied(&security, "ssl.ca.pem"), None);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn every_protocol_and_mechanism_of_the_table_is_built_in() {
        let words = |kind: settings::Kind| match kind {
            settings::Kind::OneOf(words) => words,
            _ => panic!("not a list of words"),
        };
        for protocol in words(table::KAFKA_SECURITY_PROTOCOL.kind) {
            for mechanism in words(table::KAFKA_SASL_MECHANISM.kind) {
                let mut pairs = vec![("MILLRACE_KAFKA_SECURITY_PROTOCOL", *protocol)];
                if protocol.starts_with("SASL") {
                    pairs.push(("MILLRACE_KAFKA_SASL_MECHANISM", mechanism));
                    pairs.push(("MILLRACE_KAFKA_SASL_USERNAME", "ann"));
                    pairs.push(("MILLRACE_KAFKA_SASL_PASSWORD", "hunter2"));
                }
                let mut client = ClientConfig::new();
                read(&pairs).unwrap().apply(&mut client);
                let client: Result<rdkafka::producer::BaseProducer, _> = client.create();
                assert!(client.is_ok(), "{protocol} {mechanism}: {:?}", client.err());
            }
        }
    }

    #[test]
    fn a_name_without_a_protocol_that_sends_it_is_refused_and_so_is_the_reverse() {
        let unused = read(&[("MILLRACE_KAFKA_SASL_PASSWORD", "hunter2")]).unwrap_err();
        assert_eq!(
            unused,
            [
                "MILLRACE_KAFKA_SASL_PASSWORD is set, but MILLRACE_KAFKA_SECURITY_PROTOCOL is one that sends no name"
            ]
        );
        let missing = read(&[("MILLRACE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")]).unwrap_err();
        assert_eq!(
            missing,
            [
                "MILLRACE_KAFKA_SASL_USERNAME is needed by MILLRACE_KAFKA_SECURITY_PROTOCOL",
                "MILLRACE_KAFKA_SASL_PASSWORD is needed by MILLRACE_KAFKA_SECURITY_PROTOCOL",
            ]
        );
    }
}
