//! An authenticator app, made of what people are shown and of nothing else.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// Seconds for which a code is shown.
const PERIOD: u64 = 30;

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// An app that has taken a secret.
#[derive(Debug, Clone)]
pub struct Authenticator {
    secret: Vec<u8>,
}

impl Authenticator {
    /// Takes the address that a picture shows (`otpauth://totp/...`).
    ///
    /// # Errors
    /// It is none, or one that many apps would not take.
    pub fn of(uri: &str) -> Result<Self> {
        let rest = uri.strip_prefix("otpauth://totp/").context("no address of a secret")?;
        let (label, query) = rest.split_once('?').context("no secret")?;
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let issuer = parameter("issuer").context("no issuer")?;
        ensure!(label.starts_with(&format!("{issuer}:")), "{label} is not of {issuer}");
        for (name, value) in [("algorithm", "SHA1"), ("digits", "6"), ("period", "30")] {
            ensure!(parameter(name) == Some(value), "{name} is not {value}");
        }
        let secret = parameter("secret").context("no secret")?;
        Ok(Self { secret: decoded(secret)? })
    }

    /// The step of time that is now.
    pub fn step() -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_secs() / PERIOD
    }

    /// What it shows in a step.
    ///
    /// # Errors
    /// The secret is none.
    pub fn code(&self, step: u64) -> Result<String> {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.secret).context("reading the secret")?;
        mac.update(&step.to_be_bytes());
        let mac = mac.finalize().into_bytes();
        let from = usize::from(mac[19] % 16);
        let bits =
            mac[from..from + 4].iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        Ok(format!("{:06}", (bits & 0x7fff_ffff) % 1_000_000))
    }
}

/// The bytes of a text in base32.
fn decoded(text: &str) -> Result<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u64, 0);
    for letter in text.chars() {
        let value = LETTERS.find(letter).with_context(|| format!("{letter} is no letter"))?;
        bits = (bits << 5) | value as u64;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count)?);
            bits &= (1 << count) - 1;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B.
    #[test]
    fn it_shows_what_others_show() {
        let uri = "otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=a&algorithm=SHA1&digits=6&period=30";
        let app = Authenticator::of(uri).unwrap();
        assert_eq!(app.secret, b"12345678901234567890");
        assert_eq!(app.code(1).unwrap(), "287082");
        assert_eq!(app.code(1_111_111_109 / 30).unwrap(), "081804");
        assert!(Authenticator::of(&uri.replace("SHA1", "SHA256")).is_err());
    }
}
