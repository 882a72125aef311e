//! Variables in which every secret of the table is planted.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use settings::{Kind, Setting, table};
use test_support::Launch;

use super::planted::Planted;

/// What must be set beside secrets, so that they mean something.
const BESIDE: [(&str, &str); 9] = [
    ("MILLRACE_PROFILE", "dev"),
    ("KAFKA_BROKERS", "127.0.0.1:1"),
    ("MILLRACE_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
    ("MILLRACE_KAFKA_SASL_USERNAME", "ann"),
    ("MILLRACE_SCHEMA_REGISTRY_USERNAME", "ann"),
    ("MILLRACE_TRACE_PER_MILLE", "1000"),
    ("MILLRACE_MAIL", "smtp"),
    ("MILLRACE_MAIL_FROM", "millrace@example.org"),
    ("MILLRACE_PUBLIC_URL", "https://app.example.org"),
];

/// How a process is told its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    ByVariables,
    ByFiles,
}

/// Every secret of the table, as it may be.
pub(super) fn secrets() -> impl Iterator<Item = &'static Setting> {
    table::ALL.iter().copied().filter(|setting| setting.kind == Kind::Secret)
}

/// Something that a secret may be, which holds the text.
pub(super) fn valid(setting: &Setting, text: &str) -> String {
    match setting.name {
        "DATABASE_URL" => format!("postgres://ann:{text}@127.0.0.1:1/appdb"),
        "REDIS_URL" => format!("redis://ann:{text}@127.0.0.1:1/0"),
        "MILLRACE_SMTP_URL" => format!("smtp://ann:{text}@127.0.0.1:1?tls=none"),
        "MILLRACE_OTLP_HEADERS" => format!("authorization=Bearer {text}"),
        _ => text.to_owned(),
    }
}

/// Settings under which every process would run, though nobody answers it: each secret is planted, and
/// the user and password of each address.
pub(super) fn all(planted: &Planted) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> =
        BESIDE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for setting in secrets() {
        let text = planted.secret(setting.name);
        variables.insert(setting.name.to_owned(), valid(setting, &text));
    }
    for (setting, path) in [
        (&table::SCHEMA_REGISTRY_URL, "/apis/ccompat/v7"),
        (&table::JWKS_URL, "/jwks.json"),
        (&table::OTLP_ENDPOINT, ""),
    ] {
        let password = planted.secret(&format!("the password in {}", setting.name));
        let url = format!("http://ann:{password}@127.0.0.1:1{path}");
        variables.insert(setting.name.to_owned(), url);
    }
    variables
}

/// The process with these variables; its secrets in files in `dir` where it is told so.
pub(super) fn set(
    launch: Launch,
    variables: &BTreeMap<String, String>,
    told: Told,
    dir: &Path,
) -> Result<Launch> {
    let is_secret = |name: &str| secrets().any(|setting| setting.name == name);
    variables.iter().try_fold(launch, |launch, (name, value)| {
        if told == Told::ByVariables || !is_secret(name) {
            return Ok(launch.setting(name, value));
        }
        let file = dir.join(format!("{}-{name}", launch.name()));
        std::fs::write(&file, format!("{value}\n")).with_context(|| format!("writing {name}"))?;
        Ok(launch.without(name).setting(&format!("{name}_FILE"), file.display()))
    })
}
