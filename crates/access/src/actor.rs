//! The caller as the log may name them, for ever: by an id that says nothing of the person.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use settings::{Settings, TokenSecret, keyed};
use sha2::Sha256;
use uuid::Uuid;

/// What a hash begins with. A subject that begins so is hashed, so that nobody can pass for another.
const HASHED: &str = "hmac:";

/// Characters of a UUID as it is written with hyphens.
const UUID_CHARACTERS: usize = 36;

/// Most letters of the kind before a UUID, such as `user` in `user:0198f0c2-...`.
const MAX_KIND_LETTERS: usize = 16;

/// The key of actors' hashes. Without it a hash cannot be tried out against a list of names.
#[derive(Clone)]
pub(crate) struct ActorKey(Hmac<Sha256>);

impl ActorKey {
    /// Derives the key from the deployment's secret, so that an actor is the same in all processes.
    pub(crate) fn from_settings(settings: &mut Settings) -> Self {
        let secret = TokenSecret::from_settings(settings);
        let derived = keyed(secret.as_bytes()).chain_update(b"actor").finalize().into_bytes();
        Self(keyed(&derived))
    }

    /// The subject if it is a UUID, perhaps after its kind, else its hash.
    pub(crate) fn actor(&self, issuer: &str, subject: &str) -> String {
        if is_opaque(subject) {
            return subject.to_owned();
        }
        let mac = self.0.clone().chain_update((issuer.len() as u64).to_be_bytes());
        let mac = mac.chain_update(issuer).chain_update(subject).finalize().into_bytes();
        format!("{HASHED}{}", URL_SAFE_NO_PAD.encode(&mac[..16]))
    }
}

fn is_opaque(subject: &str) -> bool {
    let at = subject.len().checked_sub(UUID_CHARACTERS);
    let Some((kind, id)) = at.and_then(|at| subject.split_at_checked(at)) else { return false };
    let is_kind = kind.is_empty()
        || kind.strip_suffix([':', '|', '-', '_', '.']).is_some_and(|kind| {
            (1..=MAX_KIND_LETTERS).contains(&kind.len())
                && kind.bytes().all(|b| b.is_ascii_lowercase())
        });
    is_kind && Uuid::try_parse(id).is_ok() && !subject.starts_with(HASHED)
}

impl fmt::Debug for ActorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActorKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0198f0c2-7d3e-7c3b-8a57-0242ac120002";

    fn key(secret: &str) -> ActorKey {
        let secret = ("MILLRACE_TOKEN_SECRET".to_owned(), secret.to_owned());
        ActorKey::from_settings(&mut Settings::new([secret]))
    }

    #[test]
    fn a_uuid_is_taken_over_also_after_its_kind() {
        let key = key("a");
        for kind in ["", "user:", "auth|", "device-", "a_", "svc."] {
            let subject = format!("{kind}{UUID}");
            assert_eq!(key.actor("i", &subject), subject);
        }
    }

    #[test]
    fn whatever_else_is_hashed_with_the_deployment_s_key() {
        let (one, other) = (key("a"), key("b"));
        for subject in [
            "ann@example.org",
            "+4915123456789",
            "4915123456789",
            "Ann Smith",
            "ann.smith",
            "device-tester",
            "é",
            "7",
            "auth0|62f",
            "ann.smith-0198f0c2-7d3e-7c3b-8a57-0242ac120002",
            "Ann-0198f0c2-7d3e-7c3b-8a57-0242ac120002",
            "0198f0c27d3e7c3b8a570242ac120002",
            "é198f0c2-7d3e-7c3b-8a57-0242ac120002",
            "",
        ] {
            let actor = one.actor("i", subject);
            assert!(actor.starts_with(HASHED) && actor.len() == 27, "{actor}");
            assert_eq!(actor, one.actor("i", subject));
            assert_ne!(actor, one.actor("j", subject), "another issuer's subject is another");
            assert_ne!(actor, other.actor("i", subject), "the hash is keyed");
        }
    }

    #[test]
    fn nobody_passes_for_another_by_a_hash_as_their_name() {
        let key = key("a");
        for subject in [key.actor("i", "ann"), format!("{HASHED}{UUID}")] {
            let actor = key.actor("i", &subject);
            assert!(actor.starts_with(HASHED) && actor != subject, "{actor}");
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", key("a")), "ActorKey([redacted])");
    }
}
