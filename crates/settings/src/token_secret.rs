//! The secrets that a deployment shares among its processes.

use std::fmt;

use crate::{Setting, Settings, table};

/// The secret of the `dev` profile.
const DEV_SECRET: &str = "local-dev-token-secret";

/// Shortest secret outside the `dev` profile, in bytes.
const MIN_BYTES: usize = 32;

/// A secret that several processes of a deployment share. Each use derives a key of its own from it. Never
/// printed.
#[derive(Clone)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// Reads `MILLRACE_TOKEN_SECRET`, the same in every process, which only the `dev` profile does without.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let secret = read(settings, &table::TOKEN_SECRET);
        Self(secret.unwrap_or_else(|| DEV_SECRET.to_owned()))
    }

    /// Reads `MILLRACE_SESSION_SECRET`, the same in every process that lets people in, and in no other: whoever has
    /// it can let anybody in. So it is not that of [all](Self::from_settings). Only the `dev` profile does without,
    /// and takes that one.
    pub fn of_sessions(settings: &mut Settings) -> Self {
        let Some(secret) = read(settings, &table::SESSION_SECRET) else {
            return Self::from_settings(settings);
        };
        let is_known_to_all =
            settings.optional_text(&table::TOKEN_SECRET).as_ref() == Some(&secret);
        if is_known_to_all && !is_dev(settings) {
            let (name, of_all) = (table::SESSION_SECRET.name, table::TOKEN_SECRET.name);
            settings.fault(format!("{name} must be another one than {of_all}"));
        }
        Self(secret)
    }

    /// What keys are derived from.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn is_dev(settings: &mut Settings) -> bool {
    settings.text(&table::PROFILE) == "dev"
}

/// A secret, which must be there and not be short but in the `dev` profile.
fn read(settings: &mut Settings, setting: &'static Setting) -> Option<String> {
    let secret = settings.optional_text(setting);
    if is_dev(settings) {
        return secret;
    }
    let (name, about) = (setting.name, setting.about);
    match &secret {
        None => settings.fault(format!("{name} is required in the production profile: {about}")),
        Some(secret) if secret.len() < MIN_BYTES => {
            settings.fault(format!("{name} must have at least {MIN_BYTES} bytes in production"));
        }
        Some(_) => {}
    }
    secret
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef0123456789abcdef";

    fn read(pairs: &[(&str, &str)]) -> Result<(String, String), Vec<String>> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut settings = Settings::new(pairs);
        let of_all = TokenSecret::from_settings(&mut settings);
        let of_sessions = TokenSecret::of_sessions(&mut settings);
        settings.finish((of_all.0, of_sessions.0)).map_err(|error| error.0)
    }

    #[test]
    fn sessions_have_a_secret_of_their_own() {
        let (of_all, other) = (("MILLRACE_TOKEN_SECRET", LONG), "fedcba9876543210fedcba9876543210");
        let of_sessions = ("MILLRACE_SESSION_SECRET", other);
        assert_eq!(read(&[of_all, of_sessions]), Ok((LONG.to_owned(), other.to_owned())));
        let faults = read(&[of_all]).unwrap_err();
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        assert!(fault.starts_with("MILLRACE_SESSION_SECRET is required"), "{fault}");
        let dev = ("MILLRACE_PROFILE", "dev");
        assert_eq!(read(&[dev, of_all]), Ok((LONG.to_owned(), LONG.to_owned())));
        let told = read(&[dev, of_all, of_sessions]);
        assert_eq!(told, Ok((LONG.to_owned(), other.to_owned())));
    }

    #[test]
    fn a_secret_is_no_guess_in_production() {
        for (pairs, named) in [
            (&[("MILLRACE_SESSION_SECRET", LONG)][..], "MILLRACE_TOKEN_SECRET is required"),
            (&[], "MILLRACE_TOKEN_SECRET is required"),
            (&[], "MILLRACE_SESSION_SECRET is required"),
            (&[("MILLRACE_TOKEN_SECRET", "short")], "MILLRACE_TOKEN_SECRET must have at least 32"),
            (
                &[("MILLRACE_TOKEN_SECRET", LONG), ("MILLRACE_SESSION_SECRET", "short")],
                "MILLRACE_SESSION_SECRET must have at least 32",
            ),
            (
                &[("MILLRACE_TOKEN_SECRET", LONG), ("MILLRACE_SESSION_SECRET", LONG)],
                "MILLRACE_SESSION_SECRET must be another one than MILLRACE_TOKEN_SECRET",
            ),
        ] {
            let faults = read(pairs).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(named)), "{faults:?}");
        }
        let dev = ("MILLRACE_PROFILE", "dev");
        assert!(read(&[dev, ("MILLRACE_SESSION_SECRET", "short")]).is_ok());
        assert_eq!(read(&[dev]), Ok((DEV_SECRET.to_owned(), DEV_SECRET.to_owned())));
    }
}
