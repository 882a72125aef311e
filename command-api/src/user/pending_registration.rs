//! A registration that waits until somebody has shown that the address is theirs, where registering is not to tell who
//! has an account.
//!
//! What was asked for stands sealed in the table `pending_registrations`, with the hash of the password: a copy of the
//! database tells of nobody who wanted to register. Its id is that of the user who comes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::role::Role;
use domain::user::{Bio, Email, FullName, ImageUrl, RegisterUser, UserId, Username};
use serde::{Deserialize, Serialize};
use settings::{Settings, TokenSecret, table};
use zeroize::Zeroizing;

use crate::password::HashedPassword;
use crate::sealing::Sealing;

/// How long it waits.
pub(super) const WAITS_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How people register. Clones are the same; never printed.
#[derive(Clone)]
pub struct Registrations {
    reveals_accounts: bool,
    sealing: Sealing,
}

/// What somebody has asked for.
pub(super) struct PendingRegistration {
    pub(super) command: RegisterUser,
    /// As a PHC string.
    pub(super) password_hash: String,
}

/// The same as it is sealed.
#[derive(Serialize, Deserialize)]
struct Content {
    username: String,
    email: String,
    full_name: Option<String>,
    bio: Option<String>,
    image: Option<String>,
    password_hash: String,
}

impl Registrations {
    /// Reads the settings; faults are noted there.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let secret = TokenSecret::of_sessions(settings);
        Self {
            reveals_accounts: settings.text(&table::REGISTRATION_REVEALS_ACCOUNTS) == "true",
            sealing: Sealing::derive(secret.as_bytes(), "pending-registrations"),
        }
    }

    /// Whether whoever registers is told that name or address are somebody else's.
    pub fn reveals_accounts(&self) -> bool {
        self.reveals_accounts
    }

    /// What was asked for, as it waits under this id.
    ///
    /// # Panics
    /// The operating system has no randomness.
    pub(super) fn seal(
        &self,
        id: UserId,
        command: &RegisterUser,
        hash: &HashedPassword,
    ) -> Vec<u8> {
        // What they may be is not theirs to ask for.
        let RegisterUser { username, email, full_name, bio, image, roles: _ } = command;
        let content = Content {
            username: username.as_str().to_owned(),
            email: email.as_str().to_owned(),
            full_name: full_name.as_ref().map(|text| text.as_str().to_owned()),
            bio: bio.as_ref().map(|text| text.as_str().to_owned()),
            image: image.as_ref().map(|text| text.as_str().to_owned()),
            password_hash: hash.as_phc().to_owned(),
        };
        let content = Zeroizing::new(serde_json::to_vec(&content).unwrap_or_default());
        self.sealing.seal(id.0.as_bytes(), &content)
    }

    /// What was asked for; `None` where it was sealed under another secret or id, or breaks a rule of today.
    pub(super) fn open(&self, id: UserId, sealed: &[u8]) -> Option<PendingRegistration> {
        let content = self.sealing.open(id.0.as_bytes(), sealed)?;
        let Content { username, email, full_name, bio, image, password_hash } =
            serde_json::from_slice(&content).ok()?;
        let command = RegisterUser {
            username: Username::parse(username).ok()?,
            email: Email::parse(email).ok()?,
            full_name: full_name.map(FullName::parse).transpose().ok()?,
            bio: bio.map(Bio::parse).transpose().ok()?,
            image: image.map(ImageUrl::parse).transpose().ok()?,
            roles: BTreeSet::from([Role::User]),
        };
        Some(PendingRegistration { command, password_hash })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn registrations(secret: &str) -> Registrations {
        let pairs = [("MILLRACE_PROFILE", "dev"), ("MILLRACE_SESSION_SECRET", secret)];
        let mut settings = Settings::new(pairs.map(|(name, value)| (name.into(), value.into())));
        Registrations::from_settings(&mut settings)
    }

    fn ann() -> RegisterUser {
        RegisterUser {
            username: Username::parse("Ann").unwrap(),
            email: Email::parse("Ann@example.org").unwrap(),
            full_name: Some(FullName::parse("Ann Example").unwrap()),
            bio: Some(Bio::parse("one\ntwo").unwrap()),
            image: Some(ImageUrl::parse("https://example.org/ann.png").unwrap()),
            roles: BTreeSet::from([Role::User]),
        }
    }

    #[test]
    fn what_was_asked_for_comes_back_under_its_id_and_secret_alone() {
        let ours = registrations("a secret");
        let [id, another] = [7, 8].map(|n| UserId(Uuid::from_u128(n)));
        let hash = HashedPassword::from_phc("$argon2id$a-hash".to_owned());
        let sealed = ours.seal(id, &ann(), &hash);
        let opened = ours.open(id, &sealed).unwrap();
        assert_eq!(opened.command, ann());
        assert_eq!(opened.password_hash, "$argon2id$a-hash");
        assert!(ours.open(another, &sealed).is_none());
        assert!(registrations("another").open(id, &sealed).is_none());
        assert!(ours.open(id, &sealed[1..]).is_none());
    }

    #[test]
    fn what_was_asked_for_cannot_be_read_and_nobody_asks_to_be_more_than_a_user() {
        let ours = registrations("a secret");
        let id = UserId(Uuid::from_u128(7));
        let admin = RegisterUser { roles: BTreeSet::from([Role::User, Role::Admin]), ..ann() };
        let bare = RegisterUser { full_name: None, bio: None, image: None, ..admin };
        let hash = HashedPassword::from_phc("$argon2id$a-hash".to_owned());
        let sealed = ours.seal(id, &bare, &hash);
        let told = String::from_utf8_lossy(&sealed).to_lowercase();
        for text in ["username", "example.org", "argon2id"] {
            assert!(!told.contains(text), "{text}");
        }
        let opened = ours.open(id, &sealed).unwrap().command;
        assert_eq!(opened.roles, BTreeSet::from([Role::User]));
        assert_eq!((opened.full_name, opened.bio, opened.image), (None, None, None));
    }

    #[test]
    fn accounts_are_revealed_unless_it_is_said_otherwise() {
        assert!(registrations("a secret").reveals_accounts());
        for name in ["MILLRACE_REGISTRATION_REVEALS_ACCOUNTS", "REGISTRATION_REVEALS_ACCOUNTS"] {
            let pairs = [("MILLRACE_PROFILE", "dev"), (name, "false")];
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let mut settings = Settings::new(pairs);
            assert!(!Registrations::from_settings(&mut settings).reveals_accounts(), "{name}");
        }
    }
}
