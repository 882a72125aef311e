//! What the command API runs with.

use std::time::Duration;

use access::AccessConfig;
use consistency_token::TokenKey;
use domain::json_text;
use event_store::claim::ClaimKey;
use kafka_io::config::ProducerConfig;
use lifecycle::http::RateLimitConfig;
use lifecycle::{HttpConfig, Shutdown};
use read_cache::CacheConfig;
use read_models::database::DatabaseConfig;
use settings::{Prefix, Settings, TokenSecret, table};

use crate::access_token::AccessTokenConfig;
use crate::device::ReportLimits;
use crate::mail::MailConfig;
use crate::password::PasswordConfig;
use crate::refresh_token::RefreshTokens;
use crate::second_factor::SecondFactors;
use crate::session::SessionConfig;
use crate::user::Registrations;

/// What of a body is neither payload nor device id: names, quotes, a time, white space.
const ENVELOPE_BYTES: usize = 4 * 1024;

/// What of a record is neither payload nor device id: headers and the fields beside them.
const RECORD_OVERHEAD_BYTES: u64 = 4 * 1024;

/// The client looks for records whose time is over once a second.
const MESSAGE_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// What the command API runs with.
#[derive(Clone)]
pub struct Config {
    /// Where it listens and what it allows a client.
    pub http: HttpConfig,
    /// How much callers may ask for; `None` where that is not limited.
    pub rate_limits: Option<RateLimitConfig>,
    /// Where processes share quotas, unless nothing is limited or Redis is left out.
    pub redis: Option<CacheConfig>,
    /// Which access tokens are taken.
    pub access: AccessConfig,
    /// How access tokens are made.
    pub access_tokens: AccessTokenConfig,
    /// What signs consistency tokens.
    pub token_key: TokenKey,
    /// How events are produced.
    pub producer: ProducerConfig,
    /// Where the deploy steps recorded what they did.
    pub database: DatabaseConfig,
    /// What a report may hold.
    pub report: ReportLimits,
    /// How decisions are made.
    pub decisions: DecisionConfig,
    /// How passwords are hashed.
    pub passwords: PasswordConfig,
    /// What second factors are made and checked with, and who has to have one.
    pub second_factors: SecondFactors,
    /// How people register.
    pub registrations: Registrations,
    /// How long sessions last.
    pub sessions: SessionConfig,
    /// What makes refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// How mails leave.
    pub mail: MailConfig,
    /// What signs the tokens in their links, by which people come in.
    pub mail_link_key: TokenKey,
    /// Whose topics and schemas.
    pub prefix: Prefix,
    /// How long a stop may take.
    pub drain_timeout: Duration,
}

/// How decisions are made.
#[derive(Clone)]
pub struct DecisionConfig {
    /// Where they are kept.
    pub store: DatabaseConfig,
    /// Connections for them.
    pub connections: u32,
    /// Hashes unique values.
    pub claim_key: ClaimKey,
    /// How long an answer waits for the log.
    pub wait: Duration,
    /// How long an address is kept for whoever has not confirmed it.
    pub claim_term: Duration,
    /// How long answers to named requests are kept.
    pub keep_requests: Duration,
}

impl DecisionConfig {
    /// Reads the settings; faults are noted there.
    pub fn from_settings(settings: &mut Settings, prefix: &Prefix) -> Self {
        let mut store = DatabaseConfig::from_settings(settings, prefix);
        store.schema = format!(
            "{}, {}",
            read_models::database::event_store_schema(prefix),
            read_models::database::identity_schema(prefix)
        );
        let mut hours = |setting| Duration::from_secs(settings.number(setting) * 3_600);
        let claim_term = hours(&table::EMAIL_CLAIM_HOURS);
        let keep_requests = hours(&table::IDEMPOTENCY_HOURS);
        Self {
            store,
            connections: u32::try_from(settings.number(&table::DECISION_CONNECTIONS))
                .unwrap_or(u32::MAX),
            claim_key: ClaimKey::from_settings(settings),
            wait: settings.millis(&table::DECISION_WAIT),
            claim_term,
            keep_requests,
        }
    }
}

impl Config {
    /// Reads the settings; faults are noted there.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let prefix = Prefix::from_settings(settings);
        let rate_limits = RateLimitConfig::from_settings(settings);
        let redis = CacheConfig::if_on(settings).filter(|_| rate_limits.is_some());
        let config = Self {
            http: HttpConfig::from_settings(settings, &table::COMMAND_API_BIND),
            rate_limits,
            redis,
            access: AccessConfig::from_settings(settings),
            access_tokens: AccessTokenConfig::from_settings(settings),
            token_key: TokenKey::from_settings(settings),
            producer: ProducerConfig::from_settings(settings),
            database: DatabaseConfig::from_settings(settings, &prefix),
            report: report_limits(settings),
            decisions: DecisionConfig::from_settings(settings, &prefix),
            passwords: PasswordConfig::from_settings(settings),
            second_factors: SecondFactors::from_settings(settings),
            registrations: Registrations::from_settings(settings),
            sessions: SessionConfig::from_settings(settings),
            refresh_tokens: RefreshTokens::from_settings(settings),
            mail: MailConfig::from_settings(settings),
            mail_link_key: mail_link_key(settings),
            prefix,
            drain_timeout: Shutdown::budget(settings),
        };
        config.must_agree(settings);
        config
    }

    /// The largest record that a report may become, in bytes.
    pub(crate) fn largest_record_bytes(&self) -> u64 {
        // The device id stands in the record, its key and two headers, of 4 bytes a character.
        let device_ids = self.report.device_id_characters as u64 * 4 * 4;
        self.report.payload.bytes as u64 + device_ids + RECORD_OVERHEAD_BYTES
    }

    /// How long it takes until the outcome of a record is known that is queued now.
    pub(crate) fn settle_time(&self) -> Duration {
        self.producer.message_timeout + MESSAGE_TIMEOUT_MARGIN
    }

    fn must_agree(&self, settings: &mut Settings) {
        let report = &self.report;
        if report.payload.bytes + report.device_id_characters * 12 + ENVELOPE_BYTES
            > self.http.max_body
        {
            settings.fault(format!(
                "{} leaves no room for a payload of {} bytes and its device id; raise it or lower {}",
                table::HTTP_MAX_BODY.name,
                report.payload.bytes,
                table::PAYLOAD_MAX_BYTES.name
            ));
        }
        if !self.registrations.reveals_accounts() && self.mail.mailer.is_none() {
            settings.fault(format!(
                "{} must be true where no mail leaves ({}): with false somebody becomes a user by a mail alone",
                table::REGISTRATION_REVEALS_ACCOUNTS.name,
                table::MAIL.name
            ));
        }
        if self.drain_timeout < self.settle_time() {
            settings.fault(format!(
                "{} must be at least {} and a second more, so that a stop learns the outcome of every record",
                table::DRAIN_TIMEOUT.name,
                table::PRODUCER_MESSAGE_TIMEOUT.name
            ));
        }
        if self.http.request_timeout < self.http.body_timeout + self.settle_time() {
            settings.fault(format!(
                "{} must be at least {} and {} together and a second more, so that the producer's answer comes before the deadline",
                table::HTTP_REQUEST_TIMEOUT.name,
                table::HTTP_BODY_TIMEOUT.name,
                table::PRODUCER_MESSAGE_TIMEOUT.name
            ));
        }
    }
}

/// Of the secret of sessions: whoever signs such a token sets anybody's password.
fn mail_link_key(settings: &mut Settings) -> TokenKey {
    TokenKey::derive(TokenSecret::of_sessions(settings).as_bytes())
}

fn report_limits(settings: &mut Settings) -> ReportLimits {
    let ahead = settings.millis(&table::OCCURRED_AT_MAX_AHEAD).as_micros();
    ReportLimits {
        payload: json_text::Limits {
            bytes: settings.size(&table::PAYLOAD_MAX_BYTES),
            depth: settings.size(&table::PAYLOAD_MAX_DEPTH),
            digits: settings.size(&table::PAYLOAD_MAX_DIGITS),
            exponent: u32::try_from(settings.number(&table::PAYLOAD_MAX_EXPONENT))
                .unwrap_or(u32::MAX),
        },
        device_id_characters: settings.size(&table::DEVICE_ID_MAX),
        occurred_at_max_ahead: i64::try_from(ahead).unwrap_or(i64::MAX),
        items: settings.size(&table::EVENTS_MAX_ITEMS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let fixed = [("MILLRACE_PROFILE", "dev"), ("DATABASE_URL", "postgres://u:p@h/d")];
        let pairs = fixed.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut settings = Settings::new(pairs);
        let config = Config::from_settings(&mut settings);
        settings.finish(config).map_err(|error| error.0)
    }

    #[test]
    fn the_defaults_agree() {
        let report = read(&[]).unwrap_or_else(|faults| panic!("{faults:?}")).report;
        assert_eq!(report.payload, json_text::Limits::default());
        assert_eq!((report.device_id_characters, report.occurred_at_max_ahead), (128, 300_000_000));
        assert_eq!(report.items, 1_000);
    }

    #[test]
    fn the_front_door_lets_a_body_through_that_is_just_too_large() {
        let front_door = include_str!("../../deploy/nginx/nginx.conf");
        let directive = |line: &str| {
            line.trim().strip_prefix("client_max_body_size ")?.strip_suffix("k;")?.parse().ok()
        };
        let sizes: Vec<usize> = front_door.lines().filter_map(directive).collect();
        let max_body = read(&[]).unwrap_or_else(|faults| panic!("{faults:?}")).http.max_body;
        // The second is for those of whom nobody knows who they are.
        let [kibibytes, 64] = sizes[..] else { panic!("the front door has the sizes {sizes:?}") };
        let margin = kibibytes * 1024 - max_body;
        assert!((1..=max_body / 10).contains(&margin), "{kibibytes}k is not just above {max_body}");
    }

    #[test]
    fn production_wants_a_secret_that_query_api_has_not() {
        let of_all = ("MILLRACE_TOKEN_SECRET", "0123456789abcdef0123456789abcdef");
        let production = ("MILLRACE_PROFILE", "production");
        let faults = read(&[production, of_all]).err().unwrap_or_default();
        assert!(
            faults.len() == 1 && faults[0].starts_with("MILLRACE_SESSION_SECRET is required"),
            "{faults:?}"
        );
        let own = ("MILLRACE_SESSION_SECRET", "fedcba9876543210fedcba9876543210");
        assert!(read(&[production, of_all, own]).is_ok());
    }

    #[test]
    fn links_in_mails_are_signed_with_the_secret_of_sessions_alone() {
        let text = |pairs: &[(&str, &str)]| {
            let config = read(pairs).unwrap_or_else(|faults| panic!("{faults:?}"));
            config.mail_link_key.for_texts("one").sign(b"", b"a text")
        };
        let own = ("MILLRACE_SESSION_SECRET", "of sessions");
        assert_eq!(text(&[own]), text(&[own, ("MILLRACE_TOKEN_SECRET", "another")]));
        assert_ne!(text(&[own]), text(&[("MILLRACE_SESSION_SECRET", "another")]));
    }

    #[test]
    fn who_has_an_account_is_told_by_registering_where_mails_tell_nobody() {
        let hides = ("REGISTRATION_REVEALS_ACCOUNTS", "false");
        assert!(read(&[hides]).is_ok(), "in `dev` mails are files");
        let faults = read(&[hides, ("MILLRACE_MAIL", "off")]).err().unwrap_or_default();
        let told = "MILLRACE_REGISTRATION_REVEALS_ACCOUNTS must be true where no mail leaves";
        assert!(faults.len() == 1 && faults[0].starts_with(told), "{faults:?}");
        assert!(read(&[("MILLRACE_MAIL", "off")]).is_ok());
    }

    #[test]
    fn a_drain_that_is_just_long_enough_is_taken() {
        assert!(read(&[("MILLRACE_DRAIN_TIMEOUT_MS", "8000")]).is_ok());
    }

    #[test]
    fn limits_that_contradict_each_other_are_named() {
        for (pairs, named) in [
            (&[("MILLRACE_HTTP_MAX_BODY_BYTES", "65536")][..], "MILLRACE_HTTP_MAX_BODY_BYTES"),
            (&[("MILLRACE_HTTP_REQUEST_TIMEOUT_MS", "27000")], "MILLRACE_HTTP_REQUEST_TIMEOUT_MS"),
            (
                &[
                    ("MILLRACE_PRODUCER_MESSAGE_TIMEOUT_MS", "15000"),
                    ("MILLRACE_DRAIN_TIMEOUT_MS", "16000"),
                ],
                "MILLRACE_PRODUCER_MESSAGE_TIMEOUT_MS",
            ),
            (
                &[("MILLRACE_DRAIN_TIMEOUT_MS", "7999")],
                "MILLRACE_DRAIN_TIMEOUT_MS must be at least MILLRACE_PRODUCER_MESSAGE_TIMEOUT_MS",
            ),
        ] {
            let faults = read(pairs).err().unwrap_or_default();
            assert!(faults.len() == 1 && faults[0].contains(named), "{faults:?}");
        }
    }
}
