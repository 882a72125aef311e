//! The table: every setting of every process. `docs/configuration.md` is written from it.

use crate::{Kind, Setting};

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
