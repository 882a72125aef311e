//! Passwords: what may be one, and hashing them where it cannot take the whole machine.

mod memory;
mod pool;
mod rules;
mod scheme;
mod well_known;

use std::fmt;
use std::time::Duration;

use argon2::password_hash::Error as Argon2Error;
use bcrypt::BcryptError;
use problem_details::{Problem, ProblemType};
use settings::{Settings, table};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use memory::Memory;
use pool::{Pool, PoolError};

pub use rules::{Owner, PasswordRules};
pub use scheme::Scheme;

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
    /// More bytes than the hash takes.
    #[error("must have at most {limit} bytes in UTF-8")]
    TooManyBytes {
        /// Bytes allowed.
        limit: usize,
    },
    /// Among those that are tried first.
    #[error("must not be one that many use, a row of keys, or what its owner is called")]
    Common,
}

impl Password {
    /// Characters of the shortest password.
    pub const MIN_CHARACTERS: usize = 8;

    /// Characters of the longest password.
    pub const MAX_CHARACTERS: usize = 256;

    /// Takes any text of 8 to 256 characters; nothing is cut off. It is brought into the normal form
    /// that RFC 8265 (4.2) has for passwords (NFC): one keyboard writes `ü` as one character, another as two.
    /// Spellings that only look or mean alike stay apart. Whoever chooses a password keeps to
    /// [more rules](PasswordRules::choose).
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: String) -> Result<Self, PasswordError> {
        Self::entered(text).of_length()
    }

    /// Takes what somebody says who has a password already: any text, brought into the same form. One that could
    /// never be chosen is compared like all others, so that nobody is told more of it than that it is wrong;
    /// of one that is too long, so much that it stays too long.
    pub fn entered(text: String) -> Self {
        Self(normalised(&Zeroizing::new(text)))
    }

    fn of_length(self) -> Result<Self, PasswordError> {
        match self.0.chars().count() {
            ..Self::MIN_CHARACTERS => Err(PasswordError::TooShort { limit: Self::MIN_CHARACTERS }),
            Self::MIN_CHARACTERS..=Self::MAX_CHARACTERS => Ok(self),
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

/// What is kept of a password: algorithm, cost, salt and hash as a PHC string, or in the form of bcrypt.
/// Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword(String);

impl HashedPassword {
    /// Takes what was stored.
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// What is to be stored: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`, or `$2b$12$<salt><hash>` where
    /// bcrypt is configured.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedPassword([redacted])")
    }
}

/// What passwords are hashed with, how many at once, and how many wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordConfig {
    /// What new hashes are made with.
    pub scheme: Scheme,
    /// Hashes at once, each with a thread and 19 MiB.
    pub hashes: usize,
    /// Those that may wait; one more is refused.
    pub queued: usize,
}

impl PasswordConfig {
    /// Reads the settings; faults are noted there.
    pub fn from_settings(settings: &mut Settings) -> Self {
        Self {
            scheme: Scheme::from_settings(settings),
            hashes: settings.size(&table::PASSWORD_HASHES),
            queued: settings.size(&table::PASSWORD_QUEUED_HASHES),
        }
    }
}

/// Whether somebody knows a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// They do not.
    Wrong,
    /// They do.
    Right,
    /// They do, and a hash that is made now would be harder to guess by: bcrypt where Argon2id is configured,
    /// or one that costs less than now.
    RightButOutdated,
}

impl Verified {
    /// Whether they know it.
    pub fn is_right(self) -> bool {
        match self {
            Self::Wrong => false,
            Self::Right | Self::RightButOutdated => true,
        }
    }
}

/// What the maker of a hash says of it. Holds nothing of a password.
#[derive(Debug, thiserror::Error)]
pub enum HashFault {
    /// Of Argon2.
    #[error(transparent)]
    Argon2(#[from] Argon2Error),
    /// Of bcrypt.
    #[error(transparent)]
    Bcrypt(#[from] BcryptError),
}

/// Why a password was not hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordHashError {
    /// As many as may are under way or wait.
    #[error("as many passwords are hashed or wait for it as may; come back later")]
    Busy,
    /// What is stored is no hash that we know.
    #[error("the stored hash of a password cannot be read")]
    Unreadable(#[source] Option<HashFault>),
    /// There is no memory or no randomness for it, or it broke off.
    #[error("a password cannot be hashed")]
    Failed(#[source] Option<HashFault>),
}

impl PasswordHashError {
    fn unreadable(fault: impl Into<HashFault>) -> Self {
        Self::Unreadable(Some(fault.into()))
    }

    fn failed(fault: impl Into<HashFault>) -> Self {
        Self::Failed(Some(fault.into()))
    }
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

/// Hashes passwords on threads of their own, a few at once. Clones share the bound.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    scheme: Scheme,
    pool: Pool,
    memory: Memory,
}

impl PasswordHasher {
    /// One that keeps to the bounds.
    pub fn new(config: PasswordConfig) -> Self {
        let PasswordConfig { scheme, hashes, queued } = config;
        Self { scheme, pool: Pool::new(hashes, queued), memory: Memory::default() }
    }

    /// What is asked of passwords that it is to hash.
    pub fn rules(&self) -> PasswordRules {
        PasswordRules::of(self.scheme)
    }

    /// The hash of a password, with a salt of its own. The password was [chosen](PasswordRules::choose) by its
    /// rules, or fits a hash already.
    ///
    /// # Errors
    /// Too many are under way, which is told at once, or it failed.
    pub async fn hash(&self, password: Password) -> Result<HashedPassword, PasswordHashError> {
        let (scheme, memory) = (self.scheme, self.memory.clone());
        let hashing = move || scheme.hash(&memory, password.0.as_bytes());
        self.pool.run(hashing).await?.map(HashedPassword)
    }

    /// Whether this is the password that was hashed, at the cost that stands in the hash, whichever of
    /// Argon2id and bcrypt (`2a`, `2b`, `2y`) it was made with. A password that bcrypt would cut fits no hash
    /// of it.
    ///
    /// # Errors
    /// Too many are under way, which is told at once; the hash cannot be read; or it failed.
    pub async fn verify(
        &self,
        password: Password,
        hash: HashedPassword,
    ) -> Result<Verified, PasswordHashError> {
        let (scheme, memory) = (self.scheme, self.memory.clone());
        let comparing = move || scheme.verify(&memory, password.0.as_bytes(), &hash.0);
        self.pool.run(comparing).await?
    }

    /// Whether this is the password of somebody of whom this is kept, if anything is. Of a hash that cannot be read
    /// nobody knows the password, as where there is none; then as much is done as otherwise, so that who there is
    /// cannot be told by the time.
    ///
    /// # Errors
    /// Too many are under way, which is told at once, or it failed.
    pub async fn compare(
        &self,
        password: Password,
        hash: Option<HashedPassword>,
    ) -> Result<Verified, PasswordHashError> {
        if let Some(hash) = hash {
            let same = Password(password.0.clone());
            match self.verify(same, hash).await {
                Err(error @ PasswordHashError::Unreadable(_)) => {
                    let error = &error as &(dyn std::error::Error + 'static);
                    tracing::error!(error, "a password cannot be compared");
                }
                verified => return verified,
            }
        }
        self.verify_nobody(password).await?;
        Ok(Verified::Wrong)
    }

    /// Does what [`Self::verify`] would do if there were somebody whose hash had been made now, so that who
    /// there is cannot be told by the time.
    ///
    /// # Errors
    /// As there.
    pub async fn verify_nobody(&self, password: Password) -> Result<(), PasswordHashError> {
        let nobody = HashedPassword(self.scheme.hash_of_nobody());
        self.verify(password, nobody).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
