//! `keys`: lists the keys that sign access tokens, replaces the one that signs, and revokes one.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use domain::Timestamp;
use sqlx::PgConnection;

use super::ToolError;
use super::session::Session;
use crate::access_token::AccessTokenConfig;
use crate::jwks;
use crate::signing_keys::{KeyTable, Keys as Published, RevokedKey, RotateError};

/// How long a key is published that signs at once: so long our own processes may take to hear of it.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Lists, replaces and revokes the keys that sign access tokens.
#[derive(Debug, Args)]
pub(super) struct Keys {
    #[command(subcommand)]
    wish: Wish,
}

#[derive(Debug, Subcommand)]
enum Wish {
    /// Prints a line for each key: its name, what it does, from when it signs, until when it is published.
    List,
    /// Makes a new key, which signs once everybody may know it (`MILLRACE_SIGNING_KEY_LEAD_S`).
    Rotate {
        /// It signs in a second, when our own processes know it: whoever else remembers the published keys
        /// refuses its tokens until they are read again.
        #[arg(long)]
        at_once: bool,
    },
    /// Takes a key away: access tokens that it signed are refused from now on.
    Revoke {
        /// The key's name, as `list` prints it.
        #[arg(value_name = "KID")]
        kid: String,
    },
}

impl Keys {
    pub(super) async fn run(self, session: &Session) -> Result<String, ToolError> {
        let config = &session.config.access_tokens;
        let table = KeyTable::new(&session.config);
        let mut connection = table.connect().await.map_err(reading)?;
        match self.wish {
            Wish::List => {
                let keys = table.read(&mut connection).await.map_err(reading)?;
                Ok(listed(&keys, config.revocations_hold()))
            }
            Wish::Rotate { at_once } => rotate(&table, &mut connection, config, at_once).await,
            Wish::Revoke { kid } => {
                let changing = ToolError::failed("revoking the key");
                let revoked = table.revoke(&mut connection, &kid).await;
                let revoked = revoked.map_err(|error| changing(error.to_string()))?;
                told_revoked(&kid, &revoked, jwks::max_age(config.key_lead))
            }
        }
    }
}

async fn rotate(
    table: &KeyTable,
    connection: &mut PgConnection,
    config: &AccessTokenConfig,
    at_once: bool,
) -> Result<String, ToolError> {
    let lead = if at_once { AT_ONCE } else { config.key_lead };
    let rotated = table.rotate(connection, lead).await;
    let kid = rotated.map_err(|error| match error {
        RotateError::TooMany => ToolError::Asked(error.to_string()),
        RotateError::Database(error) => ToolError::failed("making a key")(error.to_string()),
    })?;
    let keys = table.read(connection).await.map_err(reading)?;
    Ok(told_rotated(&kid, &keys, config, at_once))
}

fn told_rotated(kid: &str, keys: &Published, config: &AccessTokenConfig, at_once: bool) -> String {
    let mut text = String::new();
    let new = keys.all().iter().find(|key| key.kid == kid);
    // Writing to a text cannot fail.
    if let Some(new) = new {
        let _ = writeln!(text, "key {kid} signs from {}", time(new.signs_from));
    }
    let mut before = keys.all().iter().rev().skip_while(|key| key.kid != kid).skip(1);
    if let Some(old) = before.find(|key| key.private.is_some()) {
        let until = keys.published_until(&old.kid, config.revocations_hold());
        let until = until.map(time).unwrap_or_default();
        let _ = writeln!(text, "key {} signs until then and is published until {until}", old.kid);
    }
    if at_once {
        let seconds = jwks::max_age(config.key_lead).as_secs();
        let _ = writeln!(
            text,
            "whoever remembers {} refuses tokens of the new key for up to {seconds} s",
            jwks::PATH
        );
    }
    text
}

fn told_revoked(kid: &str, revoked: &RevokedKey, max_age: Duration) -> Result<String, ToolError> {
    if *revoked == RevokedKey::Unknown {
        return Err(ToolError::Asked(format!("no key {kid} is published")));
    }
    let mut text = format!(
        "key {kid} is revoked: our processes that reach the database refuse its access tokens within 5 s, whoever \
         remembers {} within {} s\n",
        jwks::PATH,
        max_age.as_secs()
    );
    if let RevokedKey::Replaced(new) = revoked {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "key {new} is new and signs from now on");
    }
    Ok(text)
}

/// A line of four words for each key, for people and for scripts alike.
fn listed(keys: &Published, hold: Duration) -> String {
    let now = keys.read_at();
    let signer = keys.signer_at(now).map(|(kid, _)| kid);
    let mut text = String::new();
    for key in keys.all() {
        let does = if signer == Some(key.kid.as_str()) {
            "signs"
        } else if key.private.is_none() {
            "unopened"
        } else if key.signs_from > now {
            "next"
        } else {
            "signed"
        };
        let until = keys.published_until(&key.kid, hold).map_or_else(|| "-".to_owned(), time);
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{} {does:<8} {} {until}", key.kid, time(key.signs_from));
    }
    text
}

fn time(time: Timestamp) -> String {
    time.to_rfc3339().unwrap_or_else(|| "-".to_owned())
}

fn reading(error: sqlx::Error) -> ToolError {
    ToolError::failed("reading the keys")(error.to_string())
}

#[cfg(test)]
mod tests {
    use settings::Settings;

    use super::*;
    use crate::signing_keys::Key;

    const NOW: &str = "2026-03-01T12:00:00.000000Z";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn key(kid: &str, signs_from: &str) -> Key {
        Key { kid: kid.to_owned(), ..Key::generate(at(signs_from)) }
    }

    fn config() -> AccessTokenConfig {
        AccessTokenConfig::from_settings(&mut Settings::new([]))
    }

    #[test]
    fn each_key_has_a_line_of_four_words() {
        let keys = vec![
            key("one", "2026-03-01T11:50:00Z"),
            Key { private: None, ..key("two", "2026-03-01T11:55:00Z") },
            key("three", "2026-03-01T11:58:00Z"),
            key("four", "2026-03-01T12:10:00Z"),
        ];
        let text = listed(&Published::new(keys, at(NOW)), Duration::from_secs(1_020));
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines,
            [
                ["one", "signed", "2026-03-01T11:50:00.000000Z", "2026-03-01T12:15:00.000000Z"],
                ["two", "unopened", "2026-03-01T11:55:00.000000Z", "2026-03-01T12:15:00.000000Z"],
                ["three", "signs", "2026-03-01T11:58:00.000000Z", "2026-03-01T12:27:00.000000Z"],
                ["four", "next", "2026-03-01T12:10:00.000000Z", "-"],
            ]
        );
        assert_eq!(listed(&Published::new(vec![], at(NOW)), Duration::ZERO), "");
    }

    #[test]
    fn whoever_rotates_is_told_when_and_how_long() {
        let keys = vec![key("old", "2026-03-01T11:00:00Z"), key("new", "2026-03-01T12:10:00Z")];
        let keys = Published::new(keys, at(NOW));
        let said = "key new signs from 2026-03-01T12:10:00.000000Z\n\
            key old signs until then and is published until 2026-03-01T12:31:30.000000Z\n";
        assert_eq!(told_rotated("new", &keys, &config(), false), said);
        let warned = told_rotated("new", &keys, &config(), true);
        assert!(warned.starts_with(said) && warned.ends_with("for up to 300 s\n"), "{warned}");
        let first = Published::new(vec![key("new", "2026-03-01T12:10:00Z")], at(NOW));
        let said = told_rotated("new", &first, &config(), false);
        assert_eq!(said.lines().count(), 1, "{said}");
    }

    #[test]
    fn whoever_revokes_is_told_what_signs_instead() {
        let told = |revoked| told_revoked("one", &revoked, Duration::from_secs(300));
        assert!(told(RevokedKey::Unknown).is_err());
        assert_eq!(told(RevokedKey::Gone).unwrap().lines().count(), 1);
        let replaced = told(RevokedKey::Replaced("two".to_owned())).unwrap();
        assert!(replaced.ends_with("key two is new and signs from now on\n"), "{replaced}");
    }
}
