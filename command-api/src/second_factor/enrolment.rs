//! A second factor that is handed out and waits for its first code. Nothing of it is stored: whoever is to
//! enrol it brings it back, sealed.

use domain::Timestamp;
use domain::user::UserId;
use event_store::claim::ClaimKey;
use event_store::second_factor::SecondFactor;
use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::code::{Code, RecoveryCode};
use super::secret::Secret;
use super::totp;
use crate::percent_encoding::encoded;
use crate::sealing::Sealing;

/// How many recovery codes there are.
const RECOVERY_CODES: usize = 10;

/// What is handed out to whoever has shown their password, and good for nothing but its first code.
pub(crate) struct Enrolment {
    /// Whose.
    pub(crate) user: UserId,
    /// The epoch of their sessions then.
    pub(crate) session_epoch: u32,
    /// Until when it may be brought back.
    pub(super) until: Timestamp,
    secret: Secret,
    recovery_codes: Vec<RecoveryCode>,
}

/// The same as it is answered, once. Never printed.
#[derive(Serialize)]
pub(crate) struct HandedOut {
    /// Whose: the address that takes it back names them.
    pub(crate) user_id: Uuid,
    /// All of it, sealed.
    pub(super) enrolment_token: String,
    /// Seconds until it is good for nothing.
    pub(super) expires_in: u64,
    /// The secret in base32, for whoever types it.
    secret: String,
    /// The same for an app, which reads it from a picture.
    otpauth_uri: String,
    /// Each good once.
    recovery_codes: Vec<String>,
}

impl Enrolment {
    /// A new secret with its recovery codes.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub(super) fn new(user: UserId, session_epoch: u32, until: Timestamp) -> Self {
        let recovery_codes = (0..RECOVERY_CODES).map(|_| RecoveryCode::generate()).collect();
        Self { user, session_epoch, until, secret: Secret::generate(), recovery_codes }
    }

    /// What is answered: `issuer` and `account` are what an app shows it by.
    pub(super) fn handed_out(
        &self,
        enrolment_token: String,
        expires_in: u64,
        issuer: &str,
        account: &str,
    ) -> HandedOut {
        let secret = self.secret.shown();
        HandedOut {
            user_id: self.user.0,
            enrolment_token,
            expires_in,
            otpauth_uri: otpauth_uri(issuer, account, &secret),
            secret,
            recovery_codes: self.recovery_codes.iter().map(RecoveryCode::shown).collect(),
        }
    }

    /// The step of the first code, if what was entered is one that is good now.
    pub(crate) fn step_of(&self, entered: &str, now: Timestamp) -> Option<u64> {
        match Code::entered(entered)? {
            Code::OfApp(code) => self.secret.step_of(code, now, 0),
            Code::Recovery(_) => None,
        }
    }

    /// What is kept once the code of a step was shown.
    pub(super) fn kept(&self, secrets: &Sealing, key: &ClaimKey, step: u64) -> SecondFactor {
        let digest = |code: &RecoveryCode| code.digest(key, self.user);
        SecondFactor {
            sealed_secret: secrets.seal(self.user.0.as_bytes(), self.secret.as_bytes()),
            last_step: step,
            recovery_codes: self.recovery_codes.iter().map(digest).collect(),
        }
    }

    /// All of it: 16 bytes of the user's id, 4 of the epoch, 8 of the time, 20 of the secret, 10 of each code.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let codes: Zeroizing<Vec<u8>> =
            Zeroizing::new(self.recovery_codes.iter().flat_map(|code| *code.as_bytes()).collect());
        let content = [
            self.user.0.as_bytes().as_slice(),
            &self.session_epoch.to_be_bytes(),
            &self.until.micros().to_be_bytes(),
            self.secret.as_bytes(),
            &codes,
        ];
        Zeroizing::new(content.concat())
    }

    /// What [`Self::to_bytes`] made; `None` of anything else.
    pub(super) fn from_bytes(content: &[u8]) -> Option<Self> {
        let (user, rest) = content.split_first_chunk::<16>()?;
        let (epoch, rest) = rest.split_first_chunk::<4>()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (secret, codes) = rest.split_first_chunk::<{ Secret::LENGTH }>()?;
        let (codes, []) = codes.as_chunks::<{ RecoveryCode::LENGTH }>() else { return None };
        Some(Self {
            user: UserId(Uuid::from_bytes(*user)),
            session_epoch: u32::from_be_bytes(*epoch),
            until: Timestamp(i64::from_be_bytes(*until)),
            secret: Secret::from_bytes(secret),
            recovery_codes: codes.iter().copied().map(RecoveryCode::from_bytes).collect(),
        })
    }
}

/// The address by which apps take a secret: `otpauth://totp/<issuer>:<account>?...`.
fn otpauth_uri(issuer: &str, account: &str, secret: &str) -> String {
    let (issuer, account) = (encoded(issuer), encoded(account));
    let (digits, period) = (totp::DIGITS, totp::PERIOD);
    format!(
        "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={digits}&period={period}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enrolment() -> Enrolment {
        Enrolment::new(UserId(Uuid::from_u128(7)), 3, Timestamp(1_000))
    }

    #[test]
    fn what_is_brought_back_is_what_was_handed_out() {
        let enrolment = enrolment();
        let back = Enrolment::from_bytes(&enrolment.to_bytes()).unwrap();
        assert_eq!((back.user, back.session_epoch), (enrolment.user, 3));
        assert_eq!(back.until, Timestamp(1_000));
        assert_eq!(back.secret.as_bytes(), enrolment.secret.as_bytes());
        let codes = |of: &Enrolment| -> Vec<_> {
            of.recovery_codes.iter().map(|code| *code.as_bytes()).collect()
        };
        assert_eq!(codes(&back), codes(&enrolment));
        assert_eq!(codes(&back).len(), RECOVERY_CODES);
        let bytes = enrolment.to_bytes();
        for length in [0, 15, 27, 47, bytes.len() - 1] {
            assert!(Enrolment::from_bytes(&bytes[..length]).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn an_app_is_told_all_that_it_has_to_know() {
        let uri = otpauth_uri("Mill & Race", "ann", "GEZDGNBV");
        assert_eq!(
            uri,
            "otpauth://totp/Mill%20%26%20Race:ann?secret=GEZDGNBV&issuer=Mill%20%26%20Race&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn a_recovery_code_enrols_nothing() {
        let enrolment = enrolment();
        let code = enrolment.recovery_codes[0].shown();
        assert_eq!(enrolment.step_of(&code, Timestamp(59_000_000)), None);
    }

    #[test]
    fn what_is_kept_tells_neither_secret_nor_code() {
        let (enrolment, key) = (enrolment(), ClaimKey::derive(b"a secret"));
        let secrets = Sealing::derive(b"a secret", "a purpose");
        let kept = enrolment.kept(&secrets, &key, 9);
        assert_eq!((kept.last_step, kept.recovery_codes.len()), (9, RECOVERY_CODES));
        let opened = secrets.open(enrolment.user.0.as_bytes(), &kept.sealed_secret).unwrap();
        assert_eq!(opened.as_slice(), enrolment.secret.as_bytes());
        assert!(secrets.open(&[0; 16], &kept.sealed_secret).is_none());
        let shows = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|it| it == part);
        assert!(!shows(&kept.sealed_secret, &enrolment.secret.as_bytes()[..8]));
        assert_eq!(format!("{kept:?}"), "SecondFactor([redacted])");
    }
}
