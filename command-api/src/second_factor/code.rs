//! A code as somebody enters it: one of an authenticator app, or a recovery code.

use std::fmt;

use aes_gcm::aead::Generate;
use domain::user::UserId;
use event_store::claim::{ClaimKey, Digest};
use zeroize::Zeroizing;

use super::{base32, totp};

/// What keyed hashes of recovery codes are made for.
const RECOVERY: &str = "recovery-code";

/// Characters of the longest code, without what may stand between them.
const MOST_CHARACTERS: usize = RecoveryCode::CHARACTERS;

/// A code that somebody enters.
pub(super) enum Code {
    /// Of an authenticator app.
    OfApp(u32),
    /// For whoever has lost the app.
    Recovery(RecoveryCode),
}

/// One of the codes that let in where there is no app at hand: 80 bits, so that its hash tells nothing of it
/// even to who has the key of the hash. Never printed, and wiped from memory when dropped.
pub(super) struct RecoveryCode(Zeroizing<[u8; Self::LENGTH]>);

impl Code {
    /// Reads a code, with or without spaces and hyphens, in capital or small letters; `None` of what can be
    /// nobody's.
    pub(super) fn entered(text: &str) -> Option<Self> {
        let is_sign = |sign: &char| !sign.is_whitespace() && *sign != '-';
        // One more than there may be tells that there are too many, however long the text is.
        let signs: Zeroizing<String> =
            Zeroizing::new(text.chars().filter(is_sign).take(MOST_CHARACTERS + 1).collect());
        if signs.len() == totp::DIGITS && signs.bytes().all(|sign| sign.is_ascii_digit()) {
            return signs.parse().ok().map(Self::OfApp);
        }
        base32::decoded(signs.as_bytes())
            .map(|bytes| Self::Recovery(RecoveryCode::from_bytes(bytes)))
    }
}

impl RecoveryCode {
    /// Its bytes.
    pub(super) const LENGTH: usize = 10;

    /// The characters that they make.
    const CHARACTERS: usize = 16;

    /// A new one from the randomness of the operating system.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub(super) fn generate() -> Self {
        Self::from_bytes(Generate::generate())
    }

    /// As it was before it was sealed.
    pub(super) fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// What is sealed.
    pub(super) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// As it is shown once: four groups of four.
    pub(super) fn shown(&self) -> String {
        let text = base32::encoded(self.as_bytes()).to_ascii_lowercase();
        [&text[..4], &text[4..8], &text[8..12], &text[12..]].join("-")
    }

    /// What is kept of it: a hash among those of this user.
    pub(super) fn digest(&self, key: &ClaimKey, user: UserId) -> Digest {
        key.digest(RECOVERY, &format!("{user} {}", base32::encoded(self.as_bytes())))
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn recovery(text: &str) -> Option<[u8; 10]> {
        match Code::entered(text)? {
            Code::Recovery(code) => Some(*code.as_bytes()),
            Code::OfApp(_) => None,
        }
    }

    #[test]
    fn six_digits_are_a_code_of_an_app_wherever_spaces_stand() {
        for (text, number) in [
            ("287082", 287_082),
            ("081804", 81_804),
            ("287 082", 287_082),
            (" 287-082\n", 287_082),
            ("000000", 0),
        ] {
            let Some(Code::OfApp(read)) = Code::entered(text) else { panic!("{text}") };
            assert_eq!(read, number, "{text}");
        }
    }

    #[test]
    fn a_recovery_code_is_read_as_it_was_shown_and_as_people_write_it() {
        let code = RecoveryCode::generate();
        let shown = code.shown();
        assert_eq!((shown.len(), shown.matches('-').count()), (19, 3));
        for text in [
            shown.clone(),
            shown.to_ascii_uppercase(),
            shown.replace('-', ""),
            format!(" {} ", shown.replace('-', " ")),
        ] {
            assert_eq!(recovery(&text), Some(*code.as_bytes()), "{text}");
        }
        assert!(!format!("{code:?}").contains(&shown));
    }

    #[test]
    fn whatever_else_is_entered_is_no_code() {
        for text in [
            "",
            " ",
            "28708",
            "2870822",
            "+28708",
            "28708x",
            "２８７０８２",
            "abcd-efgh-ijkl",
            "abcd-efgh-ijkl-mno1",
            "abcd-efgh-ijkl-mnop-q",
            &"a".repeat(5_000),
        ] {
            assert!(Code::entered(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_kept_of_a_code_is_of_one_user_and_one_deployment() {
        let (code, key) = (RecoveryCode::generate(), ClaimKey::derive(b"a secret"));
        let (ann, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let kept = code.digest(&key, ann);
        assert_eq!(kept, RecoveryCode::from_bytes(*code.as_bytes()).digest(&key, ann));
        assert_ne!(kept, code.digest(&key, bob));
        assert_ne!(kept, code.digest(&ClaimKey::derive(b"another"), ann));
        assert_ne!(kept, RecoveryCode::generate().digest(&key, ann));
    }
}
