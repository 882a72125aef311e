//! The table: every setting of every process. `docs/configuration.md` is written from it.

use crate::{Kind, Setting};

/// The table as the Markdown page `docs/configuration.md`.
pub fn markdown() -> String {
    crate::markdown::page()
}

macro_rules! table {
    ($($(#[$meta:meta])* $id:ident = $setting:expr;)*) => {
        $($(#[$meta])* pub static $id: Setting = $setting;)*
        /// Every setting, in the order of the documentation.
        pub static ALL: &[&Setting] = &[$(&$id),*];
    };
}

const fn text(name: &'static str, default: Option<&'static str>, about: &'static str) -> Setting {
    Setting { name, aliases: &[], default, kind: Kind::Text, about }
}

const fn url(name: &'static str, default: Option<&'static str>, about: &'static str) -> Setting {
    Setting { name, aliases: &[], default, kind: Kind::Url, about }
}

const fn number(
    name: &'static str,
    default: &'static str,
    min: u64,
    max: u64,
    about: &'static str,
) -> Setting {
    Setting { name, aliases: &[], default: Some(default), kind: Kind::Number { min, max }, about }
}

const fn one_of(
    name: &'static str,
    default: &'static str,
    words: &'static [&'static str],
    about: &'static str,
) -> Setting {
    Setting { name, aliases: &[], default: Some(default), kind: Kind::OneOf(words), about }
}

const fn address(name: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting { name, aliases: &[], default: Some(default), kind: Kind::SocketAddress, about }
}

const fn seconds(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
    bounds: (u64, u64),
    about: &'static str,
) -> Setting {
    let (min, max) = bounds;
    Setting { name, aliases, default: Some(default), kind: Kind::Seconds { min, max }, about }
}

const fn millis(
    name: &'static str,
    default: &'static str,
    min: u64,
    max: u64,
    about: &'static str,
) -> Setting {
    Setting { name, aliases: &[], default: Some(default), kind: Kind::Millis { min, max }, about }
}

table! {
    /// The profile: `dev` allows what production must not have.
    PROFILE = Setting {
        name: "MILLRACE_PROFILE", aliases: &[], default: Some("production"),
        kind: Kind::OneOf(&["production", "dev"]),
        about: "`dev` takes HS256 access tokens, and has well-known secrets where none are set; `production` takes no such token, and does not start without secrets of its own",
    };
    /// The prefix of everything a deployment owns in shared systems.
    PREFIX = Setting {
        name: "MILLRACE_PREFIX", aliases: &[], default: Some(""), kind: Kind::Text,
        about: "prefix of topics, consumer groups, database schemas and cache keys: one deployment serves one tenant",
    };
    /// The brokers.
    KAFKA_BROKERS = Setting {
        name: "KAFKA_BROKERS", aliases: &["KAFKA_BOOTSTRAP_SERVERS"], default: Some("127.0.0.1:9092"),
        kind: Kind::Text, about: "the brokers to start from, `host:port` separated by commas",
    };
    /// Security of the connections to the brokers.
    KAFKA_SECURITY_PROTOCOL = Setting {
        name: "MILLRACE_KAFKA_SECURITY_PROTOCOL", aliases: &["KAFKA_SECURITY_PROTOCOL"], default: Some("PLAINTEXT"),
        kind: Kind::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        about: "how the brokers are reached: `SSL` checks their certificates and host names, `SASL` sends name and password",
    };
    /// How name and password are sent.
    KAFKA_SASL_MECHANISM = Setting {
        name: "MILLRACE_KAFKA_SASL_MECHANISM", aliases: &["KAFKA_SASL_MECHANISM"], default: Some("PLAIN"),
        kind: Kind::OneOf(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
        about: "how name and password are sent to the brokers",
    };
    /// Our name.
    KAFKA_SASL_USERNAME = Setting {
        name: "MILLRACE_KAFKA_SASL_USERNAME", aliases: &["KAFKA_SASL_USERNAME", "KAFKA_API_KEY"], default: None,
        kind: Kind::Text, about: "the name that the brokers know us by; needed by the `SASL` protocols",
    };
    /// Our password.
    KAFKA_SASL_PASSWORD = Setting {
        name: "MILLRACE_KAFKA_SASL_PASSWORD", aliases: &["KAFKA_SASL_PASSWORD", "KAFKA_API_SECRET"], default: None,
        kind: Kind::Secret, about: "the password to that name",
    };
    /// Authorities.
    TLS_CA_PATH = text("MILLRACE_TLS_CA_PATH", None,
        "file of certificate authorities, PEM, that the certificates of brokers, registry, Postgres, Redis and the mail server are checked against; those of the system when absent");
    /// Linger.
    PRODUCER_LINGER = millis("MILLRACE_PRODUCER_LINGER_MS", "1", 0, 1_000,
        "how long a record waits for others to share its batch to the broker");
    /// Batch size of the producer.
    PRODUCER_BATCH_BYTES = number("MILLRACE_PRODUCER_BATCH_BYTES", "1000000", 1_024, 1_080_000,
        "bytes at which a batch goes to the broker without waiting; at least a tenth below the topics' `max.message.bytes`");
    /// Time-out of a record.
    PRODUCER_MESSAGE_TIMEOUT = millis("MILLRACE_PRODUCER_MESSAGE_TIMEOUT_MS", "7000", 1_000, 300_000,
        "after this the outcome of a record that the broker has not acknowledged is unknown; noticed up to a second later");
    /// Stall of the producer.
    PRODUCER_STALL_TIMEOUT = millis("MILLRACE_PRODUCER_STALL_TIMEOUT_MS", "2000", 100, 60_000,
        "how long the broker may acknowledge nothing, while records wait, before new ones are refused");
    /// Queue of the producer, in records.
    PRODUCER_QUEUE_RECORDS = number("MILLRACE_PRODUCER_QUEUE_RECORDS", "20000", 1, 10_000_000,
        "records that may wait for the broker's acknowledgement; past it new ones are refused");
    /// Queue of the producer, in kilobytes.
    PRODUCER_QUEUE_KILOBYTES = number("MILLRACE_PRODUCER_QUEUE_KILOBYTES", "65536", 1_024, 2_097_151,
        "kilobytes that may wait for the broker's acknowledgement; past it new records are refused");
    /// Codec of the producer.
    PRODUCER_COMPRESSION = Setting {
        name: "MILLRACE_PRODUCER_COMPRESSION", aliases: &[], default: Some("lz4"),
        kind: Kind::OneOf(&["none", "lz4", "zstd", "gzip"]),
        about: "codec of the batches that go to the broker",
    };
    /// The registry.
    SCHEMA_REGISTRY_URL = url("SCHEMA_REGISTRY_URL", Some("http://127.0.0.1:8085/apis/ccompat/v7"),
        "the schema registry's Confluent REST API");
    /// Our name at the registry.
    SCHEMA_REGISTRY_USERNAME = Setting {
        name: "MILLRACE_SCHEMA_REGISTRY_USERNAME", aliases: &["SCHEMA_REGISTRY_USERNAME", "SCHEMA_REGISTRY_API_KEY"],
        default: None, kind: Kind::Text, about: "the name that the schema registry knows us by, if it asks for one",
    };
    /// Our password at the registry.
    SCHEMA_REGISTRY_PASSWORD = Setting {
        name: "MILLRACE_SCHEMA_REGISTRY_PASSWORD",
        aliases: &["SCHEMA_REGISTRY_PASSWORD", "SCHEMA_REGISTRY_API_SECRET"],
        default: None, kind: Kind::Secret, about: "the password to that name",
    };
    /// The database that holds positions and read models.
    DATABASE_URL = Setting {
        name: "DATABASE_URL", aliases: &[], default: None, kind: Kind::Secret,
        about: "the Postgres database, `postgres://user:password@host:port/database`; `?sslmode=verify-full` reaches it over TLS and checks certificate and host name",
    };
    /// The cache.
    REDIS_URL = Setting {
        name: "REDIS_URL", aliases: &[], default: Some("redis://127.0.0.1:6379"), kind: Kind::Secret,
        about: "the Redis that caches reads and in which processes share quotas, `redis://user:password@host:port/database`, or `rediss://` over TLS; one primary, never a cluster",
    };
    /// The cache.
    CACHE = one_of("MILLRACE_CACHE", "on", &["on", "off"],
        "`off` leaves Redis out: every read goes to Postgres, and each process keeps to its part of every quota; the same for all processes of a deployment");
    /// Life of cached resources.
    CACHE_TTL = millis("MILLRACE_CACHE_TTL_MS", "60000", 1_000, 3_600_000,
        "how long a resource that nobody reads or changes stands in the cache");
    /// Life of cached users.
    CACHE_USER_TTL = millis("MILLRACE_CACHE_USER_TTL_MS", "3600000", 1_000, 86_400_000,
        "how long a user whom nobody reads or changes stands in the cache");
    /// Life of cached absences.
    CACHE_MISSING_TTL = millis("MILLRACE_CACHE_MISSING_TTL_MS", "5000", 100, 600_000,
        "how long it stands in the cache that a resource or a user does not exist");
    /// Patience of reads with the cache.
    CACHE_READ_TIMEOUT = millis("MILLRACE_CACHE_READ_TIMEOUT_MS", "40", 5, 1_000,
        "how long a read waits for Redis before it goes to Postgres");
    /// Patience of writers with the cache.
    CACHE_WRITE_TIMEOUT = millis("MILLRACE_CACHE_WRITE_TIMEOUT_MS", "500", 20, 1_500,
        "how long a projector waits for an answer of Redis before it takes the cache for cut off");
    /// Log filter.
    LOG = text("MILLRACE_LOG", Some("info"), "which log lines are written, as a `tracing` filter");
    /// Log format.
    LOG_FORMAT = one_of("MILLRACE_LOG_FORMAT", "json", &["json", "text"],
        "`json` writes one object for each log line, `text` is for reading at a terminal");
    /// Name of the instance.
    INSTANCE = text("MILLRACE_INSTANCE", None,
        "name of this instance among those of its process, in logs; the process and its pid when absent");
    /// Where traces go.
    OTLP_ENDPOINT = Setting {
        name: "MILLRACE_OTLP_ENDPOINT", aliases: &["OTEL_EXPORTER_OTLP_ENDPOINT"], default: None, kind: Kind::Url,
        about: "where traces go, as OTLP over HTTP, such as `http://127.0.0.1:4318`; without it nothing is traced",
    };
    /// Headers for the receiver of traces.
    OTLP_HEADERS = Setting {
        name: "MILLRACE_OTLP_HEADERS", aliases: &[], default: None, kind: Kind::Secret,
        about: "headers that the receiver of traces asks for, `<name>=<value>` separated by commas",
    };
    /// Patience with the receiver of traces.
    OTLP_TIMEOUT = millis("MILLRACE_OTLP_TIMEOUT_MS", "3000", 100, 10_000,
        "how long the receiver of traces may take for a batch of spans, which is lost then");
    /// Share of traces.
    TRACE_PER_MILLE = number("MILLRACE_TRACE_PER_MILLE", "10", 0, 1_000,
        "traces of a thousand that are recorded, chosen by their id and MILLRACE_TOKEN_SECRET: the same in every process");
    /// Trust in callers' wishes.
    TRACE_CALLERS = one_of("MILLRACE_TRACE_CALLERS", "ignore", &["ignore", "follow"],
        "whether a request whose caller records its trace is recorded too: `follow` only where all callers are one's own");
    /// Spans that wait.
    TRACE_QUEUE = number("MILLRACE_TRACE_QUEUE_SPANS", "8192", 512, 1_048_576,
        "ended spans that may wait to be handed over; one more is dropped");
    /// Where command-api listens.
    COMMAND_API_BIND = address("MILLRACE_COMMAND_API_BIND", "127.0.0.1:8001", "where command-api listens");
    /// Where query-api listens.
    QUERY_API_BIND = address("MILLRACE_QUERY_API_BIND", "127.0.0.1:8002", "where query-api listens");
    /// Where the projector listens.
    PROJECTOR_BIND = address("MILLRACE_PROJECTOR_BIND", "127.0.0.1:8003",
        "where the projector answers for its health and metrics");
    /// Connection cap.
    HTTP_MAX_CONNECTIONS = number("MILLRACE_HTTP_MAX_CONNECTIONS", "10000", 1, 1_000_000,
        "connections served at once; one more is answered 503 and closed");
    /// Header time-out.
    HTTP_HEADER_TIMEOUT = millis("MILLRACE_HTTP_HEADER_TIMEOUT_MS", "10000", 10, 300_000,
        "how long a client may take to send the head of a request");
    /// Body time-out.
    HTTP_BODY_TIMEOUT = millis("MILLRACE_HTTP_BODY_TIMEOUT_MS", "20000", 10, 300_000,
        "how long a client may take to send the body of a request");
    /// Idle time-out.
    HTTP_IDLE_TIMEOUT = millis("MILLRACE_HTTP_IDLE_TIMEOUT_MS", "75000", 10, 3_600_000,
        "how long a connection may stay open without a request, or without taking its answer");
    /// Request time-out.
    HTTP_REQUEST_TIMEOUT = millis("MILLRACE_HTTP_REQUEST_TIMEOUT_MS", "30000", 10, 300_000,
        "how long a request may take to be answered, from its head on");
    /// Body size.
    HTTP_MAX_BODY = number("MILLRACE_HTTP_MAX_BODY_BYTES", "1048576", 1024, 67_108_864,
        "largest body of a request, as it comes and decompressed; the front door's `client_max_body_size` must be above it");
    /// Origins of pages.
    CORS_ORIGINS = text("MILLRACE_CORS_ORIGINS", None,
        "origins whose pages may call the API from a browser, such as `https://app.example.com`, separated by commas; none when absent");
    /// Strict transport.
    HSTS_SECONDS = number("MILLRACE_HSTS_SECONDS", "0", 0, 63_072_000,
        "how long browsers remember that this deployment is reached over TLS only (`Strict-Transport-Security`); 0 where it is not");
    /// Proxies in front of us.
    TRUSTED_PROXIES = text("MILLRACE_TRUSTED_PROXIES", Some("127.0.0.1/32,::1/128"),
        "networks, separated by commas, whose `X-Forwarded-For` is believed: those of the front door; whoever comes from elsewhere counts as the client");
    /// Quotas of callers.
    RATE_LIMIT_PROFILE = one_of("MILLRACE_RATE_LIMIT_PROFILE", "app", &["app", "edge", "strict", "off"],
        "how much a caller may ask for: `app` 100 requests in a minute, 500 in ten and 2,000 in an hour, `edge` 50 in a second, `strict` 10 in a second, `off` anything");
    /// Larger quotas.
    RATE_LIMIT_FACTOR = number("MILLRACE_RATE_LIMIT_FACTOR", "1", 1, 100_000,
        "by how much every quota of the profile is larger");
    /// Processes that share quotas.
    RATE_LIMIT_INSTANCES = number("MILLRACE_RATE_LIMIT_INSTANCES", "2", 1, 1_000,
        "processes of a kind that a caller's requests are assumed to reach while Redis does not answer: each then keeps to this part of every quota");
    /// Callers remembered.
    RATE_LIMIT_CALLERS = number("MILLRACE_RATE_LIMIT_CALLERS", "16384", 64, 4_194_304,
        "callers whose use of quotas a process remembers, in about 150 bytes each");
    /// The front door.
    URL = url("MILLRACE_URL", Some("http://127.0.0.1:8000"),
        "the front door, for scripts and tests that share these variables; no process reads it");
    /// Shutdown budget.
    DRAIN_TIMEOUT = millis("MILLRACE_DRAIN_TIMEOUT_MS", "10000", 0, 300_000,
        "how long a stopping process may take to finish what it has begun");
    /// Secret of HS256 access tokens, in the `dev` profile.
    JWT_SECRET = Setting {
        name: "JWT_SECRET", aliases: &["JWT_SECRET_KEY", "SECRET_KEY"], default: None, kind: Kind::Secret,
        about: "secret of HS256 access tokens in the `dev` profile, `local-dev-secret` when absent; `production` takes no such tokens, and does not start with one",
    };
    /// Password of the first admin.
    ADMIN_PASSWORD = Setting {
        name: "MILLRACE_ADMIN_PASSWORD", aliases: &[], default: None, kind: Kind::Secret,
        about: "password of the admin whom `command-api create-admin` registers, which makes and prints one when absent; the process itself does without it",
    };
    /// Issuer of access tokens.
    JWT_ISSUER = text("JWT_ISSUER", Some("millrace"), "the `iss` that access tokens must name");
    /// Audience of access tokens.
    JWT_AUDIENCE = text("JWT_AUDIENCE", Some("millrace"), "the `aud` that access tokens must name");
    /// File of public keys.
    JWKS_PATH = text("MILLRACE_JWKS_PATH", None,
        "file with the public keys of EdDSA access tokens, as a JSON Web Key Set");
    /// Address of public keys.
    JWKS_URL = url("MILLRACE_JWKS_URL", None,
        "address of the public keys of EdDSA access tokens, as a JSON Web Key Set");
    /// Refresh of public keys.
    JWKS_REFRESH = millis("MILLRACE_JWKS_REFRESH_MS", "300000", 1_000, 86_400_000,
        "how often the public keys are read again");
    /// Leeway of access tokens.
    ACCESS_TOKEN_LEEWAY = millis("MILLRACE_ACCESS_TOKEN_LEEWAY_MS", "30000", 0, 300_000,
        "how far the clock of whoever issues access tokens may differ from ours");
    /// Verified access tokens kept.
    ACCESS_TOKEN_CACHE = number("MILLRACE_ACCESS_TOKEN_CACHE_ENTRIES", "16384", 4, 4_194_304,
        "verified access tokens that are remembered until they expire");
    /// Revocations that cannot be known.
    REVOCATIONS_UNKNOWN = one_of("MILLRACE_REVOCATIONS_UNKNOWN", "refuse-admin", &["refuse-admin", "refuse-all", "allow"],
        "whose requests are answered 503 while it is not known which access tokens were revoked, which is two seconds after the database said so last: admins with `refuse-admin`, everybody who is logged in with `refuse-all`, nobody with `allow`");
    /// Life of access tokens.
    ACCESS_TOKEN_LIFETIME = seconds("MILLRACE_ACCESS_TOKEN_LIFETIME_S", &["JWT_EXPIRES_IN"], "900", (60, 86_400),
        "how long an access token is taken that command-api gives at login, the same in every process; by then its roles are those of its user again");
    /// Lead of new signing keys.
    SIGNING_KEY_LEAD = seconds("MILLRACE_SIGNING_KEY_LEAD_S", &[], "600", (60, 604_800),
        "how long a new signing key is published before it signs: at least twice what those who read `/.well-known/jwks.json` remember it for");
    /// Secret of consistency tokens.
    TOKEN_SECRET = Setting {
        name: "MILLRACE_TOKEN_SECRET", aliases: &[], default: None, kind: Kind::Secret,
        about: "secret that signs consistency tokens and hides callers' names in the log, the same in every process; required outside the `dev` profile",
    };
    /// Secret of sessions.
    SESSION_SECRET = Setting {
        name: "MILLRACE_SESSION_SECRET", aliases: &[], default: None, kind: Kind::Secret,
        about: "secret that signs refresh tokens and the links in mails, and seals second factors, registrations that wait and the keys of access tokens: the same in every command-api and its tools, and nobody else's, since whoever has it can let anybody in; required outside the `dev` profile, which takes `MILLRACE_TOKEN_SECRET` in its place",
    };
    /// Length of device ids.
    DEVICE_ID_MAX = number("MILLRACE_DEVICE_ID_MAX_CHARACTERS", "128", 1, 512,
        "characters of the longest device id");
    /// Length of arrays.
    EVENTS_MAX_ITEMS = number("MILLRACE_EVENTS_MAX_ITEMS", "1000", 1, 10_000,
        "events of the largest array or CloudEvents batch");
    /// Size of payloads.
    PAYLOAD_MAX_BYTES = number("MILLRACE_PAYLOAD_MAX_BYTES", "65536", 2, 524_288,
        "bytes of the largest payload of an event; below `MILLRACE_HTTP_MAX_BODY_BYTES`");
    /// Depth of payloads.
    PAYLOAD_MAX_DEPTH = number("MILLRACE_PAYLOAD_MAX_DEPTH", "32", 0, 100,
        "arrays and objects inside one another in a payload");
    /// Digits of numbers.
    PAYLOAD_MAX_DIGITS = number("MILLRACE_PAYLOAD_MAX_DIGITS", "40", 1, 1_000,
        "digits of the longest number in a payload");
    /// Exponents of numbers.
    PAYLOAD_MAX_EXPONENT = number("MILLRACE_PAYLOAD_MAX_EXPONENT", "308", 0, 308,
        "largest exponent of a number in a payload, whatever its sign");
    /// Clocks of devices.
    OCCURRED_AT_MAX_AHEAD = millis("MILLRACE_OCCURRED_AT_MAX_AHEAD_MS", "300000", 0, 86_400_000,
        "how far ahead of our clock an event may say that it happened");
    /// Longest wait of a decision's answer for the log.
    DECISION_WAIT = millis("MILLRACE_DECISION_WAIT_MS", "2000", 0, 60_000,
        "Longest time that the answer to a decision waits until the log has it; then it is 202 and the decision's address.");
    /// Connections of command-api for decisions.
    DECISION_CONNECTIONS = number("MILLRACE_DECISION_CONNECTIONS", "16", 2, 1_000,
        "Connections of a command-api to the event store, beside one that listens and one of the relay.");
    /// How long answers to named requests are kept.
    IDEMPOTENCY_HOURS = number("MILLRACE_IDEMPOTENCY_HOURS", "168", 1, 8_760,
        "Hours for which the answer to a request with an Idempotency-Key is kept and given again.");
    /// How long an address is kept for whoever has not confirmed it.
    EMAIL_CLAIM_HOURS = number("MILLRACE_EMAIL_CLAIM_HOURS", "168", 1, 8_760,
        "Hours for which an e-mail address is kept for a user who has not confirmed it, and for which the mail's token holds.");
    /// How long a session may rest.
    SESSION_IDLE_DAYS = number("MILLRACE_SESSION_IDLE_DAYS", "14", 1, 3_650,
        "days after which a session that nobody refreshed is over");
    /// How long a session may last.
    SESSION_MAX_DAYS = number("MILLRACE_SESSION_MAX_DAYS", "90", 1, 3_650,
        "days after which a session is over however often it was refreshed; no fewer than `MILLRACE_SESSION_IDLE_DAYS`");
    /// How long a refresh may be repeated.
    REFRESH_REPEAT = millis("MILLRACE_REFRESH_REPEAT_MS", "10000", 0, 60_000,
        "how long the same client is given the same new refresh token when it sends the one before again; after that the old one ends the session");
    /// Least time of refusals.
    LOGIN_FLOOR = millis("MILLRACE_LOGIN_FLOOR_MS", "0", 0, 10_000,
        "how long it takes at least until a login is refused, from when it is known whether it has to wait: where hashes of users cost different times, more than the dearest takes, so that the time does not tell who there is; with as much as one hash takes it does not tell either who comes in from an address where strangers have to wait");
    /// Who has to have a second factor.
    SECOND_FACTOR_ROLES = text("MILLRACE_SECOND_FACTOR_ROLES", Some(""),
        "roles, separated by commas, whose users come in with a second factor alone: who has none is told how to enrol one at login; when empty nobody has to, and whoever wants may");
    /// What passwords are hashed with.
    PASSWORD_HASH = Setting {
        name: "MILLRACE_PASSWORD_HASH", aliases: &["PASSWORD_HASH"], default: Some("argon2id"),
        kind: Kind::OneOf(&["argon2id", "bcrypt"]),
        about: "what new passwords are hashed with; hashes of both kinds are known, and one of bcrypt is replaced by a better one at login. `bcrypt` is for those who must: it takes passwords of 72 bytes at most",
    };
    /// Rounds of bcrypt.
    BCRYPT_ROUNDS = Setting {
        name: "MILLRACE_BCRYPT_ROUNDS", aliases: &["BCRYPT_ROUNDS"], default: Some("12"),
        kind: Kind::Number { min: 10, max: 15 },
        about: "binary logarithm of the rounds of a hash where `MILLRACE_PASSWORD_HASH` is `bcrypt`: one more takes twice as long",
    };
    /// Hashes of passwords at once.
    PASSWORD_HASHES = number("MILLRACE_PASSWORD_HASHES", "2", 1, 256,
        "passwords that command-api hashes or compares at once, each on a thread of its own and with 19 MiB");
    /// Queue of passwords.
    PASSWORD_QUEUED_HASHES = number("MILLRACE_PASSWORD_MAX_QUEUED_HASHES", "64", 0, 65_536,
        "passwords that may wait to be hashed or compared; one more is answered 503");
    /// Whether registering tells who has an account.
    REGISTRATION_REVEALS_ACCOUNTS = Setting {
        name: "MILLRACE_REGISTRATION_REVEALS_ACCOUNTS", aliases: &["REGISTRATION_REVEALS_ACCOUNTS"], default: Some("true"),
        kind: Kind::OneOf(&["true", "false"]),
        about: "whether whoever registers is told that a user name or an address is somebody else's; with `false` all are answered alike, and only who follows the link of a mail becomes a user, so that mails must leave",
    };
    /// How mails leave.
    MAIL = Setting {
        name: "MILLRACE_MAIL", aliases: &[], default: None, kind: Kind::OneOf(&["off", "outbox", "smtp"]),
        about: "how mails leave command-api: by `smtp`, into a directory (`outbox`), or not at all, so that they wait (`off`); when absent `outbox` in the `dev` profile and `off` in production",
    };
    /// Where mails are written.
    MAIL_OUTBOX = text("MILLRACE_MAIL_OUTBOX", Some(".local/outbox"),
        "directory that mails are written into as `.eml` files where they leave by `outbox`; made when the first one comes");
    /// The mail server.
    SMTP_URL = Setting {
        name: "MILLRACE_SMTP_URL", aliases: &[], default: None, kind: Kind::Secret,
        about: "the mail server, `smtp://user:password@host:port` with STARTTLS, which `?tls=none` does without, or `smtps://` with TLS from the beginning; a path is what we call ourselves to it; needed by `smtp`",
    };
    /// Patience with the mail server.
    SMTP_TIMEOUT = millis("MILLRACE_SMTP_TIMEOUT_MS", "10000", 100, 120_000,
        "how long the mail server may take for one mail, from connecting on; then it is tried again");
    /// Sender of mails.
    MAIL_FROM = text("MILLRACE_MAIL_FROM", None,
        "whom mails come from, `name@host` or `Name <name@host>`; needed by `smtp`, `no-reply@localhost` in an `outbox`");
    /// Links in mails.
    PUBLIC_URL = url("MILLRACE_PUBLIC_URL", None,
        "the front door as people reach it, with which links in mails begin; needed by `smtp`, `http://127.0.0.1:8000` in an `outbox`");
    /// Connections of reads.
    QUERY_API_CONNECTIONS = number("MILLRACE_QUERY_API_CONNECTIONS", "4", 1, 64,
        "database connections of query-api that answer reads of resources, and as many for those of users");
    /// Queue of reads.
    QUERY_API_QUEUED_READS = number("MILLRACE_QUERY_API_MAX_QUEUED_READS", "1024", 1, 65_536,
        "reads that may wait for a database connection; one more is answered 503");
    /// Time of a read.
    QUERY_API_READ_TIMEOUT = millis("MILLRACE_QUERY_API_READ_TIMEOUT_MS", "2000", 10, 60_000,
        "how long a read may take in the database, its place in the queue included");
    /// Silence of a device.
    OFFLINE_AFTER = millis("MILLRACE_OFFLINE_AFTER_MS", "300000", 1, 31_536_000_000,
        "silence after which a device is shown as offline, by the log's time of its last event and the database's clock");
    /// Connections of pages.
    QUERY_API_PAGE_CONNECTIONS = number("MILLRACE_QUERY_API_PAGE_CONNECTIONS", "2", 1, 64,
        "database connections of query-api for pages of resources, and as many each for pages of history, of users and of what was done to one");
    /// Rows of a page.
    QUERY_API_PAGE_ROWS = number("MILLRACE_QUERY_API_PAGE_ROWS", "50", 1, 10_000,
        "rows of a page where the client does not say");
    /// Rows of a page at most.
    QUERY_API_MAX_PAGE_ROWS = number("MILLRACE_QUERY_API_MAX_PAGE_ROWS", "500", 1, 10_000,
        "rows of a page that a client may ask for");
    /// Bytes of a page.
    QUERY_API_PAGE_BYTES = number("MILLRACE_QUERY_API_PAGE_BYTES", "1048576", 1, 67_108_864,
        "bytes of payloads at which a page ends before it has its rows; the next one goes on from there");
    /// Pages under way.
    QUERY_API_MAX_PAGES = number("MILLRACE_QUERY_API_MAX_PAGES", "64", 1, 65_536,
        "pages that are read or sent at once; one more is answered 503");
    /// Exports under way.
    QUERY_API_MAX_EXPORTS = number("MILLRACE_QUERY_API_MAX_EXPORTS", "2", 1, 64,
        "exports that run at once, each with a database connection of its own; one more is answered 503");
    /// Time of an export.
    QUERY_API_EXPORT_TIMEOUT = millis("MILLRACE_QUERY_API_EXPORT_TIMEOUT_MS", "600000", 100, 86_400_000,
        "how long an export may take; then it breaks off, and its snapshot is given up");
    /// Longest wait for a position.
    QUERY_API_MAX_WAIT = millis("MILLRACE_QUERY_API_MAX_WAIT_MS", "5000", 0, 20_000,
        "longest wait that a read with a consistency token may ask for");
    /// Usual wait for a position.
    QUERY_API_DEFAULT_WAIT = millis("MILLRACE_QUERY_API_DEFAULT_WAIT_MS", "2000", 0, 20_000,
        "how long a read with a consistency token waits unless it asks for another time");
    /// Waiting reads.
    QUERY_API_WAITING_READS = number("MILLRACE_QUERY_API_MAX_WAITING_READS", "1024", 1, 65_536,
        "reads that may wait for a position; one more is answered 503");
    /// Partitions of new topics.
    TOPIC_PARTITIONS = number("MILLRACE_TOPIC_PARTITIONS", "12", 1, 1000,
        "partitions that the deploy step creates topics with, and by that the most projectors at work; every process keeps to the recorded number, and to change it afterwards would move keys");
    /// Projections of a projector.
    PROJECTOR_PROJECTIONS = text("MILLRACE_PROJECTOR_PROJECTIONS", Some("resource,device_history,user,session"),
        "the projections that a projector runs, separated by commas: some may be given processes of their own");
    /// Months of history.
    HISTORY_MONTHS = number("MILLRACE_HISTORY_MONTHS", "13", 0, 1_200,
        "whole months of device history that are kept beside the one that runs, by log time; older ones are dropped, and 0 keeps all");
    /// Fold lanes.
    PROJECTOR_LANES = number("MILLRACE_PROJECTOR_LANES", "2", 1, 64,
        "lanes of a projection: tasks, each with one database connection, that fold partitions side by side");
    /// Batch records.
    PROJECTOR_BATCH_RECORDS = number("MILLRACE_PROJECTOR_BATCH_RECORDS", "5000", 1, 100_000,
        "records at which a partition is folded alone");
    /// Batch bytes.
    PROJECTOR_BATCH_BYTES = number("MILLRACE_PROJECTOR_BATCH_BYTES", "8388608", 1024, 268_435_456,
        "bytes at which a partition is folded alone");
    /// Batch age.
    PROJECTOR_BATCH_AGE = millis("MILLRACE_PROJECTOR_BATCH_AGE_MS", "20", 0, 10_000,
        "least time between the folds of a lane while less waits than a batch; a single event waits for nothing");
    /// Transaction limit.
    PROJECTOR_TRANSACTION_TIMEOUT = millis("MILLRACE_PROJECTOR_TRANSACTION_TIMEOUT_MS", "6000", 1000, 6_500,
        "longest transaction of a lane, kept by Postgres: a frozen projector holds no lock longer, and what it told the cache stands until then");
    /// Lock limit.
    PROJECTOR_LOCK_TIMEOUT = millis("MILLRACE_PROJECTOR_LOCK_TIMEOUT_MS", "1000", 10, 60_000,
        "longest wait of a lane for a lock that somebody else holds, before it tries again");
    /// Session limit.
    PROJECTOR_SESSION_TIMEOUT = millis("MILLRACE_PROJECTOR_SESSION_TIMEOUT_MS", "10000", 6000, 300_000,
        "silence of a projector after which its partitions go to others");
    /// Fetch size.
    PROJECTOR_FETCH_MIN_BYTES = number("MILLRACE_PROJECTOR_FETCH_MIN_BYTES", "1", 1, 52_428_800,
        "bytes a broker collects before it answers a fetch: more saves CPU and costs latency");
    /// Fetch wait.
    PROJECTOR_FETCH_WAIT = millis("MILLRACE_PROJECTOR_FETCH_WAIT_MS", "50", 1, 5000,
        "longest time a broker collects for a fetch");
    /// Sampling.
    PROJECTOR_PROCESSED_LINES = number("MILLRACE_PROJECTOR_PROCESSED_LINES_PER_SECOND", "20", 0, 100_000,
        "log lines `Processed message` in a second, at most; what is beyond is counted");
}
