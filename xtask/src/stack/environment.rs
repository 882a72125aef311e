//! `.local/env`: where everything is, for people, scripts and tests.

use anyhow::{Context, Result};

use super::Stack;
use super::local_dir::LocalDir;
use super::ports::Listener;
use super::{certificates, postgres, registry};
use crate::dev_token;

/// The variables, in the order in which they are written.
pub(crate) fn variables(stack: &Stack) -> Result<Vec<(String, String)>> {
    let port = |listener| stack.ports.of(listener);
    let mut variables = vec![
        (settings::table::URL.name, front_door(stack)),
        ("KAFKA_BROKERS", brokers(stack)),
        ("SCHEMA_REGISTRY_URL", registry_url(stack)),
        ("DATABASE_URL", postgres::url(stack, postgres::OWNER)),
        ("REDIS_URL", format!("redis://127.0.0.1:{}", port(Listener::Redis))),
        ("DEV_TOKEN", dev_token::mint()?),
        ("ADMIN_TOKEN", dev_token::mint_admin()?),
        ("PGSSLMODE", "disable".to_owned()),
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", port(Listener::Postgres).to_string()),
        ("PGUSER", postgres::OWNER.to_owned()),
        ("PGPASSWORD", postgres::OWNER.to_owned()),
        ("PGDATABASE", postgres::DATABASE.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect::<Vec<_>>();
    variables.extend(secured(stack));
    variables.extend(
        postgres::PROCESS_ROLES.iter().chain([&postgres::ANALYST]).map(|role| {
            (format!("{}_DATABASE_URL", role.to_uppercase()), postgres::url(stack, role))
        }),
    );
    Ok(variables)
}

/// What listens over TLS and asks for a name. The names have no prefix of ours, since processes refuse
/// settings that they do not know.
fn secured(stack: &Stack) -> impl Iterator<Item = (String, String)> {
    let port = |listener| stack.ports.of(listener);
    let registry = port(Listener::RegistryDoor);
    [
        ("SECURED_KAFKA_BROKERS", format!("localhost:{}", port(Listener::KafkaSecured))),
        ("SECURED_REDIS", format!("localhost:{}", port(Listener::RedisSecured))),
        (
            "SECURED_SCHEMA_REGISTRY_URL",
            format!("https://localhost:{registry}{}", registry::API_PATH),
        ),
        ("SECURED_CA_PATH", certificates::authority(stack).display().to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
}

/// Where clients reach the front door.
pub(crate) fn front_door(stack: &Stack) -> String {
    format!("http://127.0.0.1:{}", stack.ports.of(Listener::Nginx))
}

/// The broker.
pub(crate) fn brokers(stack: &Stack) -> String {
    format!("127.0.0.1:{}", stack.ports.of(Listener::Kafka))
}

/// The registry's Confluent REST API.
pub(crate) fn registry_url(stack: &Stack) -> String {
    format!("http://127.0.0.1:{}{}", stack.ports.of(Listener::Registry), registry::API_PATH)
}

/// A text that a shell can source.
pub(crate) fn render(variables: &[(String, String)]) -> String {
    let lines = variables
        .iter()
        .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
    std::iter::once("# Written when the stack came up; read it with `. .local/env`.\n".to_owned())
        .chain(lines)
        .collect()
}

/// A variable of the file.
pub(crate) fn read(local: &LocalDir, name: &str) -> Result<String> {
    let path = local.env();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("reading {}; is the stack up?", path.display()))?;
    let value = |line: &str| {
        let (variable, value) = line.strip_prefix("export ")?.split_once('=')?;
        (variable == name).then(|| value.trim_matches('\'').to_owned())
    };
    let value = text.lines().find_map(value);
    value.with_context(|| format!("{} has no {name}", path.display()))
}

/// Writes the file.
pub(crate) fn write(stack: &Stack) -> Result<()> {
    let path = stack.local.env();
    std::fs::write(&path, render(&variables(stack)?))
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_a_shell_reads_back() {
        let value = "it's $HOME \"quoted\"";
        let text = render(&[("DEV_TOKEN".to_owned(), value.to_owned())]);
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("{text}\nprintf %s \"$DEV_TOKEN\"")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }
}
