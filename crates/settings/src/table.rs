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
        about: "`dev` allows HS256 access tokens and generated secrets; `production` refuses them",
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
    /// The registry.
    SCHEMA_REGISTRY_URL = text("SCHEMA_REGISTRY_URL", Some("http://127.0.0.1:8085/apis/ccompat/v7"),
        "the schema registry's Confluent REST API");
    /// The database that holds positions and read models.
    DATABASE_URL = Setting {
        name: "DATABASE_URL", aliases: &[], default: None, kind: Kind::Secret,
        about: "the Postgres database, `postgres://user:password@host:port/database`",
    };
    /// Log filter.
    LOG = text("MILLRACE_LOG", Some("info"), "which log lines are written, as a `tracing` filter");
    /// Log format.
    LOG_FORMAT = one_of("MILLRACE_LOG_FORMAT", "json", &["json", "text"],
        "`json` writes one object for each log line, `text` is for reading at a terminal");
    /// Name of the instance.
    INSTANCE = text("MILLRACE_INSTANCE", None,
        "name of this instance among those of its process, in logs; the process and its pid when absent");
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
        "largest body of a request");
    /// Shutdown budget.
    DRAIN_TIMEOUT = millis("MILLRACE_DRAIN_TIMEOUT_MS", "10000", 0, 300_000,
        "how long a stopping process may take to finish what it has begun");
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
        "age of the oldest waiting record at which a lane folds all it has");
}
