//! The prefix under which one deployment owns its names in shared systems.

use std::fmt;

use crate::{Settings, table};

/// Prefix of topics, consumer groups, database schemas and cache keys; empty for the usual case of
/// systems that serve one deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefix(String);

impl Prefix {
    /// The longest prefix, so that every name built with it fits Postgres' 63 bytes.
    pub const MAX_LENGTH: usize = 24;

    /// Reads the prefix; it may hold lower-case letters, digits and `_`, and begins with a letter.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let text = settings.text(&table::PREFIX);
        Self::parse(&text).unwrap_or_else(|| {
            settings.fault(format!(
                "{} must be at most {} lower-case letters, digits and _, beginning with a letter, not \"{text}\"",
                table::PREFIX.name,
                Self::MAX_LENGTH
            ));
            Self::default()
        })
    }

    /// Takes a text that is empty or a valid prefix.
    pub fn parse(text: &str) -> Option<Self> {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let valid = text.is_empty()
            || (text.len() <= Self::MAX_LENGTH
                && text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.chars().all(letters));
        valid.then(|| Self(text.to_owned()))
    }

    /// `<prefix>.<name>`, or the name alone: topics and consumer groups.
    pub fn dotted(&self, name: &str) -> String {
        self.joined(name, '.')
    }

    /// `<prefix>_<name>`, or the name alone: database schemas.
    pub fn underscored(&self, name: &str) -> String {
        self.joined(name, '_')
    }

    fn joined(&self, name: &str, by: char) -> String {
        if self.0.is_empty() { name.to_owned() } else { format!("{}{by}{name}", self.0) }
    }
}

/// The channel of the database on which processes are told that something changed which decides whose
/// access tokens are taken, of a deployment whose secrets are in this Postgres schema. Whoever hears a
/// notice reads the tables again: one without a text is of `revocations`.
pub fn changed_channel(identity_schema: &str) -> String {
    format!("{identity_schema}_changed")
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_prefix_leaves_names_alone() {
        assert_eq!(Prefix::default().dotted("events-input"), "events-input");
    }

    #[test]
    fn a_prefix_is_joined_as_each_system_spells_names() {
        let prefix = Prefix::parse("acme_2").unwrap();
        assert_eq!(prefix.dotted("events-input"), "acme_2.events-input");
        assert_eq!(prefix.underscored("read_models"), "acme_2_read_models");
    }

    #[test]
    fn what_postgres_or_kafka_would_not_take_is_no_prefix() {
        for text in ["Acme", "2a", "a-b", "a.b", "ä", "aaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(Prefix::parse(text), None, "{text}");
        }
    }
}
