//! What passwords are hashed with, and how a hash of whatever make is compared.

use argon2::password_hash::Error as Argon2Error;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};
use argon2::{Algorithm, Params, Version};
use bcrypt::HashParts;
use settings::{Settings, table};

use super::memory::{Argon2Within, Memory};
use super::{PasswordHashError, Verified};

/// What a hash of Argon2id costs: 19 MiB, two passes, one lane, as OWASP recommends.
const MEMORY_KIBIBYTES: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How hashes of bcrypt begin. Those of `2x` are of programs that hashed some letters wrongly.
const OF_BCRYPT: [&str; 3] = ["$2a$", "$2b$", "$2y$"];

/// The rounds of bcrypt of the dearest hash that is compared: as many as may be set. Of a hash that came from
/// elsewhere with 31, one comparison would take days.
const MOST_ROUNDS: u32 = 15;

/// What the dearest hash of Argon2 costs that is compared: one that came from elsewhere may ask for all memory
/// that there is.
const MOST_MEMORY_KIBIBYTES: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;

/// What new hashes are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// Argon2id with 19 MiB and two passes.
    #[default]
    Argon2id,
    /// bcrypt, for those who must.
    Bcrypt {
        /// The binary logarithm of how often it goes round, 10 to 15.
        rounds: u32,
    },
}

impl Scheme {
    /// Bytes of the longest password that bcrypt hashes whole; of a longer one it would leave out the rest.
    pub const MAX_BCRYPT_BYTES: usize = 72;

    /// Reads the settings; faults are noted there.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let rounds = settings.number(&table::BCRYPT_ROUNDS);
        match settings.text(&table::PASSWORD_HASH).as_str() {
            "bcrypt" => Self::Bcrypt { rounds: u32::try_from(rounds).unwrap_or(MOST_ROUNDS) },
            _ => Self::Argon2id,
        }
    }

    /// The hash of a password, with a salt of its own: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>` or
    /// `$2b$<rounds>$<salt><hash>`.
    ///
    /// # Errors
    /// It is longer than bcrypt takes, and never cut; or there is no memory or no randomness.
    pub(super) fn hash(
        self,
        memory: &Memory,
        password: &[u8],
    ) -> Result<String, PasswordHashError> {
        match self {
            Self::Argon2id => {
                let argon2 = argon2(memory).map_err(PasswordHashError::failed)?;
                let hash: phc::PasswordHash =
                    argon2.hash_password(password).map_err(PasswordHashError::failed)?;
                Ok(hash.to_string())
            }
            Self::Bcrypt { .. } if password.len() > Self::MAX_BCRYPT_BYTES => {
                Err(PasswordHashError::Failed(None))
            }
            Self::Bcrypt { rounds } => {
                bcrypt::hash(password, rounds).map_err(PasswordHashError::failed)
            }
        }
    }

    /// Whether the hash is the password's, at the cost that stands in it, and whether it is what would be
    /// made of it now.
    ///
    /// # Errors
    /// The hash is none that we know, or there is no memory.
    pub(super) fn verify(
        self,
        memory: &Memory,
        password: &[u8],
        hash: &str,
    ) -> Result<Verified, PasswordHashError> {
        let is_of_bcrypt = hash.is_ascii() && OF_BCRYPT.iter().any(|begin| hash.starts_with(begin));
        let Compared { fits, is_outdated } = if is_of_bcrypt {
            self.compare_bcrypt(password, hash)?
        } else {
            self.compare_argon2(memory, password, hash)?
        };
        Ok(match (fits, is_outdated) {
            (false, _) => Verified::Wrong,
            (true, false) => Verified::Right,
            (true, true) => Verified::RightButOutdated,
        })
    }

    /// A hash that costs what ours do and is nobody's: no password is known that has it.
    pub(super) fn hash_of_nobody(self) -> String {
        match self {
            Self::Argon2id => format!(
                "$argon2id$v=19$m={MEMORY_KIBIBYTES},t={PASSES},p={LANES}${}${}",
                "A".repeat(22),
                "A".repeat(43)
            ),
            Self::Bcrypt { rounds } => format!("$2b${rounds:02}${}", ".".repeat(53)),
        }
    }

    fn compare_bcrypt(self, password: &[u8], hash: &str) -> Result<Compared, PasswordHashError> {
        let parts: HashParts = hash.parse().map_err(PasswordHashError::unreadable)?;
        let rounds = parts.get_cost();
        if rounds > MOST_ROUNDS {
            return Err(PasswordHashError::Unreadable(None));
        }
        // Of a longer password it would compare the beginning. It takes its time for that, and fits nothing.
        let fits = bcrypt::verify(password, hash).map_err(PasswordHashError::unreadable)?
            && password.len() <= Self::MAX_BCRYPT_BYTES;
        let is_outdated = match self {
            Self::Argon2id => true,
            Self::Bcrypt { rounds: ours } => rounds < ours,
        };
        Ok(Compared { fits, is_outdated })
    }

    fn compare_argon2(
        self,
        memory: &Memory,
        password: &[u8],
        hash: &str,
    ) -> Result<Compared, PasswordHashError> {
        let hash = phc::PasswordHash::new(hash)
            .map_err(|error| PasswordHashError::unreadable(Argon2Error::from(error)))?;
        if hash.hash.is_none() {
            // Else any password would pass for a wrong one.
            return Err(PasswordHashError::Unreadable(None));
        }
        let is_too_dear = |params: Params| {
            params.m_cost() > MOST_MEMORY_KIBIBYTES || params.t_cost() > MOST_PASSES
        };
        if Params::try_from(&hash).is_ok_and(is_too_dear) {
            return Err(PasswordHashError::Unreadable(None));
        }
        let argon2 = argon2(memory).map_err(PasswordHashError::failed)?;
        let fits = match argon2.verify_password(password, &hash) {
            Ok(()) => true,
            Err(Argon2Error::PasswordInvalid) => false,
            Err(error @ Argon2Error::OutOfMemory) => return Err(PasswordHashError::failed(error)),
            Err(error) => return Err(PasswordHashError::unreadable(error)),
        };
        // Whoever must have bcrypt keeps the better hashes of before: not all their passwords would go into it.
        let is_outdated = self == Self::Argon2id && is_below_ours(&hash);
        Ok(Compared { fits, is_outdated })
    }
}

/// A password beside a hash.
struct Compared {
    fits: bool,
    /// There is a better hash to be had.
    is_outdated: bool,
}

/// Whether guessing costs less with this hash than with ours.
fn is_below_ours(hash: &phc::PasswordHash) -> bool {
    let is_of_ours = hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version.is_none_or(|version| version >= u32::from(Version::V0x13));
    let costs_as_much = Params::try_from(hash)
        .is_ok_and(|params| params.m_cost() >= MEMORY_KIBIBYTES && params.t_cost() >= PASSES);
    !(is_of_ours && costs_as_much)
}

fn argon2(memory: &Memory) -> Result<Argon2Within<'_>, Argon2Error> {
    Ok(Argon2Within { params: Params::new(MEMORY_KIBIBYTES, PASSES, LANES, None)?, memory })
}

#[cfg(test)]
mod tests {
    use argon2::Argon2;

    use super::*;

    /// Of `correct horse`, as another program (libxcrypt) has made them.
    const OF_2A: &str = "$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
    const OF_2B: &str = "$2b$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu";
    const OF_2Y: &str = "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

    /// Of 72 times `p`, and of more of them, of which that program leaves out the rest.
    const OF_72: &str = "$2b$04$abcdefghijklmnopqrstuuNt.0ah97gHY3F7JC1Z6EXmQc0bQBhIO";

    const BCRYPT: Scheme = Scheme::Bcrypt { rounds: 10 };

    fn verified(scheme: Scheme, password: &str, hash: &str) -> Verified {
        scheme.verify(&Memory::default(), password.as_bytes(), hash).unwrap()
    }

    fn hashed(scheme: Scheme, password: &str) -> Result<String, PasswordHashError> {
        scheme.hash(&Memory::default(), password.as_bytes())
    }

    #[test]
    fn a_hash_of_bcrypt_is_compared_whichever_of_its_spellings_it_has() {
        for hash in [OF_2A, OF_2B, OF_2Y] {
            let right = Verified::RightButOutdated;
            assert_eq!(verified(Scheme::Argon2id, "correct horse", hash), right, "{hash}");
            assert_eq!(verified(Scheme::Argon2id, "Correct horse", hash), Verified::Wrong);
        }
    }

    #[test]
    fn a_hash_is_outdated_where_a_better_one_would_be_made_now() {
        let dearer = Scheme::Bcrypt { rounds: 11 };
        assert_eq!(verified(BCRYPT, "correct horse", OF_2B), Verified::Right);
        assert_eq!(verified(BCRYPT, "correct horse", OF_2A), Verified::RightButOutdated);
        assert_eq!(verified(dearer, "correct horse", OF_2B), Verified::RightButOutdated);
        let argon2 = hashed(Scheme::Argon2id, "correct horse").unwrap();
        for scheme in [Scheme::Argon2id, BCRYPT] {
            assert_eq!(verified(scheme, "correct horse", &argon2), Verified::Right);
        }
    }

    #[test]
    fn a_hash_of_argon2_is_outdated_where_it_costs_less_than_ours_or_is_of_another_kind() {
        let hashed = |algorithm, memory, passes| {
            let params = Params::new(memory, passes, 1, None).unwrap();
            let argon2 = Argon2::new(algorithm, Version::V0x13, params);
            let hash: phc::PasswordHash = argon2.hash_password(b"correct horse").unwrap();
            hash.to_string()
        };
        let (id, ours) = (Algorithm::Argon2id, MEMORY_KIBIBYTES);
        for (hash, expected) in [
            (hashed(id, ours, 2), Verified::Right),
            (hashed(id, ours + 8, 3), Verified::Right),
            (hashed(id, ours - 8, 2), Verified::RightButOutdated),
            (hashed(id, 2 * ours, 1), Verified::RightButOutdated),
            (hashed(Algorithm::Argon2i, ours, 2), Verified::RightButOutdated),
        ] {
            assert_eq!(verified(Scheme::Argon2id, "correct horse", &hash), expected, "{hash}");
        }
    }

    #[test]
    fn no_password_is_cut_to_what_bcrypt_takes() {
        let (most, more) = ("p".repeat(72), "p".repeat(73));
        assert_eq!(verified(BCRYPT, &most, OF_72), Verified::RightButOutdated);
        assert_eq!(verified(BCRYPT, &more, OF_72), Verified::Wrong);
        let cheap = Scheme::Bcrypt { rounds: 4 };
        let hash = hashed(cheap, &most).unwrap();
        assert!(hash.starts_with("$2b$04$") && hash.len() == 60, "{hash}");
        assert_eq!(verified(cheap, &most, &hash), Verified::Right);
        assert!(matches!(hashed(cheap, &more), Err(PasswordHashError::Failed(None))));
    }

    #[test]
    fn a_hash_that_is_none_of_those_we_know_is_a_fault() {
        let too_dear = OF_2B.replacen("$10$", "$16$", 1);
        let of_2x = OF_2A.replacen("$2a$", "$2x$", 1);
        let no_ascii = format!("{}ü{}", &OF_2B[..20], &OF_2B[22..]);
        let cut = &OF_2B[..59];
        let argon2 = Scheme::Argon2id.hash_of_nobody();
        let too_large = argon2.replacen("m=19456", "m=262145", 1);
        let too_long = argon2.replacen("t=2", "t=17", 1);
        assert!(too_large != argon2 && too_long != argon2, "{argon2}");
        let of_argon2 = [&*too_large, &too_long];
        let of_bcrypt = ["", "$2b$", "$2b$10$abc", "$2$10$", cut, &too_dear, &of_2x, &no_ascii];
        for hash in of_bcrypt.into_iter().chain(of_argon2) {
            let verified = Scheme::Argon2id.verify(&Memory::default(), b"correct horse", hash);
            assert!(matches!(verified, Err(PasswordHashError::Unreadable(_))), "{hash}");
        }
    }

    #[test]
    fn nobody_has_a_hash_that_costs_what_ours_do() {
        let nobody = BCRYPT.hash_of_nobody();
        assert_eq!(nobody.parse::<HashParts>().unwrap().get_cost(), 10);
        let argon2 = Scheme::Argon2id.hash_of_nobody();
        let hash = phc::PasswordHash::new(&argon2).unwrap();
        assert!(!is_below_ours(&hash), "{argon2}");
        let ours = hashed(Scheme::Argon2id, "correct horse").unwrap();
        assert_eq!(argon2.len(), ours.len());
        for (scheme, hash) in [(BCRYPT, nobody), (Scheme::Argon2id, argon2)] {
            assert_eq!(verified(scheme, "correct horse", &hash), Verified::Wrong, "{hash}");
        }
    }

    #[test]
    fn the_settings_say_what_hashes_are_made_with() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let mut settings = Settings::new(pairs);
            let scheme = Scheme::from_settings(&mut settings);
            settings.finish(scheme).map_err(|error| error.0)
        };
        let bcrypt = ("PASSWORD_HASH", "bcrypt");
        assert_eq!(read(&[]), Ok(Scheme::Argon2id));
        assert_eq!(read(&[("BCRYPT_ROUNDS", "14")]), Ok(Scheme::Argon2id));
        assert_eq!(read(&[bcrypt]), Ok(Scheme::Bcrypt { rounds: 12 }));
        let rounds = |count| read(&[bcrypt, ("MILLRACE_BCRYPT_ROUNDS", count)]);
        assert_eq!(rounds("15"), Ok(Scheme::Bcrypt { rounds: 15 }));
        for (name, value) in
            [("BCRYPT_ROUNDS", "9"), ("BCRYPT_ROUNDS", "16"), ("PASSWORD_HASH", "md5")]
        {
            assert!(read(&[(name, value)]).is_err(), "{name}={value}");
        }
    }
}
