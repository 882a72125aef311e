//! The refresh tokens by which a session is carried on.
//!
//! A token says which session it is of and which generation, and is signed; it is made again whenever it is
//! needed, the same in every process, so it stands nowhere and a copy of the database carries no session on.
//! A forged one costs one hash and no look into the database. Whether a generation is still good is the
//! session's to say.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::session::SessionId;
use hmac::{Hmac, Mac};
use settings::{Settings, TokenSecret};
use sha2::Sha256;
use uuid::Uuid;

use crate::derived_key::{derived, keyed};

/// Bytes of what a token says: 16 of the session's id, 4 of the generation, the most significant first.
const CONTENT_BYTES: usize = 20;

/// Bytes of its signature, HMAC-SHA256.
const MAC_BYTES: usize = 32;

/// Characters of a token: its bytes in base64url without padding.
const CHARACTERS: usize = ((CONTENT_BYTES + MAC_BYTES) * 8).div_ceil(6);

/// Writes and reads refresh tokens; cheap to clone, and never printed.
#[derive(Clone)]
pub struct RefreshTokens(Hmac<Sha256>);

impl RefreshTokens {
    /// Derives the key from a secret; other uses of the secret have other keys.
    pub fn derive(secret: &[u8]) -> Self {
        Self(keyed(&derived(secret, "refresh-tokens")))
    }

    /// Derives it from the secret of sessions.
    pub fn from_settings(settings: &mut Settings) -> Self {
        Self::derive(TokenSecret::of_sessions(settings).as_bytes())
    }

    /// The token of a generation of a session: 70 letters, digits, `-` and `_`, always the same.
    pub fn write(&self, session: SessionId, generation: u32) -> String {
        let mut content = [0; CONTENT_BYTES];
        let (id, number) = content.split_at_mut(16);
        id.copy_from_slice(session.0.as_bytes());
        number.copy_from_slice(&generation.to_be_bytes());
        let mac = self.0.clone().chain_update(content).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&content[..], &mac[..]].concat())
    }

    /// The session and the generation of a token that [`Self::write`] made; `None` for any other text. That it
    /// is refused takes the same time wherever the signature differs.
    pub fn read(&self, text: &str) -> Option<(SessionId, u32)> {
        if text.len() != CHARACTERS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (content, mac) = bytes.split_first_chunk::<CONTENT_BYTES>()?;
        self.0.clone().chain_update(content).verify_slice(mac).ok()?;
        let (id, generation) = content.split_first_chunk::<16>()?;
        let generation = u32::from_be_bytes(generation.try_into().ok()?);
        Some((SessionId(Uuid::from_bytes(*id)), generation))
    }
}

impl fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshTokens([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> RefreshTokens {
        RefreshTokens::derive(b"a secret")
    }

    fn session(id: u128) -> SessionId {
        SessionId(Uuid::from_u128(id))
    }

    #[test]
    fn every_process_writes_the_same_token() {
        let token = tokens().write(session(7), 3);
        assert_eq!(token, tokens().write(session(7), 3));
        assert_ne!(token, tokens().write(session(7), 4));
        assert_ne!(token, tokens().write(session(8), 3));
    }

    #[test]
    fn another_deployment_s_token_is_none() {
        let other = RefreshTokens::derive(b"another secret");
        assert_eq!(tokens().read(&other.write(session(7), 3)), None);
    }

    #[test]
    fn a_token_s_length_says_nothing() {
        for (id, generation) in [(0, 0), (u128::MAX, u32::MAX)] {
            assert_eq!(tokens().write(session(id), generation).len(), 70);
        }
    }

    #[test]
    fn what_is_no_token_is_refused_whatever_its_length() {
        for length in 0..200 {
            assert_eq!(tokens().read(&"A".repeat(length)), None, "{length} characters");
        }
        let token = tokens().write(session(7), 3);
        for end in 0..token.len() {
            assert_eq!(tokens().read(&token[..end]), None, "{end} characters");
        }
        for other in [format!("{token}A"), format!(" {}", &token[1..]), format!("{token}\n")] {
            assert_eq!(tokens().read(&other), None, "{other}");
        }
        // As many bytes, of fewer characters.
        assert_eq!(tokens().read(&"é".repeat(35)), None);
    }

    #[test]
    fn a_token_has_one_spelling() {
        // One whose bytes base64 writes with letters that base64url has not.
        let spelt = |id: u128| tokens().write(session(id), 1);
        let token = (0..).map(spelt).find(|token| token.contains(['-', '_'])).unwrap();
        assert!(tokens().read(&token).is_some());
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for other in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE.encode(&bytes), format!("{token}=")]
        {
            assert_ne!(other, token);
            assert_eq!(tokens().read(&other), None, "{other}");
        }
        // The last character holds two bits of the signature and four that say nothing.
        let (beginning, last) = token.split_at(token.len() - 1);
        for other in ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']) {
            let is_taken = tokens().read(&format!("{beginning}{other}")).is_some();
            assert_eq!(is_taken, last.starts_with(other), "{other}");
        }
    }

    #[test]
    fn the_key_is_never_printed() {
        assert_eq!(format!("{:?}", tokens()), "RefreshTokens([redacted])");
    }

    proptest! {
        #[test]
        fn a_token_reads_back_as_it_was_written(id: u128, generation: u32) {
            let token = tokens().write(session(id), generation);
            prop_assert_eq!(tokens().read(&token), Some((session(id), generation)));
        }

        #[test]
        fn a_token_with_any_byte_changed_is_refused(
            id: u128, generation: u32, at in any::<prop::sample::Index>(), change in 1_u8..,
        ) {
            let token = tokens().write(session(id), generation);
            let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert_eq!(tokens().read(&URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        #[test]
        fn a_token_with_any_character_changed_is_refused(
            id: u128, generation: u32, at in any::<prop::sample::Index>(), other in any::<char>(),
        ) {
            let token = tokens().write(session(id), generation);
            let mut characters: Vec<char> = token.chars().collect();
            let at = at.index(characters.len());
            prop_assume!(characters[at] != other);
            characters[at] = other;
            let changed: String = characters.into_iter().collect();
            prop_assert_eq!(tokens().read(&changed), None);
        }

        #[test]
        fn whatever_is_sent_is_looked_at_without_harm(text in ".*") {
            prop_assert_eq!(tokens().read(&text), None);
        }
    }
}
