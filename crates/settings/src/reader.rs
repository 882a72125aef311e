//! Reading settings from a look-up of variables, collecting every fault.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::{Kind, Setting, seconds, table, without_userinfo};

/// The prefix by which a variable is recognised as meant for us: one that is not in the table is
/// refused, so that a misspelt name cannot be silently without effect.
const OURS: &str = "MILLRACE_";

/// Why a process does not start: every fault of its settings, each naming its variable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the settings are wrong:\n  {}", .0.join("\n  "))]
pub struct SettingsError(
    /// One sentence for each fault.
    pub Vec<String>,
);

/// The variables of one process and the faults found in them so far.
///
/// Reading never fails at once: a wrong value is noted and a stand-in returned, and
/// [`Settings::finish`] then refuses all faults together.
pub struct Settings {
    variables: BTreeMap<String, String>,
    faults: Vec<String>,
    read: Vec<Effective>,
}

/// A setting as a process took it: what `--check-config` prints.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The setting.
    pub setting: &'static Setting,
    /// Its text, `None` where it is absent and has no default; that of a secret is never kept, and
    /// neither are the user and password of a URL.
    pub value: Option<String>,
    /// Whether the text is the default.
    pub is_default: bool,
}

impl Settings {
    /// Takes the variables and notes those that carry our prefix but are no setting.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: BTreeMap<_, _> = variables.into_iter().collect();
        let known: BTreeSet<&str> = table::ALL.iter().flat_map(|s| names(s)).collect();
        let faults = variables
            .keys()
            .filter(|name| name.starts_with(OURS))
            .filter(|name| !known.contains(name.as_str()) && !is_secret_file(name))
            .map(|name| match nearest(name, &known) {
                Some(near) => format!("{name} is not a setting; did you mean {near}?"),
                None => format!("{name} is not a setting"),
            })
            .collect();
        Self { variables, faults, read: Vec::new() }
    }

    /// The text of a setting, or its default.
    pub fn text(&mut self, setting: &'static Setting) -> String {
        self.optional_text(setting).unwrap_or_else(|| {
            self.fault(format!("{} is required: {}", setting.name, setting.about));
            String::new()
        })
    }

    /// The text of a setting that may be absent.
    pub fn optional_text(&mut self, setting: &'static Setting) -> Option<String> {
        let given = self.given(setting);
        if let (Some(text), Kind::OneOf(words)) = (&given, setting.kind)
            && !words.contains(&text.as_str())
        {
            self.fault(format!("{} must be one of {}", setting.name, words.join(", ")));
        }
        self.note(setting, given.as_deref());
        given.or_else(|| setting.default.map(str::to_owned))
    }

    /// The variables that are set for a setting: its name, another name of it, the file of either. For the fault of
    /// one that must not be there.
    pub fn set_by(&self, setting: &Setting) -> Vec<&str> {
        let is_of = |variable: &str| {
            let is_secret = setting.kind == Kind::Secret;
            let of_file = variable.strip_suffix("_FILE").filter(|_| is_secret);
            names(setting).any(|name| name == variable || of_file == Some(name))
        };
        self.variables.keys().map(String::as_str).filter(|variable| is_of(variable)).collect()
    }

    /// A whole number within its bounds.
    pub fn number(&mut self, setting: &'static Setting) -> u64 {
        let (min, max, unit) = match setting.kind {
            Kind::Number { min, max } => (min, max, ""),
            Kind::Millis { min, max } => (min, max, " milliseconds"),
            _ => (0, u64::MAX, ""),
        };
        let text = self.text(setting);
        match text.parse() {
            Ok(number) if (min..=max).contains(&number) => number,
            _ => {
                self.fault(format!(
                    "{} must be a whole number from {min} to {max}{unit}, not \"{text}\"",
                    setting.name
                ));
                min
            }
        }
    }

    /// A number as `usize`.
    pub fn size(&mut self, setting: &'static Setting) -> usize {
        usize::try_from(self.number(setting)).unwrap_or(usize::MAX)
    }

    /// A time, written in milliseconds.
    pub fn millis(&mut self, setting: &'static Setting) -> Duration {
        Duration::from_millis(self.number(setting))
    }

    /// A time, written in days.
    pub fn days(&mut self, setting: &'static Setting) -> Duration {
        Duration::from_secs(self.number(setting).saturating_mul(24 * 3_600))
    }

    /// A time of whole seconds, written with a unit or without.
    pub fn seconds(&mut self, setting: &'static Setting) -> Duration {
        let (min, max) = match setting.kind {
            Kind::Seconds { min, max } => (min, max),
            _ => (0, u64::MAX),
        };
        let text = self.text(setting);
        let seconds = seconds::parse(&text).filter(|seconds| (min..=max).contains(seconds));
        Duration::from_secs(seconds.unwrap_or_else(|| {
            self.fault(format!(
                "{} must be a time from {min} to {max} seconds, such as 900, 900s, 15m or 1h, not \"{text}\"",
                setting.name
            ));
            min
        }))
    }

    /// An address to listen on.
    pub fn socket_address(&mut self, setting: &'static Setting) -> SocketAddr {
        let text = self.text(setting);
        text.parse().unwrap_or_else(|_| {
            self.fault(format!(
                "{} must be an address such as 127.0.0.1:8001, not \"{text}\"",
                setting.name
            ));
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    /// Notes a fault that only the reader of several settings can see, such as a contradiction.
    pub fn fault(&mut self, fault: impl Into<String>) {
        let fault = fault.into();
        // Two readers of one setting find the same fault.
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Every setting read so far, in the order of reading.
    pub fn effective(&self) -> &[Effective] {
        &self.read
    }

    /// The value, if no setting was at fault.
    pub fn finish<T>(self, config: T) -> Result<T, SettingsError> {
        if self.faults.is_empty() { Ok(config) } else { Err(SettingsError(self.faults)) }
    }

    fn note(&mut self, setting: &'static Setting, given: Option<&str>) {
        if self.read.iter().any(|noted| noted.setting.name == setting.name) {
            return;
        }
        let value = match (setting.kind, given.or(setting.default)) {
            (Kind::Secret, Some(_)) => Some("***".to_owned()),
            (Kind::Url, Some(url)) => Some(without_userinfo(url)),
            (_, value) => value.map(str::to_owned),
        };
        self.read.push(Effective { setting, value, is_default: given.is_none() });
    }

    fn given(&mut self, setting: &'static Setting) -> Option<String> {
        let mut found: Option<(&str, String)> = None;
        for name in names(setting) {
            let Some(value) = self.value_of(name, setting.kind) else { continue };
            match &found {
                Some((first, text)) if *text != value => {
                    let fault = format!("{first} and {name} mean the same but differ");
                    self.fault(fault);
                }
                Some(_) => {}
                None => found = Some((name, value)),
            }
        }
        found.map(|(_, value)| value)
    }

    fn value_of(&mut self, name: &str, kind: Kind) -> Option<String> {
        let plain = self.variables.get(name).cloned();
        let file = (kind == Kind::Secret)
            .then(|| self.variables.get(&format!("{name}_FILE")).cloned())
            .flatten();
        let value = match (plain, file) {
            (Some(_), Some(_)) => {
                self.fault(format!("{name} and {name}_FILE are both set; keep one"));
                return None;
            }
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
                Err(error) => {
                    self.fault(format!("{name}_FILE cannot be read ({path}): {error}"));
                    return None;
                }
            },
            (plain, None) => plain?,
        };
        if value.is_empty() {
            self.fault(format!("{name} is set but empty"));
            return None;
        }
        Some(value)
    }
}

fn names(setting: &Setting) -> impl Iterator<Item = &'static str> + use<> {
    let (name, aliases) = (setting.name, setting.aliases);
    std::iter::once(name).chain(aliases.iter().copied())
}

fn is_secret_file(name: &str) -> bool {
    name.strip_suffix("_FILE").is_some_and(|base| {
        table::ALL.iter().any(|s| s.kind == Kind::Secret && names(s).any(|n| n == base))
    })
}

/// The known name that differs least, if it differs by little: for the message only.
fn nearest<'a>(name: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    let (distance, near) = known.iter().map(|k| (edit_distance(name, k), *k)).min()?;
    (distance <= 4).then_some(near)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod secret_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    fn faults(settings: Settings) -> Vec<String> {
        settings.finish(()).map_or_else(|error| error.0, |()| Vec::new())
    }

    static PORT: Setting = Setting {
        name: "KAFKA_BROKERS",
        aliases: &["BROKERS"],
        default: Some("x"),
        kind: Kind::Text,
        about: "the brokers",
    };
    static COUNT: Setting = Setting {
        name: "COUNT",
        aliases: &[],
        default: Some("5"),
        kind: Kind::Number { min: 1, max: 9 },
        about: "how many",
    };

    static LIFETIME: Setting = Setting {
        name: "LIFETIME_S",
        aliases: &["EXPIRES_IN"],
        default: Some("900"),
        kind: Kind::Seconds { min: 60, max: 3_600 },
        about: "how long",
    };

    #[test]
    fn a_time_of_seconds_may_be_written_with_a_unit() {
        for (pairs, seconds) in [
            (&[][..], 900),
            (&[("LIFETIME_S", "60")], 60),
            (&[("EXPIRES_IN", "15m")], 900),
            (&[("EXPIRES_IN", "1h")], 3_600),
        ] {
            let mut read = settings(pairs);
            assert_eq!(read.seconds(&LIFETIME), Duration::from_secs(seconds), "{pairs:?}");
            assert!(faults(read).is_empty());
        }
    }

    #[test]
    fn a_time_of_seconds_out_of_bounds_is_named_with_its_bounds() {
        for text in ["59", "2h", "soon"] {
            let mut read = settings(&[("LIFETIME_S", text)]);
            read.seconds(&LIFETIME);
            let fault = format!(
                "LIFETIME_S must be a time from 60 to 3600 seconds, such as 900, 900s, 15m or 1h, not \"{text}\""
            );
            assert_eq!(faults(read), [fault]);
        }
    }

    #[test]
    fn an_absent_setting_has_its_default() {
        let mut read = settings(&[]);
        assert_eq!(read.number(&COUNT), 5);
        assert!(faults(read).is_empty());
    }

    #[test]
    fn what_was_read_is_told_without_the_secrets() {
        let mut read = settings(&[("DATABASE_URL", "postgres://u:hunter2@h/d"), ("COUNT", "7")]);
        read.text(&table::DATABASE_URL);
        read.number(&COUNT);
        read.number(&COUNT);
        let told: Vec<_> = read.effective().iter().map(|e| e.value.as_deref()).collect();
        assert_eq!(told, [Some("***"), Some("7")]);
    }

    #[test]
    fn urls_are_told_without_user_and_password() {
        for url in [&table::SCHEMA_REGISTRY_URL, &table::JWKS_URL, &table::URL] {
            let mut read = settings(&[(url.name, "https://ann:hunter2@host:8085/path")]);
            assert_eq!(read.optional_text(url).unwrap(), "https://ann:hunter2@host:8085/path");
            assert_eq!(read.effective()[0].value.as_deref(), Some("https://host:8085/path"));
        }
    }

    #[test]
    fn a_fault_that_two_readers_find_is_told_once() {
        let mut read = settings(&[("COUNT", "10")]);
        read.number(&COUNT);
        read.number(&COUNT);
        assert_eq!(faults(read).len(), 1);
    }

    #[test]
    fn a_number_out_of_bounds_is_named_with_its_bounds() {
        let mut read = settings(&[("COUNT", "10")]);
        read.number(&COUNT);
        assert_eq!(faults(read), ["COUNT must be a whole number from 1 to 9, not \"10\""]);
    }

    #[test]
    fn a_misspelt_name_is_refused_and_the_right_one_suggested() {
        let read = settings(&[("MILLRACE_PROFIEL", "dev")]);
        assert_eq!(
            faults(read),
            ["MILLRACE_PROFIEL is not a setting; did you mean MILLRACE_PROFILE?"]
        );
    }

    #[test]
    fn two_names_of_one_setting_must_agree() {
        let mut read = settings(&[("KAFKA_BROKERS", "a"), ("BROKERS", "b")]);
        read.text(&PORT);
        assert_eq!(faults(read), ["KAFKA_BROKERS and BROKERS mean the same but differ"]);
    }

    #[test]
    fn every_setting_has_one_name_and_a_default_that_it_accepts() {
        let mut seen = BTreeSet::new();
        for setting in table::ALL {
            for name in names(setting) {
                assert!(seen.insert(name), "{name} stands twice");
            }
            let mut read = settings(&[]);
            if setting.default.is_some() {
                match setting.kind {
                    Kind::Number { .. } | Kind::Millis { .. } => {
                        read.number(setting);
                    }
                    Kind::Seconds { .. } => {
                        read.seconds(setting);
                    }
                    Kind::SocketAddress => {
                        read.socket_address(setting);
                    }
                    Kind::OneOf(words) => {
                        assert!(words.contains(&read.text(setting).as_str()), "{}", setting.name);
                    }
                    Kind::Text | Kind::Secret | Kind::Url => {}
                }
            }
            assert!(faults(read).is_empty(), "{}", setting.name);
        }
    }
}
