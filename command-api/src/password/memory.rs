//! Hashes of Argon2 in memory that is kept from one to the next: asked for anew, each page of it is faulted in, which is a
//! part of what a hash costs.
//!
//! What a hash leaves behind there must not make guessing cheaper. Its last pass can be undone step by step, and what the
//! first one began with is a plain hash of the password. Each step takes two blocks as a whole, so a row of each is
//! wiped: whoever finds the rest would have to guess 1,024 bits for every step. What they can do is to compare it with
//! the first pass of a guess, which is half of what a hash costs. Wiping all of it would take a twentieth of a hash.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{self, CustomizedPasswordHasher, PasswordHasher};
use argon2::{Algorithm, Argon2, Block, Error, Params, Version};
use parking_lot::Mutex;

/// Words of a row of a block, as the compression takes them (RFC 9106, 3.6: eight registers of 16 bytes).
const ROW: usize = 16;

/// Memory for hashes of one size: as much as was ever in use at once, which whoever makes them bounds. Clones are the
/// same.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Vec<Vec<Block>>>>);

/// Argon2id at a cost, in kept memory. Hashes that need more or less of it came from elsewhere, and are made in memory
/// of their own.
pub(super) struct Argon2Within<'a> {
    pub(super) params: Params,
    pub(super) memory: &'a Memory,
}

impl Memory {
    /// So many blocks of it, until they are given back.
    fn take(&self, count: usize) -> Result<Vec<Block>, Error> {
        let kept = self.0.lock().pop().filter(|blocks| blocks.len() == count);
        kept.map_or_else(|| fresh(count), Ok)
    }

    fn give_back(&self, mut blocks: Vec<Block>) {
        for block in &mut blocks {
            block.as_mut()[..ROW].fill(0);
        }
        self.0.lock().push(blocks);
    }
}

/// Tells nothing of what lies there.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory([redacted])")
    }
}

fn fresh(count: usize) -> Result<Vec<Block>, Error> {
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(count).map_err(|_| Error::OutOfMemory)?;
    blocks.resize(count, Block::new());
    Ok(blocks)
}

impl Argon2Within<'_> {
    fn hash_into(
        &self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> Result<(), Error> {
        let count = argon2.params().block_count();
        if count != self.params.block_count() {
            return argon2.hash_password_into(password, salt, out);
        }
        let mut blocks = self.memory.take(count)?;
        let made = argon2.hash_password_into_with_memory(password, salt, out, &mut blocks);
        self.memory.give_back(blocks);
        made
    }

    fn hash_by(
        &self,
        (algorithm, version, params): (Algorithm, Version, Params),
        password: &[u8],
        salt: &[u8],
    ) -> password_hash::Result<PasswordHash> {
        let salt = Salt::new(salt)?;
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let written = ParamsString::try_from(&params)?;
        let argon2 = Argon2::new(algorithm, version, params);
        let mut room = [0; Output::MAX_LENGTH];
        let out = room.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        self.hash_into(&argon2, password, &salt, out)?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: written,
            salt: Some(salt),
            hash: Some(Output::new(out)?),
        })
    }
}

impl PasswordHasher<PasswordHash> for Argon2Within<'_> {
    fn hash_password_with_salt(
        &self,
        password: &[u8],
        salt: &[u8],
    ) -> password_hash::Result<PasswordHash> {
        let ours = (Algorithm::Argon2id, Version::V0x13, self.params.clone());
        self.hash_by(ours, password, salt)
    }
}

/// By it hashes are compared: the library makes one of the same cost and compares the two in constant time.
impl CustomizedPasswordHasher<PasswordHash> for Argon2Within<'_> {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        self.hash_by((algorithm, version, params), password, salt)
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier as _;

    use super::*;

    const PASSWORD: &[u8] = b"correct horse";

    fn params(kibibytes: u32) -> Params {
        Params::new(kibibytes, 2, 1, None).unwrap()
    }

    /// Made by the library, in memory that it asks for.
    fn by_library(algorithm: Algorithm, kibibytes: u32) -> PasswordHash {
        let argon2 = Argon2::new(algorithm, Version::V0x13, params(kibibytes));
        argon2.hash_password(PASSWORD).unwrap()
    }

    #[test]
    fn a_hash_is_the_same_in_whatever_memory_it_is_made() {
        let memory = Memory::default();
        let within = Argon2Within { params: params(64), memory: &memory };
        for algorithm in [Algorithm::Argon2id, Algorithm::Argon2i, Algorithm::Argon2d] {
            for kibibytes in [64, 32, 128, 64] {
                let hash = by_library(algorithm, kibibytes);
                assert_eq!(within.verify_password(PASSWORD, &hash), Ok(()), "{hash}");
                let wrong = within.verify_password(b"Correct horse", &hash);
                assert_eq!(wrong, Err(password_hash::Error::PasswordInvalid), "{hash}");
            }
        }
        let hash = within.hash_password(PASSWORD).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(64));
        assert_eq!(argon2.verify_password(PASSWORD, &hash), Ok(()), "{hash}");
    }

    #[test]
    fn as_much_memory_is_kept_as_was_in_use_at_once() {
        let memory = Memory::default();
        let sizes = || memory.0.lock().iter().map(Vec::len).collect::<Vec<_>>();
        let within = Argon2Within { params: params(64), memory: &memory };
        within.hash_password(PASSWORD).unwrap();
        within.hash_password(PASSWORD).unwrap();
        assert_eq!(sizes(), [64]);
        let in_use = memory.take(64).unwrap();
        within.hash_password(PASSWORD).unwrap();
        memory.give_back(in_use);
        assert_eq!(sizes(), [64, 64]);
        within.verify_password(PASSWORD, &by_library(Algorithm::Argon2id, 128)).unwrap();
        assert_eq!(sizes(), [64, 64]);
        let larger = Argon2Within { params: params(128), memory: &memory };
        larger.hash_password(PASSWORD).unwrap();
        assert_eq!(sizes(), [64, 128]);
    }

    #[test]
    fn of_each_block_of_a_hash_a_row_is_wiped() {
        let memory = Memory::default();
        let within = Argon2Within { params: params(64), memory: &memory };
        within.hash_password(PASSWORD).unwrap();
        let blocks = memory.take(64).unwrap();
        let (rows, rest): (Vec<&[u64]>, Vec<&[u64]>) =
            blocks.iter().map(|block| block.as_ref().split_at(ROW)).unzip();
        assert!(rows.iter().all(|row| *row == [0; ROW]));
        assert!(rest.iter().all(|rest| !rest.contains(&0)), "it was made elsewhere");
    }
}
