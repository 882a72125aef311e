//! Passwords: what may be one, and hashing them where it cannot take the whole machine.

mod pool;

use std::fmt;
use std::time::Duration;

use argon2::password_hash::Error as Argon2Error;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use problem_details::{Problem, ProblemType};
use settings::{Settings, table};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use pool::{Pool, PoolError};

/// What a hash costs: 19 MiB, two passes, one lane, as OWASP recommends for Argon2id.
const MEMORY_KIBIBYTES: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// When somebody may come back who was turned away: a hash takes a fraction of it.
const SOON: Duration = Duration::from_secs(1);

/// A password as somebody chose or entered it. Never printed, and wiped from memory when dropped.
pub struct Password(Zeroizing<String>);

/// Why a text is no [`Password`]. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer characters than asked for.
    #[error("must have at least {limit} characters")]
    TooShort {
        /// Characters asked for.
        limit: usize,
    },
    /// More characters than allowed.
    #[error("must have at most {limit} characters")]
    TooLong {
        /// Characters allowed.
        limit: usize,
    },
}

impl Password {
    /// Characters of the shortest password.
    pub const MIN_CHARACTERS: usize = 8;

    /// Characters of the longest password.
    pub const MAX_CHARACTERS: usize = 256;

    /// Takes any text of 8 to 256 characters; nothing is cut off. It is brought into the normal form
    /// that RFC 8265 (4.2) has for passwords (NFC): one keyboard writes `ü` as one character, another as two.
    /// Spellings that only look or mean alike stay apart.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: String) -> Result<Self, PasswordError> {
        let normal = normalised(&Zeroizing::new(text));
        match normal.chars().count() {
            ..Self::MIN_CHARACTERS => Err(PasswordError::TooShort { limit: Self::MIN_CHARACTERS }),
            Self::MIN_CHARACTERS..=Self::MAX_CHARACTERS => Ok(Self(normal)),
            _ => Err(PasswordError::TooLong { limit: Self::MAX_CHARACTERS }),
        }
    }
}

/// The text in its normal form, or so much of it that it is known to be too long: it may be as long as a
/// body.
fn normalised(text: &str) -> Zeroizing<String> {
    let characters = Password::MAX_CHARACTERS + 1;
    // All that may come fits in: a text that grew would leave a part of itself behind in memory.
    let mut normal = Zeroizing::new(String::with_capacity(characters * char::MAX.len_utf8()));
    normal.extend(text.nfc().take(characters));
    normal
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password([redacted])")
    }
}

/// What is kept of a password: algorithm, cost, salt and hash as a PHC string. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword(String);

impl HashedPassword {
    /// Takes what was stored.
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// What is to be stored: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedPassword([redacted])")
    }
}

/// How many passwords are hashed at once, and how many wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordConfig {
    /// Hashes at once, each with a thread and 19 MiB.
    pub hashes: usize,
    /// Those that may wait; one more is refused.
    pub queued: usize,
}

impl PasswordConfig {
    /// Reads the settings; faults are noted there.
    pub fn from_settings(settings: &mut Settings) -> Self {
        Self {
            hashes: settings.size(&table::PASSWORD_HASHES),
            queued: settings.size(&table::PASSWORD_QUEUED_HASHES),
        }
    }
}

/// Why a password was not hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordHashError {
    /// As many as may are under way or wait.
    #[error("as many passwords are hashed or wait for it as may; come back later")]
    Busy,
    /// What is stored is no hash that we know.
    #[error("the stored hash of a password cannot be read")]
    Unreadable(#[source] Option<Argon2Error>),
    /// There is no memory or no randomness for it, or it broke off.
    #[error("a password cannot be hashed")]
    Failed(#[source] Option<Argon2Error>),
}

impl From<PasswordHashError> for Problem {
    fn from(error: PasswordHashError) -> Self {
        match error {
            PasswordHashError::Busy => {
                Self::new(ProblemType::NotReady, error.to_string()).with_retry_after(SOON)
            }
            PasswordHashError::Unreadable(_) | PasswordHashError::Failed(_) => {
                Self::new(ProblemType::InternalError, "the password could not be worked on")
            }
        }
    }
}

impl From<PoolError> for PasswordHashError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Full => Self::Busy,
            PoolError::BrokeOff => Self::Failed(None),
        }
    }
}

/// Hashes passwords with Argon2id on threads of their own, a few at once. Clones share the bound.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    pool: Pool,
}

impl PasswordHasher {
    /// One that keeps to the bounds.
    pub fn new(config: PasswordConfig) -> Self {
        Self { pool: Pool::new(config.hashes, config.queued) }
    }

    /// The hash of a password, with a salt of its own.
    ///
    /// # Errors
    /// Too many are under way, which is told at once, or it failed.
    pub async fn hash(&self, password: Password) -> Result<HashedPassword, PasswordHashError> {
        let failed = |error| PasswordHashError::Failed(Some(error));
        let hash = move || argon2()?.hash_password(password.0.as_bytes());
        let hash = self.pool.run(hash).await?.map_err(failed)?;
        Ok(HashedPassword(hash.to_string()))
    }

    /// Whether this is the password that was hashed, at the cost that stands in the hash.
    ///
    /// # Errors
    /// Too many are under way, which is told at once; the hash cannot be read; or it failed.
    pub async fn verify(
        &self,
        password: Password,
        hash: HashedPassword,
    ) -> Result<bool, PasswordHashError> {
        self.pool.run(move || matches(&password, &hash)).await?
    }
}

fn matches(password: &Password, hash: &HashedPassword) -> Result<bool, PasswordHashError> {
    let unreadable = |error| PasswordHashError::Unreadable(Some(error));
    let hash = phc::PasswordHash::new(&hash.0).map_err(|error| unreadable(error.into()))?;
    if hash.hash.is_none() {
        // Else any password would pass for a wrong one.
        return Err(PasswordHashError::Unreadable(None));
    }
    let argon2 = argon2().map_err(|error| PasswordHashError::Failed(Some(error)))?;
    match argon2.verify_password(password.0.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(Argon2Error::PasswordInvalid) => Ok(false),
        Err(error @ Argon2Error::OutOfMemory) => Err(PasswordHashError::Failed(Some(error))),
        Err(error) => Err(unreadable(error)),
    }
}

fn argon2() -> Result<Argon2<'static>, Argon2Error> {
    let params = Params::new(MEMORY_KIBIBYTES, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests;
